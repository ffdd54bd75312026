"""How many objects sound, and what each adds to the sound."""

from collections import Counter

import numpy as np
import pytest

from mmjax.data import pipeline
from mmjax.data.scenes import questions
from mmjax.data.sets import sounding_scenes
from mmjax.errors import UserError

RULES = ("any", "one", "none")


def test_the_rule_changes_what_sounds_and_nothing_else():
    sources = {rule: sounding_scenes.source("test", objects=(2, 3), sounding=rule, image_size=32) for rule in RULES}
    for index in range(12):
        pictures = [source.example(index).image for source in sources.values()]
        assert np.array_equal(pictures[0], pictures[1])
        assert np.array_equal(pictures[0], pictures[2])
    one, places = sounding_scenes.source("train", sounding="one", image_size=32), Counter()
    right = []
    for index in range(2000):
        example = one.example(index)
        n = len(example.layout.things)
        assert n >= 2
        assert example.sounding.sum() == 1
        places[n, int(example.sounding.argmax())] += 1
        right.append(1 / n)
        assert example.answer in questions.ANSWERS
    for n in (2, 3):
        counts = [places[n, k] for k in range(n)]
        assert max(counts) < 1.25 * min(counts)
    assert all(one.example(i).label == one.example(i).objects[one.example(i).sounding.argmax()] for i in range(20))
    assert abs(np.mean(right) - 5 / 12) < 0.01


@pytest.mark.parametrize(
    ("rule", "objects", "chance"),
    [
        ("any", (1, 1), 1),
        ("any", (2, 2), 25 / 32),
        ("any", (2, 3), 0.768229),
        ("one", (1, 3), 5 / 12),
        ("none", (1, 3), 0),
    ],
)
def test_the_chance_of_a_random_object_is_exact(rule, objects, chance):
    source = sounding_scenes.source("train", ("sounding",), objects=objects, sounding=rule)
    given = source.constants["sounding_chance"]
    np.testing.assert_allclose(given, chance, rtol=1e-6)
    assert given.dtype == np.float32
    seen = [example.sounding[: len(example.layout.things)].mean() for example in map(source.example, range(800))]
    assert abs(np.mean(seen) - chance) < 0.04


def test_where_none_sounds_there_is_ambience_or_silence():
    source = sounding_scenes.source("validation", sounding="none", seconds=1.0, image_size=32)
    silent = []
    for index in range(200):
        example = source.example(index)
        if index < 60:
            wave = example.waveform
            silent.append(not wave.any())
            assert silent[-1] or 0.002 < (wave / 32767).std() < 0.05
            assert np.array_equal(wave, example.ambience)
            assert not example.stems.any()
        assert example.label == -1
        assert not example.sounding.any()
        if example.question.startswith("do you hear"):
            assert example.answer == "no"
        if example.question == "how many objects sound?":
            assert example.answer == "0"
    assert 0.3 < np.mean(silent) < 0.7


def test_stems_sum_to_the_waveform():
    source = sounding_scenes.source(
        "test", ("waveform", "stems", "ambience", "sounding", "objects"), seconds=2.0, image_size=48
    )
    for index in range(20):
        example = source[index]
        total = example["stems"].astype(int).sum(0) + example["ambience"]
        assert np.abs(total - example["waveform"]).max() <= 2
        assert np.array_equal(example["stems"].any(-1), example["sounding"])
        assert example["ambience"].any()


def test_stems_are_cropped_where_the_sound_is():
    example = sounding_scenes.source("train", ("stems", "waveform", "ambience"), seconds=2.0, image_size=48)[2]
    wave = example["waveform"]
    for seconds, seed in ((1.0, 0), (1.0, 1), (3.0, 0)):
        fit = pipeline.Fit(clip_seconds=seconds)
        out = fit(example, np.random.default_rng(seed))
        alone = fit({"waveform": wave}, np.random.default_rng(seed))
        assert np.array_equal(out["waveform"], alone["waveform"])
        assert out["stems"].shape == (3, int(seconds * pipeline.RATE))
        assert np.abs(out["stems"].astype(int).sum(0) + out["ambience"] - out["waveform"]).max() <= 2
        assert out["waveform_length"] == min(seconds, 2) * pipeline.RATE
        assert set(out) == {"stems", "waveform", "ambience", "waveform_length"}


def test_mistakes_are_named():
    for options, message in (
        ({"sounding": "two"}, "sounding is 'two', but must be one of any, one, none"),
        ({"sounding": "one", "objects": (1, 1)}, "needs two objects or three, but objects is 1, 1"),
        ({"mouth": "open"}, "mouth is 'open', but must be one of own, frozen, another"),
        ({"voices": "new"}, "voices is 'new', but must be one of all, held_out"),
        ({"face_size": 8}, "face_size is 8, but must be from 32"),
        ({"objects": (2,)}, r"objects is \(2,\), but must be two numbers, as in 1,3"),
        ({"objects": "13"}, "objects is '13', but must be two numbers, as in 1,3"),
        ({"objects": ("a", "b")}, "objects is 'a', but must be a whole number from 1 to 3"),
        ({"objects": (3, 1)}, "objects is 3,1, but the fewest come first: 1,3"),
        ({"objects": (1, 4)}, "objects is 4, but must be from 1 to 3"),
        ({"seed": 1.5}, "seed is 1.5, but must be a whole number from 0 to 4294967295"),
        ({"seed": -1}, "seed is -1, but must be from 0"),
        ({"seconds": float("nan")}, "seconds is nan, but must be from 1 to 60"),
        ({"image_size": "64"}, "image_size is '64', but must be"),
    ):
        with pytest.raises(UserError, match=message):
            sounding_scenes.source("train", **options)
