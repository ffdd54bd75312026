"""Kullback-Leibler divergence of a student from a teacher's distribution."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import nn
from jaxtyping import Array, Bool, Float

_LOG_ZERO = -1e4  # exp gives exactly 0 in float32, and 0 * -1e4 is 0 where 0 * -inf is NaN


def kl(
    teacher_log_probs: Float[Array, "b *#s c"],
    student_logits: Float[Array, "b *s c"],
    where: Bool[Array, " b *s"] | None = None,
) -> Float[Array, " b"]:
    """KL(teacher || student) = sum_c p log(p / q) in nats, averaged over the steps of each example.

    SoundNet (Aytar et al. 2016, eq. 1) sums one such term per teacher; its factor of 250 belongs to the task.

    Args:
      teacher_log_probs: [b c] or [b s c], log-probabilities; -inf is allowed. A teacher of one step, [b 1 c], holds
        for every step of the student. Gradients flow into it; stop them where the teacher is fixed.
      student_logits: [b c] or [b s c], unnormalised, any float dtype; computed in float32.
      where: [b] or [b s], False for steps (or examples) that do not count, whatever they hold.

    Returns:
      [b], float32, >= 0; 0 for an example of which nothing counts.
    """
    teacher = jnp.maximum(teacher_log_probs.astype(jnp.float32), _LOG_ZERO)
    student = student_logits.astype(jnp.float32)
    if where is None:
        where = jnp.ones(student.shape[:-1], bool)
    # Masked entries become 0 before log-softmax: a NaN in the padding must not reach the gradient either.
    student = jnp.where(where[..., None], student, 0.0)
    teacher = jnp.where(where[..., None], teacher, _LOG_ZERO)
    values = optax.losses.kl_divergence_with_log_targets(nn.log_softmax(student), teacher)
    axes = tuple(range(1, values.ndim))
    return jnp.sum(values, axes) / jnp.maximum(jnp.sum(where, axes, dtype=jnp.float32), 1.0)
