"""Sounds cut into segments: filters, and the first lags of correlations, by Fourier transforms that are short."""

from __future__ import annotations

import jax.numpy as jnp
import scipy.fft
from jax import lax
from jaxtyping import Array, Complex, Float

SEGMENT = 4096  # samples of a transform, at least: an eighth of it is overlap with filters of 512 taps


class Segments:
    """Sounds of `time` samples and the tails of filters, as `count` segments of `step` samples, `before` more in front.

    Args:
      time: samples of a sound.
      taps: of filters.
      before: at least taps - 1; with more, windows may first go through a filter of `before` - `taps` + 2 taps.
    """

    def __init__(self, time: int, taps: int, before: int):
        self.taps, self.before = taps, before
        self.size = max(SEGMENT, 1 << (4 * self.before - 1).bit_length())
        self.size = min(self.size, scipy.fft.next_fast_len(time + taps - 1 + self.before, real=True))
        self.step = self.size - self.before
        self.count = -(-(time + taps - 1) // self.step)

    def hops(self, x: Float[Array, "*b time"]) -> Float[Array, "*b count step"]:
        """Segments, with zeros for the tails of filters."""
        still = [(0, 0)] * (x.ndim - 1)
        return jnp.pad(x, [*still, (0, self.count * self.step - x.shape[-1])]).reshape(*x.shape[:-1], self.count, -1)

    def heads(self, hops: Float[Array, "*b count step"]) -> Complex[Array, "*b count f"]:
        """Spectra of segments with silence at the front."""
        return jnp.fft.rfft(jnp.pad(hops, [*[(0, 0)] * (hops.ndim - 1), (self.before, 0)]))

    def windows(self, hops: Float[Array, "*b count step"]) -> Complex[Array, "*b count f"]:
        """Spectra of segments with what was before them at the front."""
        still = [(0, 0)] * (hops.ndim - 2)
        earlier = jnp.pad(hops[..., :-1, max(self.step - self.before, 0) :], [*still, (1, 0), (0, 0)])
        earlier = jnp.pad(earlier, [*still, (0, 0), (self.before - earlier.shape[-1], 0)])
        return jnp.fft.rfft(jnp.concatenate([earlier, hops], -1))

    def after(self, spectra: Complex[Array, "*b count f"]) -> Float[Array, "*b count step"]:
        """What spectra are of, without the front."""
        return jnp.fft.irfft(spectra, self.size)[..., self.before :]

    def lags(
        self, windows: Complex[Array, "i count f"], heads: Complex[Array, "j count f"]
    ) -> Float[Array, "i j taps"]:
        """Products of the first sounds k samples late with the second."""
        spectra = jnp.einsum("ikf,jkf->ijf", windows.conj(), heads, precision=lax.Precision.HIGHEST)
        return jnp.fft.irfft(spectra, self.size)[..., : self.taps]
