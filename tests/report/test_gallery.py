"""The gallery: what no section covers."""

import base64
import io

import numpy as np
from PIL import Image
from report import fake_run

from mmjax.report import gallery
from mmjax.report.run_files import Predictions


def test_a_head_without_reference_makes_no_example_wrong():
    arrays = fake_run.predictions(kept=4)
    arrays["scores/other"] = arrays["scores/scene"]
    found = gallery.render(Predictions("s", arrays))
    assert "3 on which every head is right and 1 others" in found
    assert "other right" not in found


def test_features_of_a_sound_are_drawn_by_the_player_and_not_over_the_picture():
    arrays = fake_run.predictions(kept=2)
    before = gallery.render(Predictions("s", arrays, {}, fake_run.RATE))
    arrays |= {"heatmap/mel": np.ones((2, 5, 7)), "heatmap/mfcc_target": np.eye(5)[None].repeat(2, 0)}
    found = gallery.render(Predictions("s", arrays, {}, fake_run.RATE))
    assert found.count("<img") == before.count("<img") == 4
    assert found.count("“mel” of example 0: 5 rows (mel band) over 7 frames") == 1
    assert found.count("<figcaption>mfcc (reference)</figcaption>") == 2
    assert found.count("time (s)") == 2 * 3
    without = {"heatmap/mel": arrays["heatmap/mel"]}
    assert ">frame</text>" in gallery.render(Predictions("s", without))


def test_named_columns_are_not_listed_as_text_too():
    arrays = {
        **fake_run.ranked(),
        "text/question": np.array([["what", "is"]] * 3),
        "text/aside": np.array(["x", "y", "z"]),
    }
    page = gallery.render(Predictions(split="test", arrays=arrays))
    assert page.count("<dt>question</dt>") == page.count("<dt>aside</dt>") == 3
    assert page.index("<dt>question</dt>") < page.index("<dt>aside</dt>")
    assert "<dt>answer" not in page


def test_words_are_one_text_and_neighbours_a_list():
    words = np.array([["u", "r", "e", "d", "", ""], ["", "", "", "", "", ""]])
    arrays = {"text/units": words, "text/neighbours": np.array([["dog", "cat"]] * 2)}
    page = gallery.render(Predictions("s", arrays))
    assert "<dd>u r e d</dd>" in page
    assert "<dd>(empty)</dd>" in page
    assert page.count("<dd>dog\ncat</dd>") == 2


def test_all_that_can_be_shown_and_nothing_covers_is_shown():
    """Names that no section knows, of every kind that speaks for itself; the others are named in a line."""
    arrays = {
        "image/sketch": np.zeros((3, 8, 8, 3), np.uint8),
        "image/several": np.arange(3 * 2 * 6 * 4 * 3, dtype=np.uint8).reshape(3, 2, 6, 4, 3),
        "heatmap/saliency": np.ones((3, 2, 2), np.float32),
        "heatmap/mel": np.ones((3, 2, 5), np.float32),
        "audio/hum": np.zeros((3, 400), np.int16),
        "text/verdict": np.array([b"one", b"two", b"three"]),
        "scores/mood": np.eye(3, dtype=np.float32),
        "label/age": np.arange(3, dtype=np.int32),
        "embedding/lonely": np.zeros((3, 2), np.float32),
        "attention/lonely": np.zeros((3, 2, 2, 2), np.float32),
        "number/nats": np.zeros((3, 3), np.float32),
    }
    found = gallery.render(Predictions("s", arrays))
    for name in ("sketch", "several", "saliency", "mel", "hum"):
        assert f"“{name}” of example 0" in found
    for words in ("<dt>verdict</dt><dd>two</dd>", "<h4>mood</h4>", "<h4>age</h4>"):
        assert words in found
    assert found.count('width="8" height="6"') == 3  # two pictures of 4 x 6 side by side
    assert "Stored and shown by no section: embedding/lonely, attention/lonely." in found
    assert "nats" not in found
    rest = gallery.render(Predictions("s", arrays), set(arrays) - {"text/verdict"})
    assert "<dd>two</dd>" in rest
    assert "<img" not in rest
    assert "Stored" not in rest
    assert gallery.render(Predictions("s", arrays), set(arrays)) == ""
    assert "No examples yet" in gallery.render(Predictions())


def test_a_heatmap_lies_over_the_picture_whoever_shows_that():
    grey = np.full((1, 8, 8, 3), 200, np.uint8)
    arrays = {"image/picture": grey, "image/other": 0 * grey, "heatmap/x": np.zeros((1, 2, 2), np.float32)}

    def drawn(arrays, covered):
        shown = gallery.render(Predictions("s", arrays), covered)
        uri = shown[: shown.index('alt="Heatmap')].rpartition('src="')[2].split('"')[0]
        with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as opened:
            return int(np.asarray(opened)[4, 4, 1])

    assert drawn(arrays, {"image/picture"}) == 150  # three quarters of the grey, where the map is least
    assert drawn({key: arrays[key] for key in ("image/other", "heatmap/x")}, set()) == 0
