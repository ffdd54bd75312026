"""The short-time Fourier transform and its inverse as products with matrices, for runtimes without complex numbers.

A spectrum is [... frames 2 * freq] here: real parts, then imaginary ones.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from mmjax.ops.sound import framing, spectral
from mmjax.ops.sound.conventions import Convention, Sizes


def transform(x: Float[Array, "*b time"], s: Sizes, r: Convention) -> Float[Array, "*b frames 2*freq"]:
    """`spectral.stft` of sizes and rules that are resolved."""
    x = framing.padded(x, s.n_fft // 2 if r.center else 0, r.pad_mode)
    frames = framing.frame(x, spectral.frame_length(s, r), s.hop)
    return jnp.matmul(frames, jnp.asarray(_forward(s, r), x.dtype), precision=lax.Precision.HIGHEST)


def inverse(
    spectrum: Float[Array, "*b frames 2*freq"], s: Sizes, r: Convention, length: int | None
) -> Float[Array, "*b time"]:
    """`spectral.istft` of sizes and rules that are resolved."""
    frames = jnp.matmul(spectrum, jnp.asarray(_backward(s, r), spectrum.dtype), precision=lax.Precision.HIGHEST)
    return spectral.joined(frames, s, r, length)


@functools.lru_cache(maxsize=8)
def _forward(s: Sizes, r: Convention) -> np.ndarray:
    """Window and Fourier transform [length 2 * freq]."""
    cosines, sines = np.split(spectral.fourier(s, r), 2, 1)
    return np.concatenate([cosines, -sines], 1)


@functools.lru_cache(maxsize=8)
def _backward(s: Sizes, r: Convention) -> np.ndarray:
    """Inverse transform and window [2 * freq length]: each bin but the first, and of an even n_fft the last, stands
    for its mirror image, too."""
    twice = np.full(s.bins, 2.0)
    twice[0] = 1
    twice[-1] = 1 if s.n_fft % 2 == 0 else 2
    return _forward(s, r).T * np.concatenate([twice, twice])[:, None] / s.n_fft
