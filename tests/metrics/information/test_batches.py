"""The batch estimator on planted predictors: noise, XOR, a copy, one side alone, and the table that it agrees with."""

import numpy as np
import pytest

from mmjax.metrics.information import batches, decomposition

N = 512


def sure(bit, p=0.999):
    return np.where(np.eye(2)[bit] > 0, p, 1 - p)


@pytest.fixture
def bits(rng):
    return rng.integers(0, 2, (2, N))


HALF = np.full((N, 2), 0.5)


@pytest.mark.parametrize(
    ("sides", "wanted"),
    [
        (lambda a, b: (HALF, HALF, sure(a ^ b)), [0, 0, 0, 1]),
        (lambda a, b: (sure(a), sure(a), sure(a)), [1, 0, 0, 0]),
        (lambda a, b: (sure(a), HALF, sure(a)), [0, 1, 0, 0]),
        (lambda a, b: (HALF, HALF, HALF), [0, 0, 0, 0]),
    ],
    ids=["xor", "copy", "one side", "noise"],
)
def test_planted_sides(bits, sides, wanted):
    found = batches.parts(*sides(*bits))
    assert found.parts.shape == (4, 4)
    np.testing.assert_allclose(found.value, wanted, atol=0.03)
    low, high = found.interval
    assert (low <= found.value).all()
    assert (high >= found.value).all()


def test_it_agrees_with_the_table_where_the_sides_are_bits():
    """Of `and`, each of the four pairs as often: Bertschinger et al. have 0.311 redundant and 0.5 synergistic bits."""
    a, b = (np.arange(128) & 1), (np.arange(128) >> 1 & 1)
    one, two = (np.stack([1 - bit / 2, bit / 2], 1) for bit in (a, b))
    found = batches.parts(one, two, np.eye(2)[a & b]).value
    p = np.zeros((2, 2, 2))
    p[a, b, a & b] = 0.25
    np.testing.assert_allclose(found, decomposition.parts(p), atol=5e-3)
    np.testing.assert_allclose(found, [0.3113, 0, 0, 0.5], atol=5e-3)


def test_means_are_matched_and_rows_stay_probabilities(rng):
    said = rng.dirichlet(np.ones(4), 50)
    answer = np.array([0.4, 0.3, 0.2, 0.1])
    found = batches.matched(said, answer)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(found.mean(0), answer, atol=1e-6)
    order = np.argsort(said[:, 0] / said[:, 1])
    assert (np.diff((found[:, 0] / found[:, 1])[order]) >= -1e-9).all()  # each class by its own factor


def test_few_examples_are_one_batch(bits):
    few = [side[:20] for side in (HALF, HALF, sure(bits[0]))]
    assert batches.parts(*few).parts.shape == (1, 4)
