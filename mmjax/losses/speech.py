"""Losses of networks that write speech frame by frame: of the frames, of the end, and of where they look.

Each is a mean over an example's own steps, so that neither the padding nor the other examples of a batch change it.
(NVIDIA's Tacotron 2 divides by the padded size, so that a sentence beside a longer one counts less.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.errors import OptionError


def mel_error(
    predicted: Float[Array, "b t m"], target: Float[Array, "b t m"], where: Bool[Array, "b t"]
) -> Float[Array, " b"]:
    """The mean squared error of the frames that count (Shen et al. 2018, section 2.2: before and after the postnet).

    Args:
      predicted: frames, any float dtype.
      target: the true ones.
      where: False in the padding, which may hold anything.

    Returns:
      [b], float32; 0 for an example without a frame.
    """
    real = where[..., None]
    difference = jnp.where(real, predicted, 0.0).astype(jnp.float32) - jnp.where(real, target, 0.0).astype(jnp.float32)
    frames = jnp.maximum(jnp.sum(where, 1, dtype=jnp.float32), 1.0)
    return jnp.sum(jnp.square(difference), (1, 2)) / (frames * predicted.shape[-1])


def gate_error(logits: Float[Array, "b s"], steps: Int[Array, " b"], positive: float = 1.0) -> Float[Array, " b"]:
    """Binary cross-entropy of a gate that is to open at each example's last step and at no other, in nats a step.

    One step of hundreds is the last, and users report gates that never open: a weight of the positive step helps.

    Args:
      logits: that a step is the last.
      steps: of each example; what lies beyond does not count.
      positive: weight of the last step; 1 is NVIDIA's and the paper's.

    Returns:
      [b], float32; 0 for an example without a step.

    Raises:
      OptionError: a weight that is not above 0.
    """
    if positive <= 0:
        raise OptionError("positive", f"is {positive}: the weight of the last step must be above 0")
    at = jnp.arange(logits.shape[1], dtype=jnp.int32)[None]
    where, last = at < steps[:, None], at == steps[:, None] - 1
    logits = jnp.where(where, logits.astype(jnp.float32), 0.0)
    values = jnp.where(last, -positive * jax.nn.log_sigmoid(logits), -jax.nn.log_sigmoid(-logits))
    return jnp.sum(jnp.where(where, values, 0.0), 1) / jnp.maximum(steps.astype(jnp.float32), 1.0)


def off_diagonal(
    attention: Float[Array, "b s u"], steps: Int[Array, " b"], length: Int[Array, " b"], width: float = 0.2
) -> Float[Array, " b"]:
    """How much attention lies off the diagonal, 0 to 1: the guided attention of Tachibana et al. 2017, eq. 5 and 6.

    W = 1 - exp(-(u / U - s / S)^2 / 2 g^2), averaged here over steps and added up over symbols, whose weights add up
    to 1. (The paper's mean over both is U times smaller, and so fades in longer sentences.)

    Args:
      attention: of each step over symbols, adding up to 1.
      steps: S of each example; what lies beyond does not count.
      length: U of each example, its symbols.
      width: g.

    Returns:
      [b], float32; 0 for an example without a step.

    Raises:
      OptionError: a width that is not above 0.
    """
    if width <= 0:
        raise OptionError("width", f"is {width}: the diagonal's width must be above 0")

    def share(count, size):
        return jnp.arange(size, dtype=jnp.float32)[None] / jnp.maximum(count.astype(jnp.float32), 1.0)[:, None]

    distance = share(steps, attention.shape[1])[:, :, None] - share(length, attention.shape[2])[:, None]
    where = jnp.arange(attention.shape[1])[None] < steps[:, None]
    where = where[..., None] & (jnp.arange(attention.shape[2])[None] < length[:, None])[:, None]
    weight = 1.0 - jnp.exp(-jnp.square(distance) / (2 * width**2))
    total = jnp.sum(jnp.where(where, attention.astype(jnp.float32) * weight, 0.0), (1, 2))
    return total / jnp.maximum(steps.astype(jnp.float32), 1.0)
