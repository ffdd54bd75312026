"""The whole page: its numbers, its media, its escaping, and runs of which something is missing or broken."""

import base64
import html.parser
import io
import json
import re
import shutil
import wave
import zipfile

import children
import numpy as np
import pytest
from PIL import Image
from report import fake_run

from mmjax import tools
from mmjax.errors import UserError
from mmjax.report import page
from mmjax.report import run_files as workdirs

VOID = {"meta", "img", "br", "link", "hr", "col"}


class Page(html.parser.HTMLParser):
    """Checks that every element is closed where it should be; collects tables, elements and text."""

    def __init__(self, path):
        super().__init__()
        self.open, self.elements, self.rows, self.words = [], [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if self.open and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def parsed(finished):
    return Page(finished)


def decode(uri):
    kind, _, content = uri.partition(";base64,")
    return kind.removeprefix("data:"), base64.b64decode(content, validate=True)


def test_table_stands_each_figure_beside_its_baselines(parsed):
    rows = [row for row in parsed.rows if len(row) == 6]
    assert rows == [
        ["figure", "value", "direction", "baseline", "its value", "difference"],
        ["object_kl", "0.750", "↓ lower is better", "mean", "1.250", "▲ −0.500 better"],
        ["object_agreement", "0.500", "↑ higher is better", "majority", "0.312", "▲ +0.188 better"],
        ["", "", "", "chance", "0.250", "▲ +0.250 better"],
        ["shine", "3", "↑ higher is better", "none", "3", "= 0 equal"],
    ]
    assert "Split “test”, 16 examples, after step 100" in parsed.text


def test_probes_show_the_change(parsed):
    assert ["object_agreement", "0.500", "0.250 (−0.250)"] in parsed.rows


def test_curves_end_at_the_last_values(parsed):
    captions = parsed.text
    assert "1.010 nats at step 100; mean 1.250." in captions
    assert "0.500 at step 100." in captions
    assert "120 examples / s at step 100." in captions
    assert "1.000 at step 100." not in captions  # the loss: a whole number is written without decimals
    assert "1 at step 100." in captions


def test_sounds_and_pictures_decode_to_what_was_stored(parsed):
    arrays = fake_run.predictions()
    order = [int(words.split()[-1]) for words in parsed.words if re.fullmatch(r"Example \d+", words)]
    assert sorted(order) == list(range(10))  # all that were kept
    clips = [decode(attrs["src"]) for attrs in parsed.all("audio")]
    assert len(clips) == 10
    for example, (kind, content) in zip(order, clips):
        assert kind == "audio/wav"
        with wave.open(io.BytesIO(content)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        np.testing.assert_array_equal(samples, arrays["audio/waveform"][example])
    images = parsed.all("img")
    assert len(images) == 20  # a picture and a heatmap each
    assert all(attrs["alt"] for attrs in images)
    for example, attrs in zip(order, images[::2]):
        kind, content = decode(attrs["src"])
        assert kind == "image/png"
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), arrays["image/picture"][example])
    assert {Image.open(io.BytesIO(decode(attrs["src"])[1])).size for attrs in images} == {(32, 24)}
    inner = [attrs["xlink:href"] for attrs in parsed.all("image")]
    assert len(inner) == 10 * 2 + 2 * 2  # spectrogram and colour bar; two confusion matrices
    for uri in inner:
        assert Image.open(io.BytesIO(decode(re.sub(r"\s", "", uri))[1])).size > (1, 1)


def test_gallery_mixes_right_and_wrong_and_says_the_rate(parsed):
    assert "in the whole split 12 of 16 are right" in parsed.text
    chips = [words for words in parsed.words if words.endswith((" right", " wrong")) and words[0] in "✓✗"]
    assert chips.count("✗ object wrong") == 2  # examples 3 and 7 of the ten that were kept
    assert chips.count("✓ object right") == 8
    assert chips[:4] == ["✓ object right", "✓ scene right", "✗ object wrong", "✓ scene right"]


