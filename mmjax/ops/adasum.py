"""Adaptive summation: one change from the changes that several workers made to the same rows.

Maleki et al. 2021, "Scaling Distributed Training with Adaptive Summation", eq. 4. Changes in unrelated directions are
added, since both are news; changes in the same direction are averaged, since each worker has already gone that way.
"""

from __future__ import annotations

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float


def combine(a: Float[Array, "*rows d"], b: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
    """(1 - a.b / 2|a|^2) a + (1 - a.b / 2|b|^2) b, row by row; a row that one of the two left alone is the other's."""
    both = jnp.sum(a * b, -1, keepdims=True)
    return _rest(both, a) * a + _rest(both, b) * b


def _rest(both: jax.Array, x: jax.Array) -> jax.Array:
    length = jnp.sum(x * x, -1, keepdims=True)
    return 1 - jnp.where(length > 0, both / jnp.where(length > 0, 2 * length, 1), 0)


def tree(changes: Float[Array, "r *rows d"]) -> Float[Array, "*rows d"]:
    """All r changes in one, pair by pair; r is a power of two."""
    parts = [changes[i] for i in range(len(changes))]
    while len(parts) > 1:
        parts = [combine(parts[i], parts[i + 1]) for i in range(0, len(parts), 2)]
    return parts[0]
