"""The mean of something over the training examples seen so far: a trivial guess at it, kept in a task's `state`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from mmjax.ops import collective


def fresh(shapes: Any) -> dict[str, Any]:
    """A mean of nothing: zeros in the shape of each leaf, an array or anything else with a shape."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.float32), shapes)
    return {"mean": zeros, "batches": jnp.float32(0)}


def follow(known: dict[str, Any], batch: Any) -> dict[str, Any]:
    """The mean after one more training batch of leaves [b ...]; the same on all devices."""
    batches = known["batches"] + jnp.float32(1)

    def moved(old: Array, new: Array) -> Array:
        return old + (collective.mean(jnp.mean(new.astype(jnp.float32), 0)) - old) / batches

    return {"mean": jax.tree.map(moved, known["mean"], batch), "batches": batches}
