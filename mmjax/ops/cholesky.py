"""Positive semi-definite systems in float32, without LAPACK: whatever depends on what came before is left out.

`jnp.linalg.cholesky` gives NaN for a matrix that rounding has made indefinite, and a program with several batched calls
of LAPACK and Fourier transforms was seen to stand still for ever on a CPU of two cores (jaxlib 0.10.2). Here a pivot
that is too small drops its row and column, and all but the blocks on the diagonal is a product of matrices.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

BLOCK = 64  # rows: of these a factor is made row by row
SPAN = 256  # rows that one program is made for
_DROPPED = 1e10  # on the diagonal of the factor, for a row that is left out: its solution is 0


class Factor(NamedTuple):
    """L with L L^T = the matrix, and the inverses of the blocks on its diagonal."""

    lower: Float[Array, "k k"]
    inverses: Float[Array, "blocks b b"]


def factor(matrix: Float[Array, "k k"], least: float) -> Factor:
    """The Cholesky factor of one symmetric matrix; `vmap` it for several. Only the lower half is read.

    Args:
      matrix: k a multiple of BLOCK, or smaller than it.
      least: a pivot up to this is taken for 0, and so is its row of the solution. The diagonal should be about 1.
    """
    k = len(matrix)
    size = min(BLOCK, k)
    number = jnp.arange(k, dtype=jnp.int32)[:, None]
    lower, inverses = jnp.zeros_like(matrix), jnp.zeros((k // size, size, size), matrix.dtype)
    for above in range(0, k, SPAN):  # what is known to be zero is left out of the products, a span at a time
        here = min(above + SPAN, k)

        def step(block, state, above=above, here=here):
            lower, inverses = state
            at = block * size
            rows = lax.dynamic_slice(lower, (at, 0), (size, here))
            panel = lax.dynamic_slice(matrix, (above, at), (k - above, size))
            panel = panel - _product(lower[above:, :here], rows.T)
            low, inverse = inverted(lax.dynamic_slice(panel, (at - above, 0), (size, size)), least)
            panel = jnp.where(number[above:] >= at + size, _product(panel, inverse.T), 0)
            panel = lax.dynamic_update_slice(panel, low, (at - above, 0))
            lower = lax.dynamic_update_slice(lower, panel, (above, at))
            return lower, lax.dynamic_update_slice(inverses, inverse[None], (block, 0, 0))

        lower, inverses = lax.fori_loop(above // size, here // size, step, (lower, inverses))
    return Factor(lower, inverses)


def leading(made: Factor, k: int) -> Factor:
    """The factor of the first k rows and columns; k a multiple of BLOCK."""
    return Factor(made.lower[:k, :k], made.inverses[: k // made.inverses.shape[-1]])


def inverted(matrix: Float[Array, "k k"], least: float) -> tuple[Float[Array, "k k"], Float[Array, "k k"]]:
    """L and its inverse, row by row: for a small matrix."""
    k = len(matrix)
    number = jnp.arange(k, dtype=jnp.int32)

    def step(i, state):
        lower, rest, inverse = state
        column = jnp.take(rest, i, axis=1)
        pivot = jnp.take(column, i)
        root = jnp.where(pivot > least, jnp.sqrt(jnp.maximum(pivot, least)), _DROPPED)
        column = jnp.where(number > i, column, 0) / root
        row = jnp.take(inverse, i, axis=0) / root
        inverse = jnp.where((number == i)[:, None], row[None], inverse - column[:, None] * row[None])
        lower = jnp.where((number == i)[None], jnp.where(number == i, root, column)[:, None], lower)
        return lower, rest - column[:, None] * column[None], inverse

    start = (jnp.zeros_like(matrix), matrix, jnp.eye(k, dtype=matrix.dtype))
    lower, _, inverse = lax.fori_loop(0, k, step, start)
    return lower, inverse


def solve(made: Factor, right: Float[Array, "k m"]) -> Float[Array, "k m"]:
    """x of L L^T x = right."""
    blocks, size = made.inverses.shape[:2]

    def forward(block, found):
        at = block * size
        rows = lax.dynamic_slice(made.lower, (at, 0), (size, len(right)))
        rest = lax.dynamic_slice_in_dim(right, at, size) - _product(rows, found)
        return lax.dynamic_update_slice_in_dim(found, _product(made.inverses[block], rest), at, 0)

    def backward(turn, found):
        block = blocks - 1 - turn
        at = block * size
        columns = lax.dynamic_slice(made.lower, (0, at), (len(right), size))
        rest = lax.dynamic_slice_in_dim(halfway, at, size) - _product(columns.T, found)
        return lax.dynamic_update_slice_in_dim(found, _product(made.inverses[block].T, rest), at, 0)

    halfway = lax.fori_loop(0, blocks, forward, jnp.zeros_like(right))
    return lax.fori_loop(0, blocks, backward, jnp.zeros_like(right))


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)
