"""Mel filters and mel spectrograms."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float

from mmjax.errors import UserError
from mmjax.ops.sound import spectral
from mmjax.ops.sound.conventions import Convention, resolve, sizes

# Slaney's Auditory Toolbox (1998): 200 / 3 Hz per mel up to 1 kHz, 27 mels for each factor of 6.4 above.
_LINEAR, _CORNER, _STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def hz_to_mel(hertz: npt.ArrayLike, scale: str = "slaney") -> Float[np.ndarray, ...]:
    """Frequency in Hz -> mel, on the "slaney" or the "htk" scale; float64."""
    hertz = np.asarray(hertz, np.float64)
    if scale == "htk":
        return 2595 * np.log10(1 + hertz / 700)
    above = _CORNER / _LINEAR + np.log(np.maximum(hertz, _CORNER) / _CORNER) / _STEP
    return np.where(hertz < _CORNER, hertz / _LINEAR, above)


def mel_to_hz(mel: npt.ArrayLike, scale: str = "slaney") -> Float[np.ndarray, ...]:
    """Mel -> frequency in Hz; the inverse of `hz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    corner = _CORNER / _LINEAR
    return np.where(mel < corner, mel * _LINEAR, _CORNER * np.exp((np.maximum(mel, corner) - corner) * _STEP))


def mel_filterbank(
    sample_rate: float,
    n_fft: int,
    n_mels: int | None = None,
    *,
    fmin: float = 0.0,
    fmax: float | None = None,
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Float[np.ndarray, "n_mels freq"]:
    """Triangular filters, evenly spaced on a mel scale.

    Args:
      sample_rate: in Hz.
      n_fft: samples of the transform whose bins are weighted.
      n_mels: number of filters; the convention's where None.
      fmin: lower edge of the first filter in Hz.
      fmax: upper edge of the last filter in Hz; half the sample rate where None.
      convention: see `stft`.
      **rules: mel_scale, mel_norm, mel_shape, bins.

    Returns:
      [n_mels, n_fft // 2 + 1] float32, read-only. Where filters are narrower than a bin some are all zero: a
      UserWarning says how many, once for each set of arguments, so while a function is traced and not in each call.

    Raises:
      UserError: an unknown rule, or edges that are not 0 <= fmin < fmax <= sample_rate / 2.
    """
    r = resolve(convention, rules)
    top = sample_rate / 2 if fmax is None else fmax
    n_mels = r.n_mels if n_mels is None else n_mels
    if not 0 <= fmin < top <= sample_rate / 2:
        raise UserError(f"fmin {fmin} and fmax {top} Hz: need 0 <= fmin < fmax <= {sample_rate / 2} (half the rate)")
    if n_mels < 1:
        raise UserError(f"n_mels is {n_mels}: at least one filter")
    return _filters(sample_rate, n_fft, n_mels, fmin, top, r.bins, r.mel_scale, r.mel_norm, r.mel_shape)


@functools.lru_cache(maxsize=32)
def _filters(sample_rate, n_fft, n_mels, fmin, fmax, bins, scale, norm, shape) -> np.ndarray:
    count = n_fft // 2 + 1
    hertz = np.linspace(0, sample_rate // 2, count) if bins == "linspace" else np.arange(count) * sample_rate / n_fft
    mels = np.linspace(hz_to_mel(fmin, scale), hz_to_mel(fmax, scale), n_mels + 2)
    edges = mel_to_hz(mels, scale)  # [n_mels + 2]
    at, corners = (hertz, edges) if shape == "hertz" else (hz_to_mel(hertz, scale), mels)
    low, peak, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    weights = np.maximum(0, np.minimum((at - low) / (peak - low), (high - at) / (high - peak)))
    if norm == "slaney":
        weights *= 2 / (edges[2:] - edges[:-2])[:, None]
    weights = weights.astype(np.float32)
    empty = ~weights.any(1)
    if (empty & (edges[:-2] > 0)).any():  # librosa, too, says nothing where only the first is empty, which begins at 0
        warnings.warn(
            f"{int(empty.sum())} of {n_mels} mel filters are empty: each lies between two bins of n_fft={n_fft} at "
            f"{sample_rate:g} Hz, and its band is always zero; fewer n_mels or a larger n_fft have none",
            stacklevel=3,
        )
    weights.flags.writeable = False
    return weights


def mel_spectrogram(
    waveform: Float[Array, "*b time"],
    sample_rate: float = 22050,
    *,
    n_fft: int | None = None,
    hop: int | None = None,
    win_length: int | None = None,
    n_mels: int | None = None,
    fmin: float = 0.0,
    fmax: float | None = None,
    dft: str = "auto",
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Float[Array, "*b n_mels frames"]:
    """The spectrogram through mel filters, in energies (HTK: magnitudes); take `log_mel` of it for features.

    Args:
      waveform: [... time], floating point.
      sample_rate: in Hz.
      n_fft: see `stft`.
      hop: see `stft`.
      win_length: see `stft`.
      n_mels: see `mel_filterbank`.
      fmin: see `mel_filterbank`.
      fmax: see `mel_filterbank`.
      dft: see `spectrogram`.
      convention: "librosa", "torchaudio" or "htk", or a record of rules.
      **rules: overrides of single rules, see `Convention`.

    Returns:
      [... n_mels frames], at least 0.

    Raises:
      UserError: as `stft` and `mel_filterbank`.
    """
    r = resolve(convention, rules)
    s = sizes(r, n_fft, hop, win_length)
    weights = mel_filterbank(sample_rate, s.n_fft, n_mels, fmin=fmin, fmax=fmax, convention=r)
    found = spectral.filtered(waveform, s, r, weights, dft)  # [n frames n_mels]
    return jnp.swapaxes(found, 1, 2).reshape(*waveform.shape[:-1], weights.shape[0], -1)
