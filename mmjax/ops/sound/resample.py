"""Changing the sample rate by a filter bank: one filter for each phase of the output."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.signal
from jax import lax
from jaxtyping import Array, Float

from mmjax.errors import UserError
from mmjax.ops.sound import framing
from mmjax.ops.sound.conventions import Convention, resolve

LARGEST = 2**25  # weights in a filter bank: 128 MB; only rates without a common divisor come near


def resample(
    waveform: Float[Array, "*b time"],
    from_rate: int,
    to_rate: int,
    *,
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Float[Array, "*b time"]:
    """Changes the sample rate, with a low-pass filter below half of the lower rate.

    Args:
      waveform: [... time], floating point.
      from_rate: its rate in Hz, a whole number.
      to_rate: the rate wanted in Hz, a whole number.
      convention: sets the filter: "librosa" and "htk" SciPy's resample_poly (librosa's res_type="polyphase"),
        "torchaudio" its Hann-windowed sinc of 6 zero crossings, rolled off at 0.99.
      **rules: resampler ("polyphase" or "sinc").

    Returns:
      [... ceil(time * to_rate / from_rate)].

    Raises:
      UserError: rates that are no positive whole numbers, or whose ratio needs a filter bank of unreasonable size.
    """
    r = resolve(convention, rules)
    if from_rate != int(from_rate) or to_rate != int(to_rate) or min(from_rate, to_rate) < 1:
        raise UserError(f"rates {from_rate} and {to_rate} Hz: both must be whole numbers above 0")
    divisor = math.gcd(int(from_rate), int(to_rate))
    down, up = int(from_rate) // divisor, int(to_rate) // divisor
    if up == down:
        return waveform
    if not jnp.issubdtype(waveform.dtype, jnp.floating):
        raise UserError(f"the waveform is {waveform.dtype}: make it float in [-1, 1] first (int16: divide by 32768)")
    if up * (down + 20 * max(1, down // up)) > LARGEST:
        raise UserError(f"{from_rate} to {to_rate} Hz is {down}:{up}: choose rates with a larger common divisor")
    wanted = -(-waveform.shape[-1] * up // down)
    if not waveform.size:  # no rows, or rows without a sample
        return jnp.zeros((*waveform.shape[:-1], wanted), waveform.dtype)
    bank, left = _sinc(down, up) if r.resampler == "sinc" else _polyphase(down, up)
    x = waveform.reshape(-1, waveform.shape[-1])
    periods = -(-wanted // up)
    x = jnp.pad(x, [(0, 0), (left, 0)])
    x = framing.resized(x, (periods - 1) * down + bank.shape[1])
    frames = framing.frame(x, bank.shape[1], down)  # [n periods taps]
    y = jnp.matmul(frames, jnp.asarray(bank.T, x.dtype), precision=lax.Precision.HIGHEST)  # [n periods up]
    return y.reshape(*waveform.shape[:-1], -1)[..., :wanted]


@functools.lru_cache(maxsize=8)
def _polyphase(down: int, up: int) -> tuple[np.ndarray, int]:
    """The bank [up taps] of SciPy's resample_poly, and the samples before the first that it reaches for."""
    half = 10 * max(down, up)
    taps = up * scipy.signal.firwin(2 * half + 1, 1 / max(down, up), window=("kaiser", 5.0))
    left = half // up
    right = (half + (up - 1) * down) // up
    lag = np.arange(up)[:, None] * down - np.arange(-left, right + 1)[None] * up + half  # [up taps]
    inside = (lag >= 0) & (lag < taps.size)
    return np.where(inside, taps[np.clip(lag, 0, taps.size - 1)], 0.0), left


@functools.lru_cache(maxsize=8)
def _sinc(down: int, up: int, crossings: int = 6, rolloff: float = 0.99) -> tuple[np.ndarray, int]:
    """The bank [up taps] of Hann-windowed sincs, and the samples before the first that it reaches for."""
    cutoff = min(down, up) * rolloff
    left = math.ceil(crossings * down / cutoff)
    t = np.arange(-left, left + down)[None] / down - np.arange(up)[:, None] / up
    t = np.clip(t * cutoff, -crossings, crossings)
    return np.sinc(t) * np.cos(np.pi * t / crossings / 2) ** 2 * cutoff / down, left
