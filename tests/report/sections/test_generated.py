"""The report of networks that draw: whose pictures stand where, in which words, and what is missing."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from report import fake_run

from mmjax.report import page
from mmjax.report.run_files import Metrics, Run
from mmjax.report.sections import curves, generated


def of(arrays, names=None):
    return fake_run.read(arrays, names)


def rows(drawn, title):
    """The cards below a heading: [(text, [(alt, [value of each tile]), ...]), ...]."""
    below = drawn.split(f"<h3>{title}</h3>")[1].split("<h3>")[0]
    found = []
    for card in below.split("<article")[1:]:
        pictures = []
        for uri, alt in re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="([^"]+)"', card):
            with Image.open(io.BytesIO(base64.b64decode(uri))) as picture:
                pixels = np.asarray(picture)
            height, width = pixels.shape[:2]
            assert (width + 1) % (height + 1) == 0  # a pixel of white between two tiles
            pictures.append((alt, pixels[8, 8 :: height + 1, 0].tolist()))
        found.append((re.sub("<[^>]*>", "", card.split("<div")[1].split("</q>")[0].split("<q>")[-1]), pictures))
    return found


def test_each_caption_stands_beside_its_pictures_and_the_real_one():
    drawn = generated.render(of(fake_run.drawn()))
    found = re.findall(r"<article class=\"card drawn\"><q>(.*?)</q>", drawn.split("<h3>Between")[0])
    assert found[:3] == ["a red &lt;bell&gt;", "a blue &lt;bell&gt;", "a drum"]
    assert "<bell>" not in drawn
    cards = rows(drawn, "Drawn")
    assert len(cards) == 5
    for n, (_, ((real, [value]), (alt, tiles))) in enumerate(cards):
        assert real == f"Real picture of “{found[n]}”"
        assert alt == f"4 pictures drawn for “{found[n]}”"
        assert abs(value - (200 + n)) <= 2  # JPEG
        np.testing.assert_allclose(tiles, 10 * n + np.arange(4), atol=2)
    assert "5 of the 5 examples kept from split “test”" in drawn


def test_interpolations_name_both_ends_where_these_are_known():
    drawn = generated.render(of(fake_run.drawn()))
    assert len(rows(drawn, "Between captions")) == 5
    between = drawn.split("<h3>Between captions</h3>")[1]
    assert "<q>a red &lt;bell&gt;</q> to <q>a blue &lt;bell&gt;</q>" in between
    assert "4 pictures on the way from “a red &lt;bell&gt;” to “a blue &lt;bell&gt;”" in between
    codes = rows(drawn, "Between codes")
    assert codes[1][1][0][0] == "Pictures of “a blue &lt;bell&gt;”"
    np.testing.assert_allclose(codes[1][1][0][1], 10 + np.arange(4), atol=2)
    plain = generated.render(of(fake_run.drawn(ends=False)))
    assert "on the way" not in plain
    assert "Pictures of “a drum”" in plain


@pytest.mark.parametrize("gone", ["image/real", "image/codes", "image/between_codes", "text/caption_target"])
def test_one_piece_missing(gone):
    drawn = generated.render(of({k: v for k, v in fake_run.drawn().items() if k != gone}))
    assert ("Real picture" in drawn) == (gone != "image/real")
    assert ("4 pictures drawn for" in drawn) == (gone != "image/codes")
    assert ("Between codes" in drawn) == (gone != "image/between_codes")
    assert ("“example 2”" in drawn) == (gone == "text/caption_target")


def test_nothing_is_drawn_without_drawn_pictures():
    assert not generated.render(of({"image/real": np.zeros((2, 4, 4, 3), np.uint8)}))
    assert not generated.render(of({"image/generated": np.zeros((2, 4))}))
    assert not generated.render(of({}))


def test_classes_are_named_and_other_texts_read():
    arrays = {"image/generated": np.zeros((2, 8, 8, 3), np.uint8), "label/object": np.array([1, 0])}
    drawn = generated.render(of(arrays, {"object": ("bell", "dog & cat")}))
    assert re.findall("<q>(.*?)</q>", drawn) == ["dog &amp; cat", "bell"]
    assert "Drawn for “bell”" in drawn
    arrays["text/captions_target"] = np.array(["one\ntwo", "three"])
    assert re.findall("<q>(.*?)</q>", generated.render(of(arrays))) == ["one", "three"]


def test_several_pictures_as_an_axis_of_their_own():
    array = np.arange(2 * 3 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 4, 3)
    np.testing.assert_array_equal(generated.tiles(array), array)
    strip = array.swapaxes(1, 2).reshape(2, 4, 12, 3)
    np.testing.assert_array_equal(generated.tiles(strip), array)
    assert generated.tiles(np.zeros((2, 6, 4, 3))).shape == (2, 1, 6, 4, 3)
    assert generated.tiles(np.zeros((2, 4, 4, 1))) is None


def test_both_losses_share_a_drawing():
    train = {}
    for line in fake_run.game():
        for name, value in line["values"].items():
            train.setdefault(name, {})[line["step"]] = value
    drawn = curves.render(Run(metrics=Metrics({"train": train})))
    labels = re.findall('aria-label="(Curves? of [^"]*)"', drawn)
    assert [label.split(" over")[0] for label in labels] == [
        "Curves of loss", "Curve of steps_per_second", "Curves of grad_norm", "Curve of diversity",
        "Curves of disc_right",
    ]  # fmt: skip
    assert labels[0].endswith("steps: disc: 1 at step 100. gen: 1.500 at step 100.")
    assert "real: 0.900 at step 100. drawn: 0.800 at step 100. mismatched: 0.700 at step 100." in labels[-1]
    assert "<details open>" in drawn
    figure = curves.train_figure("loss", {"disc": {1: 1.0, 2: 3.0}, "gen": {1: 2.0, 2: -1.0}})
    assert [line.get_ydata().tolist() for line in figure.axes[0].lines] == [[1, 3], [2, -1]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["disc", "gen"]


def test_logs_are_grouped_by_all_but_their_last_part():
    names = ["loss", "loss/a", "loss/b", "x", "y/z", "u/v/w", "u/v/t"]
    assert curves.groups(names) == {
        "loss": {"loss": "loss"}, "loss/": {"a": "loss/a", "b": "loss/b"}, "x": {"x": "x"}, "y/z": {"z": "y/z"},
        "u/v": {"w": "u/v/w", "t": "u/v/t"},
    }  # fmt: skip
    many = [f"norm/{n}" for n in range(11)]
    assert list(curves.groups(many)) == many


def test_the_whole_page(workdir):
    fake_run.store(workdir, fake_run.drawn(kept=24, side=64), {})
    (workdir / "results.json").write_text(json.dumps({"split": "test"}))
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in fake_run.game()))
    path = page.write(workdir)
    source = path.read_text()
    assert source.index("<h3>Drawn</h3>") < source.index("<h3>Between captions</h3>")
    assert "12 of the 24 examples kept" in source
    assert "Example 0" not in source  # the gallery would show the same once more
    assert path.stat().st_size < 1e6


def test_strips_of_other_names_are_left_to_the_gallery():
    """A picture that is twice as wide as high is no strip: only what lies between two things is."""
    arrays = fake_run.drawn() | {"image/wide": np.zeros((5, 8, 16, 3), np.uint8)}
    shown = set(arrays) - {"image/wide", "number/features_drawn"}
    assert generated.covers(of(arrays).predictions) == shown
    assert "Wide" not in generated.render(of(arrays))
    arrays = {"image/generated": np.zeros((2, 8, 8, 3), np.uint8), "label/object": np.array([1, 0])}
    assert generated.covers(of(arrays).predictions) == set(arrays)  # the class is the text
    arrays["scores/object"] = np.eye(2)
    assert generated.covers(of(arrays).predictions) == {"image/generated"}  # its bars are not shown
