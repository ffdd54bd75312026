"""The glossary of what comes out: what it refuses, what it knows, and how wants are met."""

import dataclasses

import numpy as np
import pytest

from mmjax import predictions


@pytest.mark.parametrize("key", ["picture", "image/", "/x", "images/x", "sound/x", "audio"])
def test_a_key_of_no_kind_is_refused_in_one_line(key):
    for refuse in (predictions.split, predictions.few, predictions.meaning):
        with pytest.raises(KeyError, match="is of no kind") as refused:
            refuse(key)
        assert "\n" not in str(refused.value)
    with pytest.raises(KeyError, match="choose image, heatmap, "):
        predictions.check({key: np.zeros(3, np.uint8)})
    assert not predictions.alone(key)


@pytest.mark.parametrize("key", ["number/nat", "number/tag_score", "number/uncertainty", "number/features_fake"])
def test_a_number_that_nobody_describes_is_refused_in_one_line(key):
    with pytest.raises(KeyError, match="NUMBERS needs a line") as refused:
        predictions.check({key: np.zeros(3, np.float32)})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "key", ["number/nats", "number/tag_scores", "number/uncertainty_image", "number/inception_second"]
)
def test_numbers_that_are_described_pass(key):
    predictions.check({key: np.zeros((3, 2), np.float32)})
    assert not predictions.few(key)


def test_arrays_must_be_as_their_kind_says():
    predictions.check({"image/anything": np.zeros((2, 8, 8, 3), np.uint8), "label/x": np.zeros(2, np.int32)})
    predictions.check({"image/anything": np.zeros((2, 5, 8, 8, 3), np.uint8), "text/x": np.zeros((2, 9), np.uint8)})
    for key, value, wanted in (
        ("image/anything", np.zeros((2, 8, 8, 3), np.float32), "uint8 of axes b h w 3 or b k h w 3"),
        ("image/anything", np.zeros((2, 8, 8), np.uint8), "uint8 of axes b h w 3 or b k h w 3"),
        ("audio/x", np.zeros((2, 8), np.float64), "int16 or float32 of axes b time"),
        ("label/x", np.zeros((2, 1), np.int32), "int32 of axes b"),
    ):
        with pytest.raises(TypeError, match=f"its kind is {wanted}"):
            predictions.check({key: value})


def test_media_are_kept_for_few_examples_and_the_rest_for_all():
    few = {kind for kind in predictions.KINDS if kind != "number" and predictions.few(f"{kind}/x")}
    assert few == {"image", "heatmap", "attention", "audio", "video", "waveform"}
    assert [kind for kind in predictions.KINDS if not predictions.kept(f"{kind}/index")] == ["waveform"]
    alone = {kind for kind in predictions.KINDS if predictions.alone(f"{kind}/x")}
    assert alone == {"image", "heatmap", "audio", "video", "text", "scores", "label"}
    assert {field.name for field in dataclasses.fields(predictions.Kind)} >= {"dtypes", "axes", "meaning", "few"}


def test_what_lies_over_time_is_known_by_name():
    assert [predictions.over_time(name) for name in ("mel", "mel_target", "mfcc", "attention")] == [
        *("mel band", "mel band", "coefficient", None),
    ]


def test_names_that_are_looked_for_have_a_meaning_and_typos_have_none():
    assert "nearest" in predictions.meaning("text/neighbours")
    assert "far end" in predictions.meaning("text/between_captions")
    assert "far end" in predictions.meaning("text/between_<ends>")
    assert predictions.meaning("scores/<head>_target") == predictions.KINDS["scores"].meaning
    assert predictions.meaning("number/uncertainty_<side>") == predictions.NUMBERS["uncertainty_<side>"]
    assert "the real picture in" in predictions.meaning("number/joint_real")
    for typo in ("text/neighbors", "image/genrated", "image/picture_target", "text/<name>s"):
        with pytest.raises(KeyError, match="NAMES needs it"):
            predictions.meaning(typo)
        predictions.split(typo)  # to be predicted by any name is as good


def test_every_name_is_of_a_kind():
    for key in predictions.NAMES:
        predictions.split(key)
        assert predictions.meaning(key) == predictions.NAMES[key]


def test_wants_are_met_by_one_word_throughout():
    wants = ("scores/<head>", "label/<head>_target")
    assert predictions.satisfied(wants, {"scores/a", "scores/b", "label/b_target"})
    assert not predictions.satisfied(wants, {"scores/a", "label/b_target"})
    assert not predictions.satisfied(wants, {"scores/a", "label/a"})
    assert predictions.satisfied(wants, {"scores/c++ (x)", "label/c++ (x)_target"})
    assert not predictions.satisfied(("text/a.b",), {"text/a-b"})
    assert predictions.satisfied(("image/<a>", "image/<b>"), {"image/x"})
    assert predictions.satisfied((), set())


def test_what_is_covered_by_nothing():
    keys = ["image/b", "number/nats", "image/a", "text/x"]
    assert predictions.uncovered(keys, ["image/a"]) == ["image/b", "text/x"]
    assert predictions.uncovered(keys, keys) == []
