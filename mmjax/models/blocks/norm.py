"""Batch normalisation whose statistics are global, float32, and kept in the collection "state"."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from mmjax.ops import collective

_OF_BATCH = contextvars.ContextVar("statistics_of_batch", default=False)


def of_batch() -> bool:
    """Whether an evaluation is normalised by its own batch, too, see `statistics_of_batch`. Known while tracing."""
    return _OF_BATCH.get()


@contextlib.contextmanager
def statistics_of_batch(chosen: bool = True) -> Iterator[None]:
    """What is traced inside is normalised by the batch and not by running statistics, which stay as they are.

    For a network that answers as in an evaluation and learns from it: a gradient that takes the statistics for
    constants fights with that of a training step.
    """
    before = _OF_BATCH.set(chosen)
    try:
        yield
    finally:
        _OF_BATCH.reset(before)


def moments(
    x: Float[Array, "*batch c"], where: Bool[Array, "*#batch"] | None = None
) -> tuple[Float[Array, " c"], Float[Array, " c"], Float[Array, ""]]:
    """Mean, biased variance and count of each channel, over every other axis and over all devices, in one pass.

    Sums are of x less the mean of the first entry along axis 0 in which something counts. That lies among the others,
    so that a mean large beside the deviation cancels nothing, and Var x = E[(x-s)^2] - (E[x]-s)^2 holds for any s.

    Args:
      x: [... c], any float dtype; sums are float32.
      where: [...], False for entries to leave out; may be 1 along an axis.

    Returns:
      mean [c], variance [c], count []: float32.
    """
    mask = None if where is None else jnp.broadcast_to(where[..., None], x.shape)
    count = jnp.float32(x.size // x.shape[-1]) if mask is None else jnp.sum(mask[..., 0], dtype=jnp.float32)
    mean, variance = _own(x, mask)
    return merge(mean, variance, count)


@jax.custom_jvp
def _own(x, mask):
    """Mean and variance [c] of this device's entries; `mask` of x's shape, or None."""
    axes, wide = tuple(range(x.ndim - 1)), x.astype(jnp.float32)
    if mask is None:
        shift = _mean(wide[:1], axes, None)
    else:
        first_real = jnp.argmax(jnp.any(mask, (*axes[1:], x.ndim - 1)))
        one = [lax.dynamic_slice_in_dim(a, first_real, 1) for a in (wide, mask)]
        shift = _mean(one[0], axes, one[1])
    first = _mean(wide - _along(shift, x), axes, mask)
    # Behind a barrier, and so a deviation of its own: one that two sums share is written down on a CPU, and read twice
    # (findings/shared_deviation.sh).
    second = _mean(jnp.square(wide - _along(lax.optimization_barrier(shift), x)), axes, mask)
    return shift + first, jnp.maximum(second - jnp.square(first), 0.0)


@_own.defjvp
def _own_jvp(primals, tangents):
    # Of the moments themselves, in which the shift has no part; no deviation is kept for it, but one made again.
    (x, mask), (change, _) = primals, tangents
    axes = tuple(range(x.ndim - 1))
    mean, variance = _own(x, mask)
    wide = change.astype(jnp.float32)
    deviation = x.astype(jnp.float32) - _along(mean, x)
    return (mean, variance), (_mean(wide, axes, mask), 2 * _mean(deviation * wide, axes, mask))


def _along(values, x):
    return values.reshape((1,) * (x.ndim - 1) + (-1,))


def _mean(x, axes, mask):
    if mask is None:
        return jnp.mean(x, axes)
    return jnp.sum(x, axes, where=mask) / jnp.maximum(jnp.sum(mask, axes, dtype=jnp.float32), 1.0)


def merge(
    mean: Float[Array, " c"], var: Float[Array, " c"], count: Float[Array, ""]
) -> tuple[Float[Array, " c"], Float[Array, " c"], Float[Array, ""]]:
    """The moments of all devices' entries together, from each device's own [c], [c], []; the identity under jit."""
    total = collective.total(count)
    weight = count / jnp.maximum(total, 1.0)
    whole = collective.total(mean * weight)
    return whole, collective.total((var + jnp.square(mean - whole)) * weight), total


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) over every axis but the last.

    The conventions are PyTorch's and Torch 7's: epsilon 1e-5; the batch is divided by its biased variance, while
    the running variance takes the unbiased one; running = (1 - momentum) running + momentum batch, which is a
    decay of 0.9 at the default. Flax's own module differs in all three.

    Statistics are those of the global batch, under jit and under pmap alike, and are float32 whatever `dtype` is.
    Parameters `scale` and `bias` are in "params", `mean` and `var` in "state"; `module.init` leaves 0 and 1 there.

    Attributes:
      momentum: share of the new batch in the running statistics.
      epsilon: added to the variance.
      dtype: of the output; None keeps the input's.
      scale_init: initialiser of the gain.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5
    dtype: Any = None
    scale_init: nn.initializers.Initializer = nn.initializers.ones

    def __call__(
        self, x: Float[Array, "*batch c"], *, train: bool, where: Bool[Array, "*#batch"] | None = None
    ) -> Float[Array, "*batch c"]:
        """Normalises x [... c] by the batch's own statistics (`train`) or by the running ones.

        `where` [...] keeps padding out of the statistics; padded entries are normalised like any other.
        """
        gain, offset = self.of(x, train=train, where=where)
        lead = (1,) * (x.ndim - 1) + (-1,)
        y = x.astype(jnp.float32) * gain.reshape(lead) + offset.reshape(lead)
        return y.astype(self.dtype or x.dtype)

    def of(
        self, x: Float[Array, "*batch c"], *, train: bool, where: Bool[Array, "*#batch"] | None = None
    ) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        """The gain and offset [c] of `affine` for x, for who applies them otherwise; arguments as of a call."""
        return self.affine(x.shape[-1], moments(x, where) if train or of_batch() else None)

    @nn.compact
    def affine(
        self, channels: int, batch: tuple[Array, Array, Array] | None = None
    ) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        """The gain and offset [c] by which this layer maps x to x * gain + offset, float32.

        Args:
          channels: c.
          batch: what `moments` gave, in training; the running statistics are then updated. None to use those.
        """
        scale = self.param("scale", self.scale_init, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        mean = self.variable("state", "mean", jnp.zeros, (channels,), jnp.float32)
        var = self.variable("state", "var", jnp.ones, (channels,), jnp.float32)
        use = (mean.value, var.value)
        if batch is not None:
            use = batch[:2]
            if not self.is_initializing() and self.is_mutable_collection("state"):
                n = batch[2]
                unbiased = batch[1] * (n / jnp.maximum(n - 1.0, 1.0))
                mean.value += self.momentum * (lax.stop_gradient(batch[0]) - mean.value)
                var.value += self.momentum * (lax.stop_gradient(unbiased) - var.value)
        gain = scale * lax.rsqrt(use[1] + self.epsilon)
        return gain, bias - use[0] * gain
