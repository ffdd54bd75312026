"""Estimates that are early or late: by how many samples, and set right.

The distortion that BSS eval forgives is a causal filter: 1 to 511 samples late cost nothing there, one sample early as
much as noise. SI-SDR forgives neither.
"""

from __future__ import annotations

import jax.numpy as jnp
import scipy.fft
from jaxtyping import Array, Float, Int

from mmjax.errors import UserError


def delay(reference: Float[Array, "*b time"], estimate: Float[Array, "*b time"], most: int) -> Int[Array, "*b"]:
    """Samples by which an estimate is behind its reference, negative if it is early: -most..most.

    The place of the largest product of the two, whatever its sign; the smallest delay among equals, 0 for silence.

    Raises:
      UserError: other shapes, or `most` not in 0..time - 1.
    """
    time = reference.shape[-1]
    if reference.shape != estimate.shape or not 0 <= most < time:
        raise UserError(
            f"{reference.shape} and {estimate.shape} must agree, and {most} samples be fewer than they have"
        )
    size = scipy.fft.next_fast_len(time + most, real=True)
    s, x = (jnp.fft.rfft(v.astype(jnp.float32), size) for v in (reference, estimate))
    products = jnp.abs(jnp.fft.irfft(s.conj() * x, size))
    order = jnp.asarray(sorted(range(-most, most + 1), key=abs), jnp.int32)  # argmax takes the first of equals
    at = jnp.argmax(products[..., order % size], -1)
    return order[at]


def shifted(x: Float[Array, "*b time"], by: Int[Array, "*b"]) -> Float[Array, "*b time"]:
    """So many samples later, or earlier where `by` is negative; zeros move in, what moves out is lost."""
    time = x.shape[-1]
    at = jnp.arange(time, dtype=jnp.int32).reshape((1,) * (x.ndim - 1) + (-1,)) - by[..., None].astype(jnp.int32)
    found = jnp.take_along_axis(x, jnp.clip(at, 0, time - 1), -1)
    return jnp.where((at >= 0) & (at < time), found, jnp.zeros((), x.dtype))


def aligned(
    reference: Float[Array, "*b time"], estimate: Float[Array, "*b time"], most: int = 512, *, late: bool = False
) -> Float[Array, "*b time"]:
    """The estimate, moved so that it is not early; with `late` so that it is not late either.

    Args:
      reference: what it is an estimate of.
      estimate: of the same shape.
      most: samples that it may be early or late; more is not looked for.
      late: for SI-SDR, which BSS eval needs not.
    """
    by = delay(reference, estimate, most)
    return shifted(estimate, -by if late else jnp.maximum(-by, 0))
