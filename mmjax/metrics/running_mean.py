"""The mean of something over the training examples seen so far: a trivial guess at it, kept in a task's `state`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from mmjax.ops import collective


def fresh(shapes: Any) -> dict[str, Any]:
    """A mean of nothing: zeros in the shape of each leaf, an array or anything else with a shape."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.float32), shapes)
    return {"mean": zeros, "count": jnp.float32(0)}


def follow(known: dict[str, Any], batch: Any, where: Bool[Array, " b"] | None = None) -> dict[str, Any]:
    """The mean after one more training batch of leaves [b ...], of all examples or of those that count.

    The same on all devices; a batch of which none counts changes nothing.
    """
    weight = jnp.ones(len(jax.tree.leaves(batch)[0])) if where is None else where.astype(jnp.float32)
    count = known["count"] + collective.total(jnp.sum(weight))

    def moved(old: Array, new: Array) -> Array:
        apart = (new.astype(jnp.float32) - old[None]) * weight.reshape(-1, *[1] * old.ndim)
        return old + collective.total(jnp.sum(apart, 0)) / jnp.maximum(count, 1.0)

    return {"mean": jax.tree.map(moved, known["mean"], batch), "count": count}
