"""Scale-invariant signal-to-distortion ratio: differentiable, batched, with values for silence."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.errors import UserError
from mmjax.metrics.separation.bss_eval_host import UNDEFINED

FLOOR = 1e-37  # of an energy whose logarithm is taken: float32 ends below


def si_sdr(
    reference: Float[Array, "*#b time"], estimate: Float[Array, "*#b time"], *, subtract_mean: bool = False
) -> Float[Array, "*b"]:
    """10 log10 of |a s|^2 / |a s - x|^2, with a = <x, s> / |s|^2 (Le Roux et al. 2019, eq. 4-5), in dB.

    The level of either changes nothing, and neither does its sign. A sample early or late costs as it does in the
    waveform.

    Args:
      reference: s, any float dtype; leading axes broadcast against each other's.
      estimate: x.
      subtract_mean: of both beforehand, over time. The paper takes signals without a mean for granted; torchmetrics and
        fast_bss_eval leave it in, asteroid takes it out: an offset of half a deviation costs 94 dB otherwise.

    Returns:
      [...] float32. -inf for a silent estimate and for one with nothing of the reference in it; `UNDEFINED` where the
      reference is silent, whatever the estimate is. A perfect estimate has no more than 140 dB: float32 ends there. The
      gradient is 0 where the value is -inf or undefined.

    Raises:
      UserError: other lengths.
    """
    if reference.shape[-1:] != estimate.shape[-1:]:
        raise UserError(f"the reference has shape {reference.shape}, the estimate {estimate.shape}: other lengths")
    s, x = _level(reference, subtract_mean), _level(estimate, subtract_mean)
    sounding, heard = jnp.sum(jnp.square(s), -1) > 0, jnp.sum(jnp.square(x), -1) > 0
    s, x = (jnp.where(there[..., None], v, 1) for v, there in ((s, sounding), (x, heard)))
    share = jnp.sum(s * x, -1, keepdims=True) / jnp.sum(jnp.square(s), -1, keepdims=True)
    target = share * s
    signal, noise = (jnp.maximum(jnp.sum(jnp.square(v), -1), FLOOR) for v in (target, target - x))
    value = jnp.minimum(10 * (jnp.log10(signal) - jnp.log10(noise)), 140.0)
    value = jnp.where(heard & (signal > FLOOR), value, -jnp.inf)
    return jnp.where(sounding, value, UNDEFINED)


def _level(x: Array, subtract_mean: bool) -> Array:
    """float32, the largest sample 1: no square of it ends in 0."""
    x = x.astype(jnp.float32)
    x = x - jnp.mean(x, -1, keepdims=True) if subtract_mean else x
    peak = jnp.max(jnp.abs(x), -1, keepdims=True)
    return x / jnp.where(peak > 0, peak, 1)


def mean_of(
    decibels: Float[Array, "*b"], where: Bool[Array, "*b"] | None = None, floor: float = -30.0
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(total, count) of figures in dB.

    Args:
      decibels: any of this room's; `UNDEFINED` ones are left out and not counted.
      where: which of them count.
      floor: what is below counts as this much, so that one silent estimate costs a fixed amount and not everything.
    """
    defined = ~jnp.isnan(decibels)
    where = defined if where is None else defined & where
    return jnp.sum(jnp.maximum(decibels, floor), where=where), jnp.sum(where, dtype=jnp.float32)


def improvement(estimate: Float[Array, "*b"], mixture: Float[Array, "*b"], floor: float = -30.0) -> Float[Array, "*b"]:
    """How many dB an estimate's figure is above that of the mixture itself; neither counts as less than `floor`.

    `UNDEFINED` where either is. Of a silent estimate it is floor minus the mixture's figure, and not -inf.
    """
    return jnp.maximum(estimate, floor) - jnp.maximum(mixture, floor)
