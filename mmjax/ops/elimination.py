"""Many small symmetric systems of linear equations at once, without a call of a library."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def solve(matrix: Float[Array, "b n n"], right: Float[Array, "b n k"]) -> Float[Array, "b n k"]:
    """x of matrix x = right, by Gauss and Jordan with the largest pivot of each column, and one step of refinement.

    Not `jnp.linalg.solve`: on a CPU that calls LAPACK, whose calls share their work among the threads that they
    themselves run on, and wait. Several of them side by side in one program on two cores
    have been seen to wait for ever (jaxlib 0.10.2). For tens of unknowns these sweeps take no longer.

    Args:
      matrix: [b n n], symmetric (its gradient relies on it) and not singular; it may be indefinite.
      right: [b n k].
    """

    def product(x: Array) -> Array:
        return jnp.matmul(matrix, x, precision=lax.Precision.HIGHEST)

    def refined(_: object, wanted: Array) -> Array:
        found = _sweeps(matrix, wanted)
        return found + _sweeps(matrix, wanted - product(found))

    return lax.custom_linear_solve(product, right, refined, symmetric=True)


def _sweeps(matrix: Array, right: Array) -> Array:
    size = matrix.shape[1]
    rows = jnp.arange(size)

    def sweep(i: Array, whole: Array) -> Array:
        column = lax.dynamic_index_in_dim(whole, i, 2, keepdims=False)  # b n
        below = jnp.where(rows[None] >= i, jnp.abs(column), -1)
        pivot = jnp.argmax(below, 1)[:, None]  # b 1
        # Row i and the pivot's change places.
        order = jnp.where(rows[None] == i, pivot, jnp.where(rows[None] == pivot, i, rows[None]))
        whole = jnp.take_along_axis(whole, order[..., None], 1, mode="promise_in_bounds")
        row = lax.dynamic_index_in_dim(whole, i, 1)  # b 1 n+k
        row = row / lax.dynamic_index_in_dim(row, i, 2)
        factor = jnp.where((rows == i)[None, :, None], 0, lax.dynamic_index_in_dim(whole, i, 2))
        return jnp.where((rows == i)[None, :, None], row, whole - factor * row)

    whole = lax.fori_loop(0, size, sweep, jnp.concatenate([matrix, right], 2))
    return whole[:, :, size:]
