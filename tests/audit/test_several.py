"""One to many: how many captions, tags or like examples there are, and the figure by their number."""

from types import SimpleNamespace

import numpy as np
import planted_systems as planted

from mmjax.audit import auditing, looking, several, words


def test_numbers_by_hand():
    columns = {
        "captions_tokens": np.zeros((4, 3, 2), np.int32),
        "captions_tokens_length": np.array([[2, 1, 0], [1, 0, 0], [2, 2, 2], [1, 1, 0]]),
        "tags": np.array([[1, -1], [1, 2], [-1, -1], [0, 0]], np.int32),
        "captions": np.array([["a", ""], ["a", "b"], ["", ""], ["x", "y"]]),
        "question_tokens": np.array([[1, 2], [1, 2], [1, 3], [1, 2]], np.int32),
        "image": np.zeros((4, 1, 1, 3), np.uint8),
        "label": np.arange(4, dtype=np.int32),
    }
    found = several.numbers(columns, {"picture": ("image",), "words": ("question_tokens",)})
    assert {name: number.tolist() for name, number in found.items()} == {
        "captions": [1, 2, 0, 2],  # of the field of texts, which comes later
        "tags": [1, 2, 0, 2],
        "examples with the same words": [3, 3, 1, 3],
    }


def test_rows_have_enough_examples_and_large_numbers_share_one():
    number = np.repeat([1, 2, 6, 9, 11, 40], [20, 19, 15, 15, 30, 25])
    found = several.rows(number)
    assert {name: int(at.sum()) for name, at in found.items()} == {
        "1": 20,
        "6 to 10": 30,
        "11 to 20": 30,
        "21 to 40": 25,
    }


def test_rows_of_a_search_are_of_as_many_examples():
    """A right picture among few is found more easily than among many: rows of one size, and none of few."""
    number = np.repeat([1, 2, 3], [300, 120, 40])
    found = several.alike(several.rows(number), 0)
    assert {name: int(at.sum()) for name, at in found.items()} == {"1": 120, "2": 120}
    assert all((number[at] == int(name)).all() for name, at in found.items())
    assert several.alike({}, 0) == {}
    told = {"figure": "batch_r@1", "several_of": "r@1", "several_alike": True, "several": {"tags": {}}}
    told["several"]["tags"] = {"1": {"value": 0.5, "low": 0.25, "high": 0.75, "examples": 120}}
    assert [*words._several(told)] == ["r@1 by the number of tags, among 120 examples each: 1: 0.5 (0.25 to 0.75)."]


def test_a_figure_of_whole_batches_leaves_the_rows_to_one_of_examples():
    rng = np.random.default_rng(0)
    columns = planted.columns(rng, 600, lambda one, two: one)
    columns["tags"] = np.where(np.arange(600)[:, None] < 200, [[1, -1]], [[1, 2]]).astype(np.int32)
    look = looking.Looker(planted.make(lambda one, two: one), {}, 100)
    asked = SimpleNamespace(task=look.task, options=auditing.Options())
    figures = {name: {"units": kind} for name, kind in (("squared", "batch"), ("right", "example"), ("whole", "block"))}
    found = auditing._Audit.several(asked, columns, look(columns), figures, "squared")
    assert (found["several_of"], found["several_alike"]) == ("whole", True)
    assert {name: row["examples"] for name, row in found["several"]["tags"].items()} == {"1": 200, "2": 200}
    found = auditing._Audit.several(asked, columns, look(columns), figures, "right")
    assert (found["several_of"], found["several_alike"]) == ("right", False)
    assert {name: row["examples"] for name, row in found["several"]["tags"].items()} == {"1": 200, "2": 400}


def test_the_figure_of_some_examples_is_theirs():
    """A system that knows the first bit only is right of all whose words are rare, and of half of the others."""
    rng = np.random.default_rng(0)
    columns = planted.columns(rng, 300, lambda one, two: one)
    columns["label"][100:] = rng.integers(0, 2, 200)
    look = looking.Looker(planted.make(lambda one, two: one), {}, 100)
    intact, at = look(columns), np.arange(300) < 100
    some = {name: value[at] for name, value in columns.items()}
    units = looking.units(look.task, intact.only(at), some, intact)
    assert units["right"][1].mean() == 1
    assert units["whole"][1].mean() == 1
    assert "squared" not in units  # of whole batches
    told = {"figure": "right", "several": {"tags": {"1": {"value": 1.0, "low": 0.9, "high": 1.0}}}}
    assert [*words._several(told)] == ["right by the number of tags: 1: 1 (0.9 to 1)."]
