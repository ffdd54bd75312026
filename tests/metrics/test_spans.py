"""Which unit is spoken when, and pieces for ABX: against loops."""

import jax
import numpy as np

from mmjax.metrics import k_means, spans


def spoken(rng, rows=3, units=9):
    times = np.zeros((rows, units, 2), np.float32)
    ends = np.cumsum(rng.uniform(0.03, 0.1, (rows, units)), 1)
    times[..., 1], times[:, 1:, 0] = ends, ends[:, :-1]
    return times, rng.integers(0, 9, (rows, units)).astype(np.int32), np.array([9, 7, 5], np.int32)


def test_the_unit_of_each_step_against_a_loop(rng):
    times, units, length = spoken(rng)
    found = jax.jit(spans.at_steps, static_argnums=(3, 4))(times, units, length, 40, 0.02)
    for row in range(3):
        for step in range(40):
            now = [u for u in range(length[row]) if times[row, u, 0] <= np.float32(step * 0.02) < times[row, u, 1]]
            assert found[row, step] == (units[row, now[0]] if now else -1)
    assert (found == -1).any()


def test_pieces_against_a_loop(rng):
    times, units, length = spoken(rng)
    one, two = jax.jit(spans.chosen, static_argnums=1)(length, 2)
    for first in (one, two):
        assert np.all((first >= 1) & (first + spans.UNITS <= np.maximum(length[:, None] - 1, 5)))
    counts = spans.differ(units, length, one, two)
    vectors, count = rng.normal(size=(3, 30, 2)).astype(np.float32), np.array([30, 25, 9], np.int32)
    cut = jax.jit(spans.cut, static_argnums=4)(vectors, count, times, one, 0.02)
    for row in range(3):
        for piece in range(2):
            a, b = int(one[row, piece]), int(two[row, piece])
            said = [units[row, at : at + 3].tolist() for at in (a, b)]
            assert counts[row, piece] == (said[0] != said[1] and length[row] >= 6)
            begin, end = round(times[row, a, 0] / 0.02), round(times[row, a + 2, 1] / 0.02)
            wanted = vectors[row, begin : min(end, count[row])]
            assert cut.steps[2 * row + piece] == len(wanted)
            np.testing.assert_array_equal(cut.vectors[2 * row + piece, : len(wanted)], wanted)


def test_k_means_finds_clusters_that_are_apart(rng):
    middles = np.array([[0, 0], [9, 0], [0, 9], [9, 9]], np.float32)
    x = (middles[rng.integers(0, 4, 200)] + rng.normal(0, 0.3, (200, 2))).astype(np.float32)
    found = np.asarray(k_means.centres(jax.random.key(0), x, 4))
    own = np.argmin(np.sum((x[:, None] - middles[None]) ** 2, -1), 1)
    means = np.stack([x[own == k].mean(0) for k in range(4)])
    nearest = np.argmin(np.sum((means[:, None] - found[None]) ** 2, -1), 1)
    assert sorted(nearest) == [0, 1, 2, 3]
    np.testing.assert_allclose(found[nearest], means, atol=1e-4)
    same = k_means.centres(jax.random.key(0), np.ones((5, 2), np.float32), 3)
    np.testing.assert_array_equal(same[0], [1, 1])
