"""Log power spectra as scipy.signal.spectrogram gives them, which LVS, EZ-VSL and SLAVC are trained on."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmjax.ops.sound import framing

FLOOR = 1e-7  # added to the density before its logarithm


@functools.lru_cache(maxsize=8)
def tukey(length: int, share: float = 0.25) -> Float[np.ndarray, " length"]:
    """A Tukey window as scipy makes it for spectra: a cosine's flanks over a share of its length; float64."""
    n = np.arange(length) / length  # one period, of which the symmetric window would have a sample more
    flank = np.minimum(np.minimum(n, 1 - n) / (share / 2), 1)
    window = 0.5 * (1 - np.cos(np.pi * flank))
    window.flags.writeable = False
    return window


def log_density(
    waveform: Float[Array, "b time"], sample_rate: float, length: int = 512, hop: int = 238
) -> Float[Array, "b freq frames"]:
    """log(power spectral density + 1e-7), one-sided, of frames whose mean is taken off.

    Args:
      waveform: in -1..1, at least one frame.
      sample_rate: in Hz.
      length: samples of a frame: 512 in the official codes.
      hop: samples from one frame to the next: 512 - 274 there.

    Returns:
      [b, length // 2 + 1, 1 + (time - length) // hop] float32; about -16.1 where there is no sound.
    """
    window = tukey(length)
    sides = np.full(length // 2 + 1, 2.0)  # but 0 Hz and half the rate are there once
    sides[0] = 1.0
    if length % 2 == 0:
        sides[-1] = 1.0
    scale = jnp.asarray(sides / (sample_rate * np.sum(window**2)), jnp.float32)

    def density(frames):
        level = frames - jnp.mean(frames, -1, keepdims=True)
        spectra = jnp.fft.rfft(level * jnp.asarray(window, jnp.float32)[None, None])
        return (jnp.square(spectra.real) + jnp.square(spectra.imag)) * scale[None, None]

    found = framing.map_frames(density, waveform, length, hop)
    return jnp.log(jnp.swapaxes(found, 1, 2) + FLOOR)
