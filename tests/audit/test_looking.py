"""Figures example by example are those of the system's own metrics, and their means are its figures."""

import dataclasses

import jax
import numpy as np
import planted_systems as planted
import pytest

from mmjax.audit import looking


@pytest.fixture(scope="module")
def seen():
    """A look at 21 examples in batches of eight."""
    rng = np.random.default_rng(0)
    task = planted.make(lambda one, two: one)
    columns = planted.columns(rng, 21, lambda one, two: one ^ (rng.random(21) < 0.3))
    return task, columns, looking.Looker(task, {}, 8)(columns)


def test_each_example_is_asked_alone(seen):
    task, columns, look = seen
    for at in (0, 7, 8, 20):
        batch = {name: value[[at]] for name, value in columns.items()} | {"valid": np.ones(1, bool)}
        total, count = task.metrics({}, batch)["right"]
        assert look.each["right"][0][at] == float(total)
        assert look.each["right"][1][at] == float(count)
    assert look.each["right"][0].shape == (21,)
    assert [len(x) for x in look.batches["right"]] == [3, 3]
    assert look.batches["right"][1].tolist() == [8, 8, 5]  # the padding does not count
    assert look.additive("right")
    assert not look.additive("squared")


def test_units_have_the_figures_as_their_means(seen):
    task, columns, look = seen
    found = looking.units(task, look, columns, look)
    right = np.mean(columns["label"] == (columns["image"][:, 0, 0, 0] > 127))
    assert {name: kind for name, (kind, _) in found.items()} == {
        "right": "example",
        "squared": "batch",
        "whole": "block",
    }
    assert found["right"][1].mean() == pytest.approx(right)
    assert found["whole"][1].mean() == pytest.approx(right**2)
    batches = look.batches["squared"]
    assert found["squared"][1].mean() == pytest.approx(batches[0].sum() / batches[1].sum())


def test_what_is_no_mean_is_not_asked_for_example_by_example_any_more(seen):
    """And its figure stays what it was."""
    task, columns, look = seen
    again = looking.Looker(task, {}, 8)
    again.expect(look)
    found = again(columns)
    assert (list(look.each), list(found.each)) == (["right", "squared"], ["right"])
    now, before = (looking.units(task, each, columns, look) for each in (found, look))
    assert now.keys() == before.keys()
    for name, (kind, values) in before.items():
        assert now[name][0] == kind
        np.testing.assert_allclose(now[name][1], values, rtol=1e-6)


def test_a_head_beside_its_truth_is_a_distribution(seen):
    _, columns, look = seen
    np.testing.assert_array_equal(look.label, columns["label"])
    wanted = jax.nn.log_softmax(planted.logits_of(lambda one, two: one, columns))
    np.testing.assert_allclose(look.logits[""], wanted, rtol=1e-5)


def test_rows_that_are_not_valid_are_not_gathered():
    batches = [
        {"image": np.arange(4), "tokens_length": np.arange(4), "x": np.arange(4), "valid": np.arange(4) < keep}
        for keep in (4, 1)
    ]
    found = looking.gathered(batches, ("image", "tokens"))
    assert {name: value.tolist() for name, value in found.items()} == {
        "image": [0, 1, 2, 3, 0],
        "tokens_length": [0, 1, 2, 3, 0],
    }


def test_one_thing_in_the_place_of_all_makes_nobody_equal(seen):
    """Blank captions are all the same: each would be a right answer to every picture."""
    _, _, look = seen
    ids = {"number/caption_ids": np.arange(21)[:, None]}
    intact = dataclasses.replace(look, predictions={**look.predictions, **ids})
    blank = dataclasses.replace(look, predictions={**look.predictions, "number/caption_ids": np.zeros((21, 1))})
    found = blank.with_equals_of(intact)
    np.testing.assert_array_equal(found.predictions["number/caption_ids"], ids["number/caption_ids"])
    assert list(found.each) == ["right"]  # of a batch nobody can tell who was equal
