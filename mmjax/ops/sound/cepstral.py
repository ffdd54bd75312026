"""Mel-frequency cepstral coefficients (Davis and Mermelstein 1980) and their changes over time."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.fft
import scipy.signal
from jax import lax
from jaxtyping import Array, Float

from mmjax.errors import UserError
from mmjax.ops.sound.conventions import Convention, resolve
from mmjax.ops.sound.decibels import log_mel
from mmjax.ops.sound.mel import mel_spectrogram


@functools.lru_cache(maxsize=32)
def dct_matrix(
    n_out: int, n_in: int, *, dct_type: int = 2, norm: str | None = "ortho"
) -> Float[np.ndarray, "n_out n_in"]:
    """The discrete cosine transform of `n_in` values to the first `n_out` coefficients, as a matrix.

    Args:
      n_out: coefficients, 1..n_in.
      n_in: values.
      dct_type: 1, 2 or 3.
      norm: "ortho", "htk" (type 2 with sqrt(2 / n_in) for every coefficient), or None (SciPy's: twice the sum).

    Returns:
      [n_out n_in] float64, read-only.

    Raises:
      UserError: more coefficients than values, or norm "htk" with another type than 2.
    """
    if not 1 <= n_out <= n_in:
        raise UserError(f"n_mfcc is {n_out}: there are {n_in} mel bands, so choose 1 to {n_in}")
    if norm == "htk" and dct_type != 2:
        raise UserError(f"dct_norm 'htk' is defined for dct_type 2 only, not {dct_type}")
    matrix = scipy.fft.dct(np.eye(n_in), type=dct_type, axis=0, norm="ortho" if norm == "htk" else norm)[:n_out]
    if norm == "htk":
        matrix[0] *= np.sqrt(2)
    matrix.flags.writeable = False
    return matrix


def cepstra(
    log_bands: Float[Array, "*b n_mels frames"],
    n_mfcc: int | None = None,
    *,
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Float[Array, "*b n_mfcc frames"]:
    """The cosine transform of log mel bands, and its liftering.

    Args:
      log_bands: [... n_mels frames], from `log_mel`.
      n_mfcc: coefficients; the convention's where None.
      convention: see `stft`.
      **rules: dct_type, dct_norm, lifter, lifter_start.

    Returns:
      [... n_mfcc frames], c0 first.

    Raises:
      UserError: more coefficients than bands, a negative lifter.
    """
    r = resolve(convention, rules)
    n_mfcc = r.n_mfcc if n_mfcc is None else n_mfcc
    if r.lifter < 0:
        raise UserError(f"lifter is {r.lifter}: it must be at least 0 (0 for none)")
    matrix = dct_matrix(n_mfcc, log_bands.shape[-2], dct_type=r.dct_type, norm=r.dct_norm)
    if r.lifter:
        n = np.arange(r.lifter_start, r.lifter_start + n_mfcc)
        matrix = matrix * (1 + r.lifter / 2 * np.sin(np.pi * n / r.lifter))[:, None]
    return _apply(matrix, log_bands)


def mfcc(
    waveform: Float[Array, "*b time"],
    sample_rate: float = 22050,
    n_mfcc: int | None = None,
    *,
    n_fft: int | None = None,
    hop: int | None = None,
    win_length: int | None = None,
    n_mels: int | None = None,
    fmin: float = 0.0,
    fmax: float | None = None,
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Float[Array, "*b n_mfcc frames"]:
    """Mel-frequency cepstral coefficients of a waveform: `cepstra(log_mel(mel_spectrogram(waveform)))`.

    Args:
      waveform: [... time] in [-1, 1].
      sample_rate: in Hz.
      n_mfcc: coefficients; the convention's where None.
      n_fft: see `stft`.
      hop: see `stft`.
      win_length: see `stft`.
      n_mels: see `mel_filterbank`.
      fmin: see `mel_filterbank`.
      fmax: see `mel_filterbank`.
      convention: "librosa", "torchaudio" or "htk", or a record of rules.
      **rules: overrides of single rules, see `Convention`.

    Returns:
      [... n_mfcc frames], c0 first (HTK writes it last, or leaves it out).

    Raises:
      UserError: as `mel_spectrogram` and `cepstra`.
    """
    r = resolve(convention, rules)
    mel = mel_spectrogram(
        waveform,
        sample_rate,
        n_fft=n_fft,
        hop=hop,
        win_length=win_length,
        n_mels=n_mels,
        fmin=fmin,
        fmax=fmax,
        convention=r,
    )
    return cepstra(log_mel(mel, convention=r), n_mfcc, convention=r)


def deltas(
    features: Float[Array, "*b frames"],
    width: int | None = None,
    *,
    order: int = 1,
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Float[Array, "*b frames"]:
    """Change per frame: the slope of the line (order 2: twice the curvature of the parabola) fit to `width` frames.

    Args:
      features: [... frames].
      width: frames of each fit, odd, at least 3 and more than `order`; the convention's where None.
      order: 1 for deltas, 2 for delta-deltas.
      convention: librosa fits the ends too; torchaudio and HTK repeat the outermost frame, and take order 2 as deltas
        of deltas.
      **rules: delta_edges, delta_twice.

    Returns:
      [... frames].

    Raises:
      UserError: a width that is even or too small, or more than the frames where the ends are fit.
    """
    r = resolve(convention, rules)
    width = r.delta_width if width is None else width
    if width < 3 or width % 2 == 0 or width <= order or order < 1:
        raise UserError(f"width is {width} for order {order}: choose an odd width of at least 3 above the order")
    if r.delta_twice:
        for _ in range(order):
            features = _slopes(features, width, 1, r.delta_edges)
        return features
    return _slopes(features, width, order, r.delta_edges)


def _slopes(x, width: int, order: int, edges: str):
    """The order-th derivative of a polynomial of that order, fit to `width` frames around each frame."""
    half, frames = width // 2, x.shape[-1]
    if edges == "fit" and frames < width:
        raise UserError(f"{frames} frames are fewer than the width {width}: use a smaller one or delta_edges='repeat'")
    wide = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)], mode="edge")
    taps = scipy.signal.savgol_coeffs(width, order, deriv=order, use="dot").tolist()
    inner = sum((wide[..., i : i + frames] * taps[i] for i in range(1, width)), wide[..., :frames] * taps[0])
    if edges == "repeat":
        return inner
    # A polynomial's derivative of its own order is one number: the ends all take that of the outermost fit.
    ends = (inner[..., half : half + 1], inner[..., frames - half - 1 : frames - half])
    first, last = (jnp.broadcast_to(end, (*x.shape[:-1], half)) for end in ends)
    return jnp.concatenate([first, inner[..., half : frames - half], last], axis=-1)


def _apply(matrix: np.ndarray, x: Array) -> Array:
    """matrix [o i] times the axis before the last of x [... i t]."""
    flat = x.reshape(-1, *x.shape[-2:])
    found = jnp.einsum("oi,bit->bot", jnp.asarray(matrix, x.dtype), flat, precision=lax.Precision.HIGHEST)
    return found.reshape(*x.shape[:-2], matrix.shape[0], x.shape[-1])
