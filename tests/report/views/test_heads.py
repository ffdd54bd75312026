"""Heads, the choice of examples, embeddings and pictures, by hand."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from report import fake_run

from mmjax.report.run_files import Predictions
from mmjax.report.sections import embedding, gallery
from mmjax.report.views import heads, picture


def head(predicted, target, names=("a", "b", "c")):
    return heads.Head("h", names, np.array(predicted), np.array(target))


def test_right_needs_a_reference():
    h = head([0, 1, -1], [0, 2, -1])
    assert h.judged.tolist() == [True, True, False]
    assert h.right.tolist() == [True, False, False]


def test_probabilities_average_steps_and_soften_logits():
    steps = np.array([[[0.2, 0.8], [0.6, 0.4]]])
    np.testing.assert_allclose(heads.probabilities(steps), [[0.4, 0.6]], rtol=1e-6)
    np.testing.assert_allclose(heads.probabilities(np.array([[0.0, np.log(3)]])), [[0.25, 0.75]], rtol=1e-6)
    np.testing.assert_array_equal(heads.probabilities(np.array([[np.nan, 0.5]])), [[0, 0.5]])


def test_heads_are_found_with_either_kind_of_reference():
    arrays = {
        "scores/x": np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]),
        "label/x_target": np.array([0, 0]),
        "label/y": np.array([1, 1]),
        "scores/y_target": np.array([[0, 1.0], [1.0, 0]]),
        "scores/z_target": np.array([[1.0]]),
        "label/w": np.array([3]),
    }
    found = {h.name: h for h in heads.find(Predictions("s", arrays, {"x": ("no", "yes")}))}
    assert set(found) == {"x", "y", "w"}
    assert found["x"].right.tolist() == [True, False]  # cut to the shorter of the two
    assert found["y"].right.tolist() == [True, False]
    assert not found["w"].judged.any()
    assert found["x"].class_name(1) == "yes"
    assert found["x"].class_name(5) == "class 5"


def test_choice_alternates_and_spreads():
    right = np.array([True] * 8 + [False] * 8)
    np.testing.assert_array_equal(gallery.choose(right, 4), [0, 8, 7, 15])
    np.testing.assert_array_equal(gallery.choose(np.ones(5, bool), 4), [0, 1, 3, 4])
    np.testing.assert_array_equal(gallery.choose(np.array([False, True, False, False]), 3), [1, 0, 3])
    assert sorted(gallery.choose(right, 40)) == list(range(16))
    assert gallery.choose(np.zeros(0, bool), 4).shape == (0,)


@pytest.mark.parametrize(("rights", "wrongs"), [(0, 30), (1, 30), (30, 1), (3, 4), (30, 30)])
def test_choice_takes_as_many_as_there_are(rights, wrongs):
    chosen = gallery.choose(np.array([True] * rights + [False] * wrongs), 12)
    assert len(set(chosen.tolist())) == len(chosen) == min(12, rights + wrongs)
    assert (chosen < rights).sum() == min(rights, max(6, 12 - wrongs))


def test_projection_finds_the_axes_of_a_stretched_cloud(rng):
    flat = np.stack([10 * rng.standard_normal(500), 3 * rng.standard_normal(500), np.zeros(500)], -1)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    points, shares = embedding.project(flat @ turn + 7)
    centred = flat - flat.mean(0)
    assert abs(np.corrcoef(points[:, 0], centred[:, 0])[0, 1]) > 0.99
    np.testing.assert_allclose(shares.sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(shares[0], points[:, 0].var() / flat.var(axis=0).sum(), rtol=1e-6)
    assert (points[np.abs(points).argmax(0), [0, 1]] > 0).all()
    assert embedding.project(np.ones((1, 1)))[0].shape == (1, 2)


def test_overlay_is_bright_where_the_map_is():
    image = np.full((40, 40, 3), 128, np.uint8)
    values = np.zeros((4, 4))
    values[3, 0] = 5.0
    shown = picture.overlay(values, image).astype(int).sum(-1)
    assert shown.shape == (40, 40)
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert row >= 30
    assert column < 10
    np.testing.assert_array_equal(picture.overlay(values * 3 - 2, image), picture.overlay(values, image))
    assert picture.overlay(values, None).shape == (112, 112, 3)


def test_overlay_blends_by_hand():
    image = np.full((2, 2, 3), 200, np.uint8)
    shown = picture.overlay(np.array([[0.0, 0.0], [0.0, 0.0]]), image)
    black = np.array([0.001462, 0.000466, 0.013866]) * 255  # where inferno begins
    np.testing.assert_allclose(shown[0, 0], 0.25 * black + 0.75 * 200, atol=0.5)


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


def test_pixels_and_files():
    np.testing.assert_array_equal(picture.pixels(np.array([[0.0, 0.5, 2.0]]))[0, :, 0], [0, 128, 255])
    assert picture.pixels(np.zeros((2, 3, 4), np.uint8)).shape == (2, 3, 3)
    large = picture.image_uri(np.zeros((400, 800, 3), np.uint8))
    assert large.startswith("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(large.split(",")[1]))).size == (384, 192)


def ranked():
    """Two likeliest of many answers a question, with their names; the third question's answer is no class."""
    said = np.array([[b"red", b"blue"], [b"no", b"yes"], [b"blue", b"two"]])
    truth = np.array([b"blue", b"no", b""])
    scores = np.array([[0.6, 0.3], [0.2, 0.7], [0.5, 0.1]], np.float32)  # the second list is not in order
    return {"scores/answer": scores, "text/answer": said, "text/answer_target": truth}


def test_columns_that_are_named_example_by_example():
    (head,) = heads.find(Predictions(split="test", arrays=ranked()))
    assert [head.class_name(i) for i in head.predicted] == ["red", "yes", "blue"]
    assert [head.class_name(i) for i in head.target] == ["blue", "no", "none"]
    assert head.right.tolist() == [False, False, False]
    assert head.judged.tolist() == [True, True, False]
    shown = heads.bars(head, 0)
    assert shown.index("red") < shown.index("0.60") < shown.index("0.30")
    assert "hit" in shown  # the second answer is the right one
    first = heads.bars(head, 1)
    assert first.index("yes") < first.index("0.70") < first.index("0.20")


def test_named_columns_are_not_listed_as_text_too():
    arrays = {**ranked(), "text/question": np.array([["what", "is"]] * 3), "text/aside": np.array(["x", "y", "z"])}
    page = gallery.render(Predictions(split="test", arrays=arrays))
    assert page.count("<dt>question</dt>") == page.count("<dt>aside</dt>") == 3
    assert page.index("<dt>question</dt>") < page.index("<dt>aside</dt>")
    assert "<dt>answer" not in page
