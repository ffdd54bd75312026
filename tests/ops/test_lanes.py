"""Sums of rows of any length, by pieces that do not fit it."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.ops import lanes


@pytest.mark.parametrize("n", [1, 13, 14, 30])
def test_pieces_hold_a_row_in_order_and_what_fills_it_up(rng, n):
    row = rng.integers(-9, 9, (2, n)).astype(np.int32)
    parts = jax.jit(lambda row: lanes.pieces(row, -100))(row)
    assert len(parts) == lanes.PIECES
    whole = np.concatenate(parts, -1)
    np.testing.assert_array_equal(whole[:, :n], row)
    assert (whole[:, n:] == -100).all()
    np.testing.assert_array_equal(lanes.joined(jnp.add, lanes.pieces(row, 0)).sum(-1), row.sum(-1))
