"""Another example for each one, drawn at random on the device."""

from __future__ import annotations

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Int, Key


def partners(valid: Bool[Array, " b"], key: Key[Array, ""]) -> Int[Array, " b"]:
    """Another valid example for each one, drawn at random, int32 [b]: a cyclic shift of a random order."""
    drawn = jax.random.uniform(key, valid.shape)
    order = jnp.argsort(jnp.where(valid, drawn, 2.0))  # what is not valid comes last
    place, count = jnp.arange(valid.shape[0]), jnp.maximum(jnp.sum(valid, dtype=jnp.int32), 1)
    following = order[jnp.where(place < count, (place + 1) % count, place)]
    return jnp.zeros_like(order).at[order].set(following)
