"""The trivial predictor of a classifier, learned on the way: the mean target of the training examples seen so far.

It lives in a task's `state`, so that every evaluation has its baselines at hand and a resumed run keeps them.
"""

from __future__ import annotations

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.ops import collective

Prior = dict[str, Array]


def fresh(classes: int) -> Prior:
    """A uniform prior that weighs as much as one batch."""
    uniform = jnp.full(classes, 1.0 / classes, jnp.float32)  # a weak type would have the step compiled twice
    return {"mean": uniform, "top": uniform, "batches": jnp.float32(1)}


def follow(prior: Prior, target: Float[Array, "b c"], where: Bool[Array, " b"] | None = None) -> Prior:
    """The prior after one more training batch.

    Args:
      prior: "mean" [c], the mean target distribution; "top" [c], how often each class was the target's most likely.
      target: [b c] distributions.
      where: [b], examples that count; a batch without any changes nothing.

    Returns:
      The running means over batches; the same on all devices.
    """
    weight = jnp.ones(len(target)) if where is None else where.astype(jnp.float32)
    seen = {"mean": target, "top": jax.nn.one_hot(jnp.argmax(target, -1), target.shape[-1])}
    total = collective.total(jnp.sum(weight))
    batches = prior["batches"] + jnp.float32(total > 0)
    means = {k: collective.total(weight @ v) / jnp.maximum(total, 1.0) for k, v in seen.items()}
    moved = {k: prior[k] + jnp.where(total > 0, (means[k] - prior[k]) / batches, 0.0) for k in means}
    return {**moved, "batches": batches}


def majority(prior: Prior) -> Array:
    """The class that was most often the target's most likely, int32 []."""
    return jnp.argmax(prior["top"])


def counted(counts: Float[Array, "k c"], kind: Int[Array, " b"], target: Float[Array, "b c"]) -> Float[Array, "k c"]:
    """How often each class was the target of each kind of example, after one more batch; kind -1 is of none."""
    return counts + collective.total(jax.nn.one_hot(kind, len(counts)).T @ target)


def majority_of(counts: Float[Array, "k c"], kind: Int[Array, " b"], otherwise: Int[Array, " b"]) -> Int[Array, " b"]:
    """The most frequent class of each example's kind, see `counted`; `otherwise` where none was counted."""
    own = counts[jnp.maximum(kind, 0)]
    known = (jnp.sum(own, -1) > 0) & (kind >= 0)
    return jnp.where(known, jnp.argmax(own, -1), otherwise)
