"""Cross-entropy against a distribution over classes or against one class, per example."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int


def soft_cross_entropy(
    logits: Float[Array, "b c"], target: Float[Array, "b c"], where: Bool[Array, " b"] | None = None
) -> Float[Array, " b"]:
    """-sum_c target_c log softmax(logits)_c in nats.

    Args:
      logits: [b c], unnormalised, any float dtype; computed in float32.
      target: [b c], probabilities.
      where: [b], False for examples that do not count, whatever they hold.

    Returns:
      [b], float32, at least the target's entropy; 0 where `where` is False.
    """
    logits, target = logits.astype(jnp.float32), target.astype(jnp.float32)
    if where is None:
        return optax.losses.softmax_cross_entropy(logits, target)
    # Masked before the logarithm: a NaN in the padding must not reach the gradient either.
    logits, target = (jnp.where(where[:, None], x, 0.0) for x in (logits, target))
    return optax.losses.softmax_cross_entropy(logits, target)


def cross_entropy(
    logits: Float[Array, "b c"], label: Int[Array, " b"], where: Bool[Array, " b"] | None = None
) -> Float[Array, " b"]:
    """-log softmax(logits)_label in nats.

    Args:
      logits: [b c], unnormalised, any float dtype; computed in float32.
      label: [b], 0..c-1; a negative label does not count.
      where: [b], False for examples that do not count, whatever they hold.

    Returns:
      [b], float32; 0 for examples that do not count.
    """
    where = label >= 0 if where is None else where & (label >= 0)
    logits = jnp.where(where[:, None], logits.astype(jnp.float32), 0.0)
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(label, 0))
    return jnp.where(where, losses, 0.0)
