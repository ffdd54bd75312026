"""The k-th largest against NumPy's sort: ties, signs, ends, tiny numbers."""

import jax
import numpy as np
import pytest

from mmjax.ops import order


@pytest.mark.parametrize("n", [1, 7, 14, 4001])  # below, at and beyond a whole row of lanes
def test_it_is_the_sorted_value(rng, n):
    values = rng.standard_normal((9, n)).astype(np.float32)
    values[1] = np.round(values[1])  # many ties
    values[2] = 0.25
    values[3] *= 1e-40  # subnormal
    values[4] = np.abs(values[4]) * -1e30
    values[6] = np.exp(15 * values[6])  # nearly all of the range has nearly none of the numbers
    values[7] = np.where(values[7] > 0, np.inf, values[7])
    values[8] = np.maximum(values[8], 0)  # half of them tie at an end
    ranks = np.stack([rng.integers(1, n + 1, 9), np.full(9, 1), np.full(9, n)], 1).astype(np.int32)
    found = jax.jit(order.kth_largest)(values, ranks)
    np.testing.assert_array_equal(found, np.take_along_axis(np.sort(values, -1), n - ranks, -1))
