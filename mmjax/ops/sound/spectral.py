"""The short-time Fourier transform, its inverse, and spectrograms."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from mmjax.errors import UserError
from mmjax.ops.sound import framing, windows
from mmjax.ops.sound.conventions import Convention, Sizes, resolve, sizes

MATMUL_UP_TO = 64  # n_fft below which a matrix of cosines and sines beats the FFT, see `spectrogram`


def stft(
    waveform: Float[Array, "*b time"],
    n_fft: int | None = None,
    hop: int | None = None,
    win_length: int | None = None,
    *,
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Complex[Array, "*b freq frames"]:
    """Short-time Fourier transform: the spectrum of each windowed frame.

    Args:
      waveform: [... time], floating point.
      n_fft: samples of each transform, any number; the convention's where None.
      hop: samples between frames; the convention's share of the window where None.
      win_length: samples of the window, at most n_fft, which is the default.
      convention: "librosa", "torchaudio" or "htk", or a record of rules.
      **rules: overrides of single rules, see `Convention`: window, periodic, center, pad_mode, align.

    Returns:
      [... n_fft // 2 + 1, frames] complex64. With center, frames = 1 + time // hop for even n_fft.

    Raises:
      UserError: an unknown rule, integer samples, sizes that do not fit, a signal shorter than a frame.
    """
    r = resolve(convention, rules)
    s = sizes(r, n_fft, hop, win_length)
    x, length = _prepared(waveform, s, r)
    frames = framing.frame(x, length, s.hop) * _window(s, r, x.dtype)
    spectra = jnp.fft.rfft(frames, s.n_fft)  # [n frames freq]
    return jnp.swapaxes(spectra, 1, 2).reshape(*waveform.shape[:-1], s.bins, -1)


def istft(
    spectrum: Complex[Array, "*b freq frames"],
    n_fft: int | None = None,
    hop: int | None = None,
    win_length: int | None = None,
    *,
    length: int | None = None,
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Float[Array, "*b time"]:
    """Inverse short-time Fourier transform, the least-squares one (Griffin and Lim 1984, eq. 6).

    Args:
      spectrum: [... n_fft // 2 + 1, frames] complex.
      n_fft: as for `stft`; 2 (freq - 1) where None, so it must be given if it was odd.
      hop: as for `stft`.
      win_length: as for `stft`.
      length: samples wanted: the end is cut, or filled with zeros. None: as many as the frames cover.
      convention: as for `stft`.
      **rules: as for `stft`.

    Returns:
      [... time]. Equal to the signal that gave the spectrum wherever some window is not zero.

    Raises:
      UserError: an unknown rule, or a number of bins that n_fft does not give.
    """
    r = resolve(convention, rules)
    s = sizes(r, 2 * (spectrum.shape[-2] - 1) if n_fft is None else n_fft, hop, win_length)
    if s.bins != spectrum.shape[-2]:
        raise UserError(f"the spectrum has {spectrum.shape[-2]} bins; n_fft {s.n_fft} gives {s.bins}")
    count = spectrum.shape[-1]
    flat = jnp.swapaxes(spectrum.reshape(-1, s.bins, count), 1, 2)
    frames = jnp.fft.irfft(flat, s.n_fft)[..., : frame_length(s, r)]
    x = joined(frames * _window(s, r, frames.dtype), s, r, length)
    return x.reshape(*spectrum.shape[:-2], x.shape[-1])


def joined(frames: Float[Array, "*b frames length"], s: Sizes, r: Convention, length: int | None) -> Array:
    """The signal [... time] of windowed frames, cut or filled to `length`: what `istft` ends with."""
    x = framing.overlap_add(frames, s.hop)
    x = x * jnp.asarray(_inverse_weight(s, r, frames.shape[-2]), x.dtype).reshape(*[1] * (x.ndim - 1), -1)
    if r.center:
        x = x[..., s.n_fft // 2 : None if length is not None else x.shape[-1] - s.n_fft // 2]
    return x if length is None else framing.resized(x, length)


def spectrogram(
    waveform: Float[Array, "*b time"],
    n_fft: int | None = None,
    hop: int | None = None,
    win_length: int | None = None,
    *,
    dft: str = "auto",
    convention: str | Convention = "librosa",
    **rules: Any,
) -> Float[Array, "*b freq frames"]:
    """The magnitude of the short-time spectrum, to the power `power`; its gradient at silence is 0.

    Which transform is fastest was measured by benchmarks/sound_features.py on one core and on two: at n_fft 64 and
    below the product with the Fourier matrix, from 128 upwards the FFT. At 1024 the product, and the strided
    convolution with that matrix, take at least six times as long; the convolution wins nowhere.

    Args:
      waveform: [... time], floating point.
      n_fft: see `stft`.
      hop: see `stft`.
      win_length: see `stft`.
      dft: "fft", "matmul" (a product with the Fourier matrix), or "auto": by size.
      convention: see `stft`.
      **rules: those of `stft`, power and preemphasis.

    Returns:
      [... n_fft // 2 + 1, frames], at least 0.

    Raises:
      UserError: as `stft`.
    """
    r = resolve(convention, rules)
    s = sizes(r, n_fft, hop, win_length)
    found = filtered(waveform, s, r, None, dft)
    return jnp.swapaxes(found, 1, 2).reshape(*waveform.shape[:-1], s.bins, -1)


def filtered(
    waveform: Float[Array, "*b time"], s: Sizes, r: Convention, filters: np.ndarray | None, dft: str
) -> Float[Array, "n frames out"]:
    """The spectrogram, all leading axes as one and frames before bins, through `filters` [out freq] where given."""
    if dft not in ("auto", "fft", "matmul"):
        raise UserError(f"dft is {dft!r}: choose auto, fft or matmul")
    x, length = _prepared(waveform, s, r)
    matmul = dft == "matmul" or (dft == "auto" and s.n_fft <= MATMUL_UP_TO)
    window = _window(s, r, x.dtype)

    def features(frames):
        if r.preemphasis:
            frames = _emphasised(frames, r.preemphasis)
        energy = _energy_by_matmul(frames, s, r) if matmul else _energy_by_fft(frames * window, s)
        magnitude = to_power(energy, r.power)
        if filters is None:
            return magnitude
        return jnp.concatenate(
            [
                jnp.matmul(magnitude[..., low:high], jnp.asarray(part, x.dtype), precision=lax.Precision.HIGHEST)
                for low, high, part in _parts(filters)
            ],
            axis=-1,
        )

    return framing.map_frames(features, x, length, s.hop)


def _parts(filters: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """Groups of neighbouring filters [freq out], each with the bins low:high that it weighs at all.

    Most of a mel filter bank is zeros: of 80 filters on 513 bins, four groups leave out three quarters of the
    products, and with them a tenth of the time of a mel spectrogram.
    """
    groups = 4 if filters.size > 2**13 else 1
    last = np.where(filters.any(axis=1), filters.shape[1] - np.argmax(filters[:, ::-1] != 0, axis=1), 0)
    shares = filters.shape[1] * np.arange(1, groups) / groups
    cuts = [0, *np.searchsorted(np.maximum.accumulate(last), shares), filters.shape[0]]
    parts = []
    for start, stop in itertools.pairwise(cuts):
        bins = np.flatnonzero(filters[start:stop].any(axis=0))
        low, high = (bins[0], bins[-1] + 1) if bins.size else (0, 1)
        if stop > start:
            parts.append((int(low), int(high), filters[start:stop, low:high].T))
    return parts


def to_power(energy: Float[Array, ...], power: float) -> Float[Array, ...]:
    """|X|^power from |X|^2, with gradient 0 where |X| is 0 (sqrt's own would be infinite, and times 0 not a number)."""
    if power == 2:
        return energy
    positive = energy > 0
    root = jnp.where(positive, energy, 1)
    root = jnp.sqrt(root) if power == 1 else root ** (power / 2)
    return jnp.where(positive, root, 0)


def at_least_float32(x: Float[Array, ...]) -> Float[Array, ...]:
    """float16 and bfloat16 -> float32: neither has a Fourier transform, nor the range of an energy."""
    return x.astype(jnp.float32) if x.dtype in (jnp.bfloat16, jnp.float16) else x


def _prepared(waveform, s: Sizes, r: Convention):
    """The waveform as [n time] with its padding, and the samples of a frame."""
    if not jnp.issubdtype(waveform.dtype, jnp.floating):
        raise UserError(f"the waveform is {waveform.dtype}: make it float in [-1, 1] first (int16: divide by 32768)")
    if waveform.ndim == 0 or waveform.shape[-1] == 0:
        raise UserError(f"the waveform has shape {waveform.shape}: the last axis must be time, at least one sample")
    x = at_least_float32(waveform).reshape(-1, waveform.shape[-1])
    return framing.padded(x, s.n_fft // 2 if r.center else 0, r.pad_mode), frame_length(s, r)


def frame_length(s: Sizes, r: Convention) -> int:
    return s.n_fft if r.align == "centre" else s.win_length


def _window(s: Sizes, r: Convention, dtype) -> Float[Array, "1 1 length"]:
    values = windows.laid_in(r.window, s.win_length, frame_length(s, r), periodic=r.periodic, align=r.align)
    return jnp.asarray(values, dtype)[None, None]


@functools.lru_cache(maxsize=32)
def _inverse_weight(s: Sizes, r: Convention, count: int) -> np.ndarray:
    """1 / the sum of squared windows at each sample, 1 where no window reaches."""
    window = windows.laid_in(r.window, s.win_length, frame_length(s, r), periodic=r.periodic, align=r.align)
    total = np.zeros(window.size + s.hop * (count - 1))
    for i in range(count):
        total[i * s.hop : i * s.hop + window.size] += window**2
    return np.where(total > np.finfo(np.float32).tiny, 1 / np.maximum(total, np.finfo(np.float32).tiny), 1.0)


def _emphasised(frames, k: float):
    """y[n] = x[n] - k x[n-1] in each frame, its first sample x[0] (1 - k)."""
    before = jnp.concatenate([frames[..., :1], frames[..., :-1]], axis=-1)
    return frames - k * before


def _energy_by_fft(frames, s: Sizes):
    spectra = jnp.fft.rfft(frames, s.n_fft)
    return spectra.real**2 + spectra.imag**2


def _energy_by_matmul(frames, s: Sizes, r: Convention):
    matrix = jnp.asarray(fourier(s, r), frames.dtype)
    both = jnp.matmul(frames, matrix, precision=lax.Precision.HIGHEST)  # [n frames 2 * freq]
    return both[..., : s.bins] ** 2 + both[..., s.bins :] ** 2


@functools.lru_cache(maxsize=8)
def fourier(s: Sizes, r: Convention) -> np.ndarray:
    """Window and Fourier transform as one matrix [length 2 * freq]: cosines, then sines."""
    length = frame_length(s, r)
    window = windows.laid_in(r.window, s.win_length, length, periodic=r.periodic, align=r.align)
    turns = np.outer(np.arange(length), np.arange(s.bins)) % s.n_fft / s.n_fft  # exact before the rounding of 2 pi
    angle = 2 * np.pi * turns
    return window[:, None] * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
