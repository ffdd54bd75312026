"""The parts of what two sides tell: values known from the papers, and planted samples."""

import numpy as np
import pytest

from mmjax.metrics.information import decomposition, quantise


def table(answer, one=2, two=2, classes=2):
    """Two independent uniform sides and an answer that is a function of them."""
    p = np.zeros((one, two, classes))
    for a in range(one):
        for b in range(two):
            p[a, b, answer(a, b)] = 1 / one / two
    return p


def test_known_values():
    """Bertschinger et al. 2014, table 1: AND has .311 bits redundant and .5 synergistic."""
    expected = {
        "xor": (table(lambda a, b: a ^ b), (0, 0, 0, 1)),
        "and": (table(lambda a, b: a & b), (0.3113, 0, 0, 0.5)),
        "first": (table(lambda a, b: a), (0, 1, 0, 0)),
        "sum": (table(lambda a, b: a + b, classes=3), (0.5, 0, 0, 1)),
        "both": (table(lambda a, b: 2 * a + b, classes=4), (0, 1, 1, 0)),
        "copy": (np.diag([0.5, 0.5])[:, :, None] * np.eye(2)[:, None], (1, 0, 0, 0)),
    }
    for name, (p, values) in expected.items():
        np.testing.assert_allclose(decomposition.parts(p), values, atol=1e-3, err_msg=name)
    several = decomposition.parts(np.stack([expected["xor"][0], expected["first"][0]]))
    np.testing.assert_allclose(several, [(0, 0, 0, 1), (0, 1, 0, 0)], atol=1e-3)


def test_the_least_is_least_against_random_distributions_with_the_same_pairs(rng):
    """Any q with the pairs of p is p plus multiples of the four corners of squares (x1, x2) with one answer."""
    p = rng.dirichlet(np.ones(12)).reshape(2, 3, 2)
    found = float(decomposition.least(p, rounds=20_000, tolerance=1e-10))
    corner = np.array([[1.0, -1.0], [-1.0, 1.0]])
    for _ in range(300):
        q = p.copy()
        for y in range(2):
            columns = rng.choice(3, 2, replace=False)
            room = np.min(q[:, columns, y])
            q[:, columns, y] += rng.uniform(-room, room) * corner
        assert q.min() >= -1e-12
        np.testing.assert_allclose(q.sum(0), p.sum(0), atol=1e-12)
        np.testing.assert_allclose(q.sum(1), p.sum(1), atol=1e-12)
        assert found <= decomposition.information(np.maximum(q, 0).reshape(-1, 2)) + 1e-6


def claimed(found):
    return [part for part in decomposition.PARTS if found.claimed(part)]


def test_planted_samples_at_a_thousand_examples(rng):
    """XOR is all synergy, a copy all redundant, noise tells nothing, and of independent data nothing is claimed."""
    n, few = 1000, {"shuffles": 60, "draws": 60}
    one, two = rng.integers(0, 4, (2, n))
    xor = decomposition.decompose(one, two, (one // 2) ^ (two // 2), **few)
    assert claimed(xor) == ["synergy"]
    assert xor.value[3] == pytest.approx(1, abs=0.05)
    assert np.all(np.abs(xor.value[:3]) < 0.01)
    copy = decomposition.decompose(one, one, one // 2, **few)
    assert claimed(copy) == ["redundant"]
    assert copy.value[0] == pytest.approx(1, abs=0.02)
    noise = decomposition.decompose(one, two, one // 2, **few)
    assert claimed(noise) == ["unique1"]
    assert noise.low[2] <= 0 <= noise.high[2]
    assert abs(noise.value[3]) < 0.03
    nothing = decomposition.decompose(one, two, rng.integers(0, 6, n), **few)
    assert claimed(nothing) == []
    assert np.all(nothing.low <= 0)
    assert np.all(nothing.high >= 0)
    assert nothing.bias[3] > 0.02  # what the table itself would have claimed


def test_a_table_that_is_too_sparse_is_refused(rng):
    one, two, answer = rng.integers(0, 20, 1000), rng.integers(0, 20, 1000), rng.integers(0, 6, 1000)
    with pytest.raises(
        decomposition.SparseTable, match="1,000 examples are too few for a table of 20 x 20 x 6 cells: it needs 24,000"
    ):
        decomposition.decompose(one, two, answer)


def test_clusters_are_found_again(rng):
    centres = np.array([[0, 0], [9, 0], [0, 9]], float)
    points = centres[rng.integers(0, 3, 300)] + rng.normal(size=(300, 2))
    found = quantise.centres(points, 3)
    np.testing.assert_allclose(sorted(map(tuple, found.round())), sorted(map(tuple, centres)), atol=1)
    naive = np.argmin(np.linalg.norm(points[:, None] - found[None], axis=-1), 1)
    np.testing.assert_array_equal(quantise.assign(points, found), naive)
    assert len(quantise.centres(np.ones((5, 2)), 3)) == 1  # equal points are one cluster
