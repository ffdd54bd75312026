"""The page in a real browser: nothing complains, every picture has pixels, every player can play."""

import html
import json
import re
import shutil

import children
import pytest
from report import fake_run

from mmjax.report import page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

# Runs in a copy of the page, whose policy against scripts is lifted; what it finds ends up in the dumped document.
LOOK = """<script>
const players = [...document.querySelectorAll("audio")];
const known = players.map(a => a.readyState ? 0 : new Promise(r => { a.onloadedmetadata = a.onerror = r; }));
Promise.all(known).then(() => {
  const found = {
    images: [...document.images].map(i => [i.complete, i.naturalWidth, i.naturalHeight]),
    sounds: players.map(a => a.error ? String(a.error.code) : a.duration),
    drawings: [...document.querySelectorAll("svg")].filter(s => s.getClientRects().length).map(
      s => Math.min(s.getBoundingClientRect().width, s.getBoundingClientRect().height)),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
  document.body.insertAdjacentHTML("beforeend", "<pre id=found></pre>");
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script></body>"""


def chromium(path, folder, width=1280):
    """Opens a page; returns the document after loading and what the browser logged."""
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --enable-logging=stderr --v=0 --virtual-time-budget=5000"
    flags += f" --window-size={width},1200 --user-data-dir={folder} --dump-dom"
    done = children.run(CHROMIUM, *flags.split(), path.as_uri())
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser") / "run"
    fake_run.write(folder, kept=4)
    return page.write(folder)


def test_nothing_on_the_console(written, tmp_path):
    document, log = chromium(written, tmp_path / "profile")
    assert "mmjax report" in document
    assert [line for line in log.splitlines() if "CONSOLE" in line] == []


@pytest.mark.parametrize("width", [1280, 500])
def test_media_load_and_nothing_sticks_out(written, tmp_path, width):
    source = written.read_text(encoding="utf-8")
    source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source)
    copy = tmp_path / "copy.html"
    copy.write_text(source.replace("</body>", LOOK), encoding="utf-8")
    document, log = chromium(copy, tmp_path / "profile", width)
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', document)[1]))
    assert found["images"] == [[True, 32, 24]] * 8, log
    assert found["sounds"] == [0.5] * 4
    assert min(found["drawings"]) > 50
    assert len(found["drawings"]) >= 4 + 3 + 3
    assert found["overflow"] <= 0


def test_the_console_check_sees_an_error(tmp_path):
    (tmp_path / "bad.html").write_text("<!doctype html><script>undefined_name()</script>")
    _, log = chromium(tmp_path / "bad.html", tmp_path / "profile")
    assert any("CONSOLE" in line for line in log.splitlines())