def test_bars_show_both_sides(parsed):
    lists = parsed.source.split('<ol class="bars">')[1:]
    first = re.findall(r"<span>(\d\.\d\d)</span><i style=\"--share:([\d.]+)%\"", lists[0])
    assert first == [("0.70", "70.0"), ("0.10", "10.0"), ("0.10", "10.0"), ("0.10", "10.0")]
    assert parsed.source.count('class="miss"') == 2


def test_confusion_caption_counts(parsed):
    assert "object: 12 of 16 right (75.0%)" in parsed.text
    assert "scene: 16 of 16 right (100.0%)" in parsed.text


def test_everything_is_escaped(parsed):
    assert "script" not in {tag for tag, _ in parsed.elements}
    assert "<script>alert(1)</script>" in parsed.text
    assert "<i>scene</i>" in parsed.text
    assert "dog <b>bark</b>" in parsed.text
    assert "drum & bass" in parsed.text


def test_nothing_is_fetched(parsed):
    for _, attrs in parsed.elements:
        for name in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
            assert (attrs.get(name) or "#").startswith(("#", "data:"))
    assert "@import" not in parsed.source
    assert not re.search(r"url\((?!#)", parsed.source)


def test_identities_are_unique_and_defined(parsed):
    names = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
    assert len(names) == len(set(names))
    uses = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"|aria-labelledby="([^"]+)"', parsed.source)
    assert {a or b or c for a, b, c in uses} <= set(names)


def test_header_config_and_commands(parsed):
    assert parsed.all("html")[0]["lang"] == "en"
    assert "soundnet tiny done step 100 of 100 last log line 2023-11-14 22:15 UTC 1 min 35 s" in parsed.text
    assert ["depth", "8"] in parsed.rows
    assert ["widths", "16, 32"] in parsed.rows
    assert "python train.py --config=configs/soundnet.py:tiny --workdir='a run'" in parsed.text
    assert "mmjax.restore('" in parsed.text
    assert re.search(r"mmjax report '\S*/a run'", parsed.text)
    assert all(attrs.get("aria-label") for attrs in parsed.all("svg"))


def test_size_is_bounded(workdir):
    arrays = fake_run.predictions(24, 24) | {
        "image/picture": np.random.default_rng(0).integers(0, 256, (24, 500, 500, 3), np.uint8)
    }
    arrays["audio/waveform"] = np.zeros((24, 20 * 22_050), np.int16)
    arrays["audio/mixture"] = arrays["audio/waveform"]
    fake_run.store(workdir, arrays, {"sample_rate": 22_050})
    path = page.write(workdir)
    assert path.stat().st_size < 9e6
    parsed = Page(path)
    assert len(parsed.all("audio")) == 24
    assert "20 s at 22,050 Hz (the first 3.68 s)" in parsed.text


@pytest.mark.parametrize("gone", ["config.json", "metrics.jsonl", "results.json", "status.json", "predictions"])
def test_one_piece_missing(workdir, gone):
    path = workdir / gone
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    said = {"config.json": "No config.json", "metrics.jsonl": "No curves yet", "results.json": "No results yet"}
    said |= {"predictions": "No examples yet", "status.json": "state unknown"}
    assert said[gone] in Page(page.write(workdir)).text


def test_empty_workdir(tmp_path):
    text = Page(page.write(tmp_path)).text
    for line in ("No results yet", "No curves yet", "No examples yet", "No probes", "No config.json"):
        assert line in text


@pytest.mark.parametrize(
    "content", ["", "{", "[1, 2]", '{"values": 3, "probes": [], "notes": 7, "better": 1, "step": "x"}']
)
def test_broken_files_become_lines_on_the_page(workdir, content):
    for name in ("config.json", "results.json", "status.json", "predictions/test.json"):
        (workdir / name).write_text(content)
    (workdir / "metrics.jsonl").write_text(content)
    (workdir / "predictions" / "test.npz").write_bytes(b"PK no zip")
    parsed = Page(page.write(workdir))
    assert "predictions/test.npz could not be read" in parsed.text
    assert "metrics.jsonl: 1 unreadable line" in parsed.text or not content


def test_broken_arrays_leave_the_whole_ones(workdir):
    fake_run.store(workdir, fake_run.predictions(kept=2) | {"text/pickled": np.array([{}], object)}, {})
    with zipfile.ZipFile(workdir / "predictions" / "test.npz", "a") as stored:
        stored.writestr("label/broken.npy", b"\x93NUMPY no header")
    parsed = Page(page.write(workdir))
    assert "predictions: label/broken could not be read" in parsed.text
    assert "predictions: text/pickled could not be read" in parsed.text
    assert len(parsed.all("audio")) == 2


def test_odd_predictions_do_not_fail(workdir):
    arrays = {
        "scores/flat": np.array([0.2, 0.9, np.nan]),
        "label/many_target": np.array([0, -1, 900]),
        "label/many": np.array([0, 3, 901]),
        "image/grey": np.zeros((3, 9, 7), np.uint8),
        "image/float": np.full((3, 9, 7, 1), 0.5, np.float32),
        "image/wrong": np.zeros(3),
        "heatmap/none": np.full((3, 2, 2), np.nan),
        "heatmap/wrong": np.zeros((3, 4)),
        "heatmap/mel": np.full((3, 2, 4), np.nan),
        "heatmap/mfcc": np.zeros((3, 0, 4)),
        "audio/silence": np.zeros((3, 100), np.float32),
        "audio/empty": np.zeros((3, 0), np.float32),
        "embedding/one": np.zeros((3, 1), np.float32),
        "text/bytes": np.array([b"caf\xc3\xa9", b"\xff", b""]),
        "nonsense": np.zeros(3),
    }
    fake_run.store(workdir, arrays, {"names": {"flat": 3}, "sample_rate": "x"})
    parsed = Page(page.write(workdir))
    assert "café" in parsed.text
    assert ["class 900", "class 901", "1 of 1"] in parsed.rows
    assert len(parsed.all("audio")) == 3
    assert "none, 0 to 0" in parsed.text


def test_chooses_the_split_of_the_results_and_names_the_others(workdir):
    fake_run.store(workdir, {"text/x": np.array(["training"])}, {}, split="train")
    parsed = Page(page.write(workdir))
    assert "Examples are of split “test”; also stored: train." in parsed.text
    (workdir / "results.json").write_text(json.dumps({"split": "train"}))
    assert "1 of the 1 examples kept from split “train”" in Page(page.write(workdir)).text


def test_writing_twice_gives_the_same_page_but_for_the_date(workdir):
    first, second = (page.write(workdir).read_text() for _ in range(2))
    strip = re.compile(r"Written by mmjax on [^.]*|\bf\d+-")
    assert strip.sub("", first) == strip.sub("", second)
    assert not list(workdir.glob("*.partial"))


def test_user_errors_are_one_line(tmp_path, capsys):
    with pytest.raises(UserError, match="is not a folder"):
        page.write(tmp_path / "nowhere")
    assert tools.command(["report", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "report.html").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*report\.html"):
        page.write(tmp_path)


def test_command_line_without_jax(workdir):
    code = "import sys; from mmjax import tools; tools.command(['report', sys.argv[1]]); sys.exit('jax' in sys.modules)"
    done = children.python("-c", code, workdir)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(workdir / "report.html")


def test_reader_skips_cut_lines_and_lets_later_lines_win(tmp_path):
    lines = [
        '{"step": 10, "kind": "train", "time": 5.0, "values": {"loss/a": 1.0, "only": 4.0}}',
        '{"step": 20, "kind": "train", "time": 6.0, "values": {"loss/a": 2.0}}',
        '{"step": 10, "kind": "train", "time": 9.0, "values": {"loss/a": 3.0, "word": "x", "none": null, "b": "nan"}}',
        '{"step": 20, "kind": "tra',
        '{"step": null, "kind": "train", "values": {}}',
        "",
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    metrics = workdirs.read(tmp_path).metrics
    assert metrics.skipped == 2
    assert (metrics.first, metrics.last) == (5.0, 9.0)
    train = metrics.curves["train"]
    assert list(train["loss/a"].items()) == [(10, 3.0), (20, 2.0)]
    assert train["only"] == {10: 4.0}
    assert np.isnan(train["b"][10])
    assert set(train) == {"loss/a", "only", "b"}
