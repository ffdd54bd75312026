"""The pitch of a voice: the median of its fundamental frequency, by autocorrelation."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.errors import UserError
from mmjax.ops.sound import framing

FRAME, HOP = 0.04, 0.02  # seconds: two periods of the lowest pitch and more
VOICED = 0.5  # of a frame's energy that repeats after a period
LOUD = 0.01  # of the loudest frame's energy that a frame must have
OCTAVE = 0.85  # of the largest repetition: a shorter period with as much is the period, and not a multiple of it


def median_pitch(
    waveform: Float[Array, "*b time"], rate: int, lowest: float = 70.0, highest: float = 400.0
) -> Float[Array, "*b"]:
    """The median over voiced frames of the frequency whose period repeats the sound best (Rabiner 1977), in Hz.

    The autocorrelation of each frame is divided by that of a whole frame as long, so that long periods do not suffer,
    and its largest value is looked for between samples by a parabola.

    Args:
      waveform: of one voice.
      rate: in Hz.
      lowest, highest: in Hz, between which pitch is looked for.

    Returns:
      [...] float32; NaN where no frame is voiced.

    Raises:
      UserError: no such range, or a sound shorter than a frame.
    """
    length = round(FRAME * rate)
    first, last = int(rate / highest), -int(-rate // lowest)
    if not 2 <= first < last < length - 1:
        raise UserError(
            f"pitch from {lowest} to {highest} Hz cannot be told at {rate} Hz in frames of {length} samples"
        )
    frames = framing.frame(waveform, length, round(HOP * rate))
    frames = frames - jnp.mean(frames, -1, keepdims=True)
    spectrum = jnp.fft.rfft(frames, 2 * length)
    product = jnp.fft.irfft(jnp.square(jnp.abs(spectrum)), 2 * length)[..., : last + 2]
    energy = product[..., 0]
    lags = jnp.arange(last + 2, dtype=jnp.float32)
    share = length / (length - lags)
    repeats = product * share.reshape((1,) * (product.ndim - 1) + (-1,)) / jnp.maximum(energy, 1e-12)[..., None]
    inside = repeats[..., first : last + 1]
    before, after = repeats[..., first - 1 : last], repeats[..., first + 1 : last + 2]
    peak = (inside >= before) & (inside >= after)
    best = jnp.max(jnp.where(peak, inside, 0), -1, keepdims=True)
    at = jnp.argmax(peak & (inside >= OCTAVE * best), -1)[..., None]
    low, middle, high = (jnp.take_along_axis(x, at, -1) for x in (before, inside, after))
    bend = jnp.minimum(low - 2 * middle + high, -1e-6)
    period = (at.astype(jnp.float32) + first + 0.5 * (low - high) / bend)[..., 0]
    voiced = (best[..., 0] > VOICED) & (energy > LOUD * jnp.max(energy, -1, keepdims=True))
    return jnp.nanmedian(jnp.where(voiced, rate / period, jnp.nan), -1)
