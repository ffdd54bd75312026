"""Units, intervals and p-values: by hand, and as often right as they say."""

import itertools

import numpy as np
import pytest

from mmjax.metrics.information import trust


def test_units_of_a_ratio_have_the_figure_as_their_mean_and_its_standard_error(rng):
    np.testing.assert_allclose(trust.of_ratio(np.array([1, 0, 1, 1]), np.ones(4)), [1, 0, 1, 1])
    # 3 of 4 over the examples that count: the others stand at the figure itself and move nothing.
    np.testing.assert_allclose(trust.of_ratio(np.array([2, 0, 1]), np.array([2, 0, 2])), [1.125, 0.75, 0.375])
    assert np.isnan(trust.of_ratio(np.zeros(3), np.zeros(3))).all()
    count = rng.integers(1, 9, 4000)
    total = rng.binomial(count, 0.3).astype(float)
    units = trust.of_ratio(total, count)
    drawn = trust.weights(len(units), 400) @ np.stack([total, count], 1)
    assert units.mean() == pytest.approx(total.sum() / count.sum())
    assert units.std() / np.sqrt(len(units)) == pytest.approx(np.std(drawn[:, 0] / drawn[:, 1]), rel=0.15)


def test_units_of_blocks_of_a_mean_are_the_means_of_the_blocks(rng):
    values = rng.normal(size=40)
    units = trust.of_blocks(lambda at: values[at].mean(), 40, blocks=8)
    np.testing.assert_allclose(units, values.reshape(8, 5).mean(1), rtol=1e-9)
    both = trust.of_blocks(lambda at: np.array([np.median(values[at]), values[at].mean()]), 40, blocks=8)
    assert both[:, 0].mean() == pytest.approx(np.median(values))  # no mean, and still about its own value
    np.testing.assert_allclose(both[:, 1], units, rtol=1e-9)
    assert trust.of_blocks(lambda at: 2.0, 1).tolist() == [2.0]


def test_p_values_by_hand_and_exactly():
    assert trust.p_value(np.zeros(9), 99) == 1.0
    assert trust.p_value(np.ones(30), 199) == pytest.approx(1 / 200)  # no drawn set of signs is all alike
    values = np.array([1.0, 2.0, 3.0, 4.0, -1.0])
    signs = np.array(list(itertools.product((-1, 1), repeat=5)))
    exact = np.mean(np.abs(signs @ values) >= values.sum())
    few = trust.p_value(np.stack([values, 0 * values], 1), 19)  # all 32 permutations, however many are asked for
    np.testing.assert_allclose(few, [exact, 1])
    assert trust.p_value(np.ones(10), 200) == 2 / 2**10
    signs = np.array(list(itertools.product((-1, 1), repeat=13)))
    values = np.array([3.0, 2.0, 1.0, *np.ones(5), *-np.ones(5)])
    exact = np.mean(np.abs(signs @ values) >= values.sum())
    assert trust.p_value(values, 20_000) == pytest.approx(exact, abs=0.01)


def test_intervals_hold_the_truth_and_nulls_are_rejected_as_often_as_they_say(rng):
    held, rejected, rounds = 0, 0, 200
    weights = trust.weights(60, 300)
    for _ in range(rounds):
        values = rng.normal(size=60)
        low, high = trust.interval(weights @ values)
        held += low <= 0 <= high
        rejected += trust.p_value(values, 99, seed=int(rng.integers(1 << 30))) <= 0.05
    assert held / rounds > 0.88
    assert rejected / rounds < 0.11
    np.testing.assert_allclose(trust.weights(7, 5).sum(1), 1)


def test_few_runs_by_students_t():
    """Of 1, 2 and 3: 2, and t(.975, 2) = 4.302653 deviations of the mean, 1 / sqrt(3), to either side."""
    half = 4.302653 / np.sqrt(3)
    np.testing.assert_allclose(trust.over_runs(np.array([1.0, 2.0, 3.0])), [2, 2 - half, 2 + half], rtol=1e-6)
    assert trust.over_runs(np.ones((2, 4))).shape == (3, 4)
    np.testing.assert_array_equal(trust.over_runs(np.array([5.0])), [5, -np.inf, np.inf])
