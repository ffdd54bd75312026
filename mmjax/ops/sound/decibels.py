"""Logarithms of energies and magnitudes, with the floors and the clipping of each convention."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.errors import UserError
from mmjax.ops.sound.conventions import Convention, resolve

_AXES = {"clip": 2, "channels": 3}


def power_to_db(
    power: Float[Array, "*b freq frames"],
    *,
    ref: float | str | None = None,
    amin: float | None = None,
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Float[Array, "*b freq frames"]:
    """10 log10(power / ref), floored at amin and clipped top_db below the maximum. Its gradient at silence is 0.

    Args:
      power: [... freq frames], energies >= 0.
      ref: the energy that becomes 0 dB; "max": the largest of each clip; the convention's ref_power where None.
      amin: the floor under the energy; the convention's amin_power where None.
      convention: see `stft`.
      **rules: top_db (None does not clip), top_db_over.

    Returns:
      [... freq frames] in dB.

    Raises:
      UserError: an unknown rule, or amin, ref or top_db out of range.
    """
    r = resolve(convention, rules)
    return _decibels(power, 10.0, r.ref_power if ref is None else ref, r.amin_power if amin is None else amin, r)


def amplitude_to_db(
    amplitude: Float[Array, "*b freq frames"],
    *,
    ref: float | str | None = None,
    amin: float | None = None,
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Float[Array, "*b freq frames"]:
    """20 log10(amplitude / ref), floored at amin and clipped top_db below the maximum; see `power_to_db`."""
    r = resolve(convention, rules)
    ref = r.ref_amplitude if ref is None else ref
    return _decibels(amplitude, 20.0, ref, r.amin_amplitude if amin is None else amin, r)


def db_to_power(decibels: Float[Array, ...], *, ref: float = 1.0) -> Float[Array, ...]:
    """ref 10^(dB / 10): the inverse of `power_to_db` above its floor."""
    return ref * 10.0 ** (decibels / 10)


def db_to_amplitude(decibels: Float[Array, ...], *, ref: float = 1.0) -> Float[Array, ...]:
    """ref 10^(dB / 20): the inverse of `amplitude_to_db` above its floor."""
    return ref * 10.0 ** (decibels / 20)


def log_mel(
    mel: Float[Array, "*b n_mels frames"], *, convention: str | Convention = "librosa", **rules: Any
) -> Float[Array, "*b n_mels frames"]:
    """The logarithm of a mel spectrogram as the convention's MFCC takes it: decibels, or HTK's natural logarithm.

    Args:
      mel: [... n_mels frames], energies (power=2) or magnitudes (power=1) by the convention.
      convention: see `stft`.
      **rules: log, power, top_db, top_db_over, and the floors and references.

    Returns:
      [... n_mels frames].
    """
    r = resolve(convention, rules)
    energy = r.power == 2
    ref, amin = (r.ref_power, r.amin_power) if energy else (r.ref_amplitude, r.amin_amplitude)
    if r.log == "db":
        return _decibels(mel, 10.0 if energy else 20.0, ref, amin, r)
    return jnp.log(jnp.maximum(mel, amin)) - math.log(max(ref, amin))


def _decibels(x, factor: float, ref: float | str, amin: float, r: Convention):
    if amin <= 0:
        raise UserError(f"amin is {amin}: the floor under a logarithm must be above 0")
    if r.top_db is not None and r.top_db < 0:
        raise UserError(f"top_db is {r.top_db}: it must be at least 0, or None for no clipping")
    if (isinstance(ref, str) and ref != "max") or (not isinstance(ref, str) and ref < 0):
        raise UserError(f"ref is {ref!r}: give an energy or magnitude of at least 0, or 'max'")
    # A logarithm keeps the order, so the peak is found before it: one logarithm of each value instead of two.
    peak = _peak(x, r)
    zero = jnp.log10(jnp.maximum(peak if isinstance(ref, str) else jnp.full_like(peak, ref), amin))

    def decibels(value):
        return factor * (jnp.log10(jnp.maximum(value, amin)) - zero)

    return decibels(x) if r.top_db is None else jnp.maximum(decibels(x), decibels(peak) - r.top_db)


def _peak(x, r: Convention):
    """The maximum that the clipping counts from, broadcastable to x."""
    axes = x.ndim if r.top_db_over == "all" else min(x.ndim, _AXES[r.top_db_over])
    return x.max(axis=tuple(range(x.ndim - axes, x.ndim)), keepdims=True)
