"""Dynamic time warping: a path by hand, and against the plain loop with its way back."""

import jax
import numpy as np

from mmjax.ops import dynamic_time_warping


def plain(costs):
    """The mean cost along the best path, cell by cell; of equal predecessors the diagonal one, then the one above."""
    n, m = costs.shape
    total = np.full((n, m), np.inf)
    for i in range(n):
        for j in range(m):
            before = [total[a, b] for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
            total[i, j] = costs[i, j] + min(before, default=0.0)
    i, j, long = n - 1, m - 1, 1
    while i or j:
        ways = [(a, b) for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
        i, j = min(ways, key=lambda at: total[at])
        long += 1
    return total[-1, -1] / long


def test_a_path_by_hand():
    costs = np.array([[[1, 9, 9, 7], [2, 9, 9, 7], [9, 3, 4, 7]]], np.float32)
    found = jax.jit(dynamic_time_warping.distance)(costs, np.array([3], np.int32), np.array([3], np.int32))
    np.testing.assert_allclose(found, [(1 + 2 + 3 + 4) / 4])  # down, down and right, right; the last column is padding


def test_against_the_plain_loop(rng):
    costs = rng.random((12, 9, 14)).astype(np.float32)
    costs[6:] = rng.integers(0, 2, (6, 9, 14)) / 2  # codes are equal or not, and paths often as good
    first, second = rng.integers(1, 10, 12).astype(np.int32), rng.integers(1, 15, 12).astype(np.int32)
    first[0], second[0], first[1], second[1] = 9, 14, 1, 1
    found = jax.jit(dynamic_time_warping.distance)(costs, first, second)
    wanted = [plain(row[:n, :m].astype(np.float64)) for row, n, m in zip(costs, first, second)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    behind = (np.arange(9)[:, None] >= first[:, None, None]) | (np.arange(14)[None, None] >= second[:, None, None])
    again = jax.jit(dynamic_time_warping.distance)(np.where(behind, np.nan, costs), first, second)
    np.testing.assert_array_equal(found, again)
