"""Sound from magnitudes alone: Griffin-Lim, jitted, batched and differentiable."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from mmjax.errors import UserError
from mmjax.ops import platform
from mmjax.ops.sound.conventions import Convention, resolve, sizes
from mmjax.ops.sound.spectral import at_least_float32, istft, stft
from mmjax.ops.sound.spectral_products import inverse, transform


def griffin_lim(
    magnitude: Float[Array, "*b freq frames"],
    n_fft: int | None = None,
    hop: int | None = None,
    win_length: int | None = None,
    *,
    key: Key[Array, ""] | None = None,
    n_iter: int = 32,
    momentum: float = 0.99,
    length: int | None = None,
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Float[Array, "*b time"]:
    """A signal whose short-time spectrum has nearly these magnitudes.

    Fast Griffin-Lim (Perraudin, Balazs and Søndergaard 2013, algorithm 2): the phase of each iteration is that of
    c_n - m / (1 + m) c_(n-1), c_n the spectrum of the signal of iteration n. With momentum 0 it is Griffin and Lim
    1984. Each iteration is recomputed in the backward pass, so that a gradient needs memory for the phases only.

    Args:
      magnitude: [... n_fft // 2 + 1, frames], at least 0, to the power 1.
      n_fft: as for `istft`.
      hop: as for `stft`.
      win_length: as for `stft`.
      key: draws the first phases evenly; None starts at phase 0.
      n_iter: iterations, at least 0.
      momentum: m, at least 0; above 1 it may diverge.
      length: samples wanted, see `istft`.
      convention: see `stft`.
      **rules: see `stft`.

    Returns:
      [... time].

    Raises:
      UserError: a negative momentum or n_iter, or as `istft`.
    """
    if momentum < 0 or n_iter < 0:
        raise UserError(f"momentum is {momentum} and n_iter {n_iter}: neither may be negative")
    r = resolve(convention, rules)
    s = sizes(r, 2 * (magnitude.shape[-2] - 1) if n_fft is None else n_fft, hop, win_length)
    magnitude = at_least_float32(magnitude)
    turn = jnp.zeros_like(magnitude)
    if key is not None:
        turn = jax.random.uniform(key, magnitude.shape, magnitude.dtype, maxval=2 * math.pi)
    if platform.real_only():
        return _by_products(magnitude, turn, s, r, n_iter, momentum / (1 + momentum), length)
    spectrum = lax.complex(magnitude * jnp.cos(turn), magnitude * jnp.sin(turn))

    def iteration(carry, _):
        spectrum, before = carry
        signal = istft(spectrum, s.n_fft, s.hop, s.win_length, length=length, convention=r)
        rebuilt = stft(signal, s.n_fft, s.hop, s.win_length, convention=r)
        return (_with_phase_of(magnitude, rebuilt - momentum / (1 + momentum) * before), rebuilt), None

    start = (spectrum, jnp.zeros_like(spectrum))
    (spectrum, _), _ = lax.scan(jax.checkpoint(iteration), start, length=n_iter)
    return istft(spectrum, s.n_fft, s.hop, s.win_length, length=length, convention=r)


def _by_products(magnitude, turn, s, r, n_iter, share, length):
    """The same without complex numbers and Fourier transforms: real and imaginary parts beside each other."""
    wanted = jnp.swapaxes(magnitude, -1, -2)  # ... t f
    one, zero = (jnp.asarray(value, wanted.dtype) for value in (1, 0))
    turn = jnp.swapaxes(turn, -1, -2)

    def iteration(carry, _):
        both, before = carry
        rebuilt = transform(inverse(both, s, r, length), s, r)
        real, imaginary = jnp.split(rebuilt - share * before, 2, -1)
        energy = real**2 + imaginary**2
        positive = energy > 0
        scale = jnp.where(positive, wanted * lax.rsqrt(jnp.where(positive, energy, one)), zero)
        return (jnp.concatenate([scale * real, scale * imaginary], -1), rebuilt), None

    both = jnp.concatenate([wanted * jnp.cos(turn), wanted * jnp.sin(turn)], -1)
    (both, _), _ = lax.scan(iteration, (both, jnp.zeros_like(both)), length=n_iter)
    return inverse(both, s, r, length)


def _with_phase_of(magnitude, spectrum):
    """The magnitudes with another spectrum's phases; 0, and no gradient, where that spectrum is 0."""
    energy = spectrum.real**2 + spectrum.imag**2
    positive = energy > 0
    scale = jnp.where(positive, magnitude * lax.rsqrt(jnp.where(positive, energy, 1)), 0)
    return lax.complex(scale * spectrum.real, scale * spectrum.imag)
