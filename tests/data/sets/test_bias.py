"""A bias of the drawn world: how much one side alone tells is known exactly, and is what the generator does."""

import re

import numpy as np
import pytest

from mmjax.data.scenes import layout, links, names, questions, shares
from mmjax.data.sets import sounding_scenes
from mmjax.errors import UserError

SPLITS = (("train", "keep"), ("test", "keep"), ("test", "drop"), ("validation", "reverse"))


def test_no_link_is_held_out():
    for reverse in (False, True):
        link = links.Link(0.5, reverse)
        for thing in range(len(names.OBJECTS)):
            assert (thing, link.colour(thing)) not in names.HELD_OUT_COLOURS
            assert (thing, link.scene(thing)) not in names.HELD_OUT_SCENES
            assert link.colour(thing) != links.Link(0.5, not reverse).colour(thing)
            assert link.scene(thing) != links.Link(0.5, not reverse).scene(thing)


@pytest.mark.parametrize("bias", [0.0, 0.3, 1.0])
def test_shares_by_hand(bias):
    """Of one object: its colour is the usual one or one of six; a quarter of a held-out split has an unseen one."""
    found = {case: shares.known(case[0], bias, case[1], (1, 1), "any") for case in SPLITS}
    link = bias + (1 - bias) / 6
    expected = {"keep": 0.75 * link, "drop": 0.75 / 6, "reverse": 0.75 * (1 - bias) / 6}
    if bias:
        np.testing.assert_allclose(found["train", "keep"]["colour_from_class"][0], link, rtol=1e-6)
        np.testing.assert_allclose(found["train", "keep"]["scene_from_objects"][0], link, rtol=1e-6)
        for (split, shift), known in found.items():
            if split != "train":
                np.testing.assert_allclose(known["colour_from_class"][0], expected[shift], rtol=1e-5, atol=1e-7)
        yes = {"keep": (1 + bias) / 2, "drop": 0.5, "reverse": (1 - bias) / 2}
        for (_, shift), known in found.items():
            np.testing.assert_allclose(known["sound_from_question"], yes[shift], rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(known["existence_from_question"][1], yes[shift], rtol=1e-6, atol=1e-7)
            # One object there, one that sounds, and one of the colour that is asked for, or none.
            np.testing.assert_allclose(known["count_from_question"], (2 + yes[shift]) / 3, rtol=1e-6)
        assert shares.known("train", bias, "keep", (2, 2), "none")["sound_from_question"][0] == 1  # always no
    else:
        # "is there a red bell?": yes to six free colours by 1/6 against 5/6/7, no to the two that training never has.
        coloured = (6 * (1 / 6) + 2 / 7) / 2
        np.testing.assert_allclose(
            found["train", "keep"]["existence_from_question"][0], (coloured + 0.5) / 2, rtol=1e-6
        )
    assert all(known[name][0].dtype == np.float32 for known in found.values() for name in known)


def best(row):
    """Any of the likeliest: where several are, the share that is right is the mean over them."""
    top = row > row.max() * (1 - 1e-9)
    return top / top.sum()


@pytest.mark.parametrize(
    ("split", "shift", "objects", "sounding"),
    [
        *((*case, (1, 3), "any") for case in SPLITS),
        ("test", "keep", (2, 3), "one"),
        ("test", "reverse", (1, 2), "none"),
    ],
)
def test_shares_are_what_the_generator_does(split, shift, objects, sounding):
    bias = 0.6
    known = shares.known(split, bias, shift, objects, sounding)
    taught = shares._tables("train", links.of("train", bias, shift), objects, sounding)
    link, rng = links.of(split, bias, shift), np.random.default_rng(0)
    right = {name: [] for name in known}
    for _ in range(2500):
        drawn = layout.draw(rng, split, objects, link)
        drawn = drawn if sounding == "any" else layout.with_sounding(rng, drawn, sounding)
        classes = frozenset(thing.object for thing in drawn.things)
        if classes in taught["scene_from_objects"]:
            right["scene_from_objects"].append(best(taught["scene_from_objects"][classes])[drawn.scene])
        else:
            right["scene_from_objects"].append(best(sum(taught["scene_from_objects"].values()))[drawn.scene])
        thing = drawn.things[rng.integers(len(drawn.things))]
        right["colour_from_class"].append(best(taught["colour_from_class"][thing.object])[thing.colour])
        question, answer = questions._existence(rng, drawn, link.yes)
        words = re.findall("[a-z]+", question)
        seen = names.OBJECTS.index(words[-1])
        if words[-2] in names.COLOURS:
            seen = (seen, names.COLOURS.index(words[-2]))
        right["existence_from_question"].append(best(taught["existence_from_question"][seen])[int(answer == "yes")])
        question, answer = questions._count(rng, drawn, link.yes)
        seen = question.split()[-1 if "sound" in question else 2].strip("?")
        seen = names.COLOURS.index(seen) if seen in names.COLOURS else {"objects": "all"}.get(seen, seen)
        right["count_from_question"].append(best(taught["count_from_question"][seen])[int(answer)])
        question, answer = questions._sound(rng, drawn, link.yes)
        if question.startswith("do you hear"):
            seen = names.OBJECTS.index(re.findall("[a-z]+", question)[-1])
            right["sound_from_question"].append(best(taught["sound_from_question"][seen])[int(answer == "yes")])
    for name, values in right.items():
        assert abs(np.mean(values) - known[name][0]) < 0.035, name


def test_a_source_has_the_bias_and_says_it():
    biased = {case: sounding_scenes.source(case[0], bias=1.0, shift=case[1], image_size=32) for case in SPLITS}
    plain = sounding_scenes.source("test", image_size=32)
    for index in range(60):
        example = biased["train", "keep"].example(index)
        things = example.layout.things
        assert all(thing.colour == (3 * thing.object + 3) % 8 for thing in things)
        assert example.layout.scene in {thing.object % 8 for thing in things}
        assert example.question_type != "existence" or example.answer == "yes"
        assert example.answer != "0"  # each has an object that sounds, and what is counted is there
        for field in ("captions", "question", "answer"):
            assert getattr(biased["test", "drop"].example(index), field) == getattr(plain.example(index), field)
        assert all(
            t.colour != (3 * t.object + 3) % 8 for t in biased["validation", "reverse"].example(index).layout.things
        )
    constants = biased["train", "keep"].constants
    assert float(constants["colour_from_class"][0]) == 1
    assert not set(shares.known("test", 0.5, "keep", (1, 3), "any")) & set(plain.constants)
    prints = [sounding_scenes.source("train", ("image",), bias=0.5, shift=shift).prints["image"].content
              for shift in ("keep", "reverse")]  # fmt: skip
    assert prints[0] == prints[1] != sounding_scenes.source("train", ("image",)).prints["image"].content
    for options, message in (
        ({"bias": 2}, "bias is 2, but must be from 0 to 1"),
        ({"shift": "flip"}, "shift is 'flip'"),
    ):
        with pytest.raises(UserError, match=message):
            sounding_scenes.source("train", **options)
