"""The k-th largest against NumPy's sort: ties, signs, ends, tiny numbers."""

import jax
import numpy as np
import pytest

from mmjax.ops import order


@pytest.mark.parametrize("n", [1, 7, 1792, 4001])  # below, at and beyond a whole row of lanes
def test_it_is_the_sorted_value(rng, n):
    values = rng.standard_normal((6, n)).astype(np.float32)
    values[1] = np.round(values[1])  # many ties
    values[2] = 0.25
    values[3] *= 1e-40  # subnormal
    values[4] = np.abs(values[4]) * -1e30
    ranks = np.stack([rng.integers(1, n + 1, 6), np.full(6, 1), np.full(6, n)], 1).astype(np.int32)
    found = jax.jit(order.kth_largest)(values, ranks)
    np.testing.assert_array_equal(found, np.take_along_axis(np.sort(values, -1), n - ranks, -1))
