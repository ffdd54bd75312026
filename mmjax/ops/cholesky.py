"""Positive semi-definite systems in float32, without LAPACK: whatever depends on what came before is left out.

`jnp.linalg.cholesky` gives NaN for a matrix that rounding has made indefinite, and a program with several batched calls
of LAPACK and Fourier transforms was seen to stand still for ever on a CPU of two cores (jaxlib 0.10.2). Here a pivot
that is too small drops its row and column, and all but the blocks on the diagonal is a product of matrices.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

BLOCK = 64  # rows: of these a factor is made row by row
_DROPPED = 1e10  # on the diagonal of the factor, for a row that is left out: its solution is 0


def inverted(matrix: Float[Array, "k k"], least: float) -> tuple[Float[Array, "k k"], Float[Array, "k k"]]:
    """L with L L^T = the matrix, and its inverse; `vmap` it for several.

    Args:
      matrix: symmetric; only the lower half is read.
      least: a pivot up to this is taken for 0, and so is its row of any solution. The diagonal should be about 1.
    """
    k = matrix.shape[0]
    if k <= BLOCK:
        return _by_rows(matrix, least)
    half = k // 2
    first, first_inverse = inverted(matrix[:half, :half], least)
    below = product(matrix[half:, :half], first_inverse.T)
    last, last_inverse = inverted(matrix[half:, half:] - product(below, below.T), least)
    mixed = -product(last_inverse, product(below, first_inverse))
    zeros = jnp.zeros((half, k - half), matrix.dtype)
    return jnp.block([[first, zeros], [below, last]]), jnp.block([[first_inverse, zeros], [mixed, last_inverse]])


def product(a: Array, b: Array) -> Array:
    """Of matrices, in full precision."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def _by_rows(matrix, least):
    k = matrix.shape[0]
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
