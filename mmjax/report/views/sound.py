"""Sound for the page: WAV players, waveforms, spectrograms over mel-spaced frequency, and features over time."""

from __future__ import annotations

import io
import wave

import numpy as np
from jaxtyping import Float, Int16, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmjax.predictions import over_time
from mmjax.report import html, style
from mmjax.report.html import Markup, tag

_BANDS = 96
_RANGE = 70.0  # decibels from the brightest to the darkest colour
_FLOOR = -120.0
_COLUMNS = 240  # of a drawn waveform: about one for each pixel of a card, and few bytes


def samples(waveform: Shaped[np.ndarray, " t"]) -> Int16[np.ndarray, " t"]:
    """A waveform as 16-bit samples.

    Args:
      waveform: int16, or float with full scale 1; a float clip that exceeds full scale is scaled down to it, and what
        is not finite is silenced. A trailing channel axis is averaged.

    Returns:
      int16 [t].
    """
    sound = np.asarray(waveform)
    if sound.dtype == np.int16 and sound.ndim == 1:
        return sound
    full = float(np.iinfo(sound.dtype).max) if np.issubdtype(sound.dtype, np.integer) else 1.0
    sound = np.nan_to_num(sound.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0) / full
    sound = sound.reshape(len(sound), -1).mean(axis=1) if sound.size else np.zeros(0)
    peak = np.abs(sound).max(initial=1.0)
    return np.round(sound / peak * 32_767).astype(np.int16)


def wav_bytes(waveform: Shaped[np.ndarray, " t"], rate: int) -> bytes:
    """A mono 16-bit WAV file, the one format that every browser plays, of `waveform` at `rate` Hz."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples(waveform).astype("<i2").tobytes())
    return buffer.getvalue()


def _to_mel(hertz: Float[np.ndarray, " n"] | float) -> Float[np.ndarray, " n"]:
    return 2595 * np.log10(1 + np.asarray(hertz, np.float64) / 700)


def spectrogram(
    waveform: Shaped[np.ndarray, " t"], rate: int, bands: int = _BANDS
) -> tuple[Float[np.ndarray, "band frame"], Float[np.ndarray, " band"]]:
    """Band levels over time: Hann windows of about 46 ms, triangular bands evenly spaced on the HTK mel scale.

    Args:
      waveform: int16, or float with full scale 1, [t].
      rate: samples a second.
      bands: number of bands between 0 Hz and rate / 2.

    Returns:
      levels: [band frame] in dB re a full-scale sine (0 dB at a band's centre), -120 at least, low bands first.
      centres: [band] in Hz.
    """
    sound = samples(waveform) / 32_768
    window = 2 ** max(int(np.round(np.log2(0.046 * rate))), 4)
    hop = max(window // 4, -(-len(sound) // 500))  # at most about 500 frames: no screen shows more
    padded = np.pad(sound, (window // 2, window))
    starts = np.arange(0, max(len(sound), 1), hop)
    hann = np.hanning(window + 1)[:-1]
    frames = padded[starts[:, None] + np.arange(window)] * hann
    # Zero-padded to twice the window: otherwise the lowest bands would fall between two bins.
    power = np.abs(np.fft.rfft(frames, 2 * window)) ** 2 * 2 / (window * np.sum(hann**2))
    frequencies = np.fft.rfftfreq(2 * window, 1 / rate)
    edges = np.linspace(0, _to_mel(rate / 2), bands + 2)
    position = (_to_mel(frequencies)[:, None] - edges[1:-1]) / (edges[1] - edges[0])
    levels = power @ np.maximum(0, 1 - np.abs(position))
    centres = 700 * (10 ** (edges[1:-1] / 2595) - 1)
    return np.maximum(10 * np.log10(levels.T + 1e-30), _FLOOR), centres


def envelope(
    waveform: Shaped[np.ndarray, " t"], rate: int, columns: int = _COLUMNS
) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """What a drawn waveform covers: start in s, least and greatest value (full scale 1) of each of its `columns`."""
    sound = samples(waveform) / 32_768
    starts = np.linspace(0, len(sound), min(columns, len(sound)), endpoint=False).astype(int)
    if not len(starts):
        return (np.zeros(0),) * 3
    return starts / rate, np.minimum.reduceat(sound, starts), np.maximum.reduceat(sound, starts)


def _within(bottom: float, top: float) -> tuple[float, float, float, float]:
    """Room for what stands around the axes: up to four digits at the left, a bar with up to seven at the right."""
    return 0.135, bottom, 0.81, top


def _beside(figure: Figure, axes: Axes) -> Axes:
    place = axes.get_position()
    return figure.add_axes((place.x1 + 0.015, place.y0, 0.02, place.height))


def spectrogram_figure(waveform: Shaped[np.ndarray, " t"], rate: int, title: str = "") -> Figure:
    """The waveform above its spectrogram: seconds across, kHz up (mel-spaced), decibels as colour.

    Args:
      waveform: int16, or float with full scale 1, [t].
      rate: samples a second.
      title: above the axes.
    """
    levels, centres = spectrogram(waveform, rate)
    duration = max(len(waveform) / rate, 1e-3)
    top = np.ceil(levels.max() / 10) * 10 if levels.max() > _FLOOR else 0.0
    with style.rows(4.6, 2.6, (1, 3), _within(0.17, 0.89 if title else 0.96)) as (figure, (wave_axes, axes)):
        times, low, high = envelope(waveform, rate)
        wave_axes.fill_between(times, low, high, color=style.SERIES[0], linewidth=0.5)
        reach = max(float(np.abs([*low, *high]).max(initial=0)), 1e-3)
        wave_axes.set(ylim=(-1.05 * reach, 1.05 * reach), title=title)
        wave_axes.set_yticks((-reach, 0, reach), (f"−{reach:.2g}", "0", f"{reach:.2g}"))
        wave_axes.tick_params(bottom=False)
        wave_axes.spines["bottom"].set_visible(False)
        shown = axes.imshow(
            levels, origin="lower", aspect="auto", cmap="magma", vmin=top - _RANGE, vmax=top,
            extent=(0, duration, -0.5, len(centres) - 0.5), interpolation="nearest",
        )  # fmt: skip
        ticks = np.array([f for f in (250, 500, 1000, 2000, 4000, 8000, 16_000) if f < rate / 2], np.float64)
        spacing = _to_mel(rate / 2) / (len(centres) + 1)
        axes.set_yticks(_to_mel(ticks) / spacing - 1, [f"{f / 1000:g}" for f in ticks])
        axes.set(xlabel="time (s)", ylabel="frequency (kHz)")
        bar = figure.colorbar(shown, cax=_beside(figure, axes), label="level (dB)")
        bar.outline.set_visible(False)
        axes.spines[:].set_visible(False)
    return figure


def features_figure(values: Float[np.ndarray, "band frame"], rows: str, seconds: float | None) -> Figure:
    """Features over time, the first row at the bottom.

    Args:
      values: [band frame], what is not finite stays blank. With both signs (cepstra) they are shown around zero, the
        extreme tenth, such as c0, at the ends of the scale; otherwise (levels) from the least to the greatest.
      rows: what a row is, for the axis.
      seconds: how long the frames last; None where that is unknown: the axis then counts frames.
    """
    values = np.ma.masked_invalid(np.asarray(values, np.float64))
    finite = values.compressed() if values.count() else np.zeros(1)
    signed = rows == "coefficient"
    reach = float(np.quantile(np.abs(finite), 0.9)) or 1.0
    low, high = (-reach, reach) if signed else (float(finite.min()), float(finite.max()))
    with style.axes(4.6, 1.8, _within(0.24, 0.91)) as (figure, axes):
        shown = axes.imshow(
            values, origin="lower", aspect="auto", cmap="RdBu_r" if signed else "magma", vmin=low, vmax=high,
            extent=(0, values.shape[1] if seconds is None else seconds, -0.5, len(values) - 0.5),
            interpolation="nearest",
        )  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set(xlabel="frame" if seconds is None else "time (s)", ylabel=rows)
        extend = "both" if signed else "neither"
        bar = figure.colorbar(shown, cax=_beside(figure, axes), extend=extend)
        bar.outline.set_visible(False)
        axes.spines[:].set_visible(False)
    return figure


def features(values: Float[np.ndarray, "band frame"], name: str, title: str, example: int, seconds: float) -> Markup:
    """Features of a sound as a figure.

    Args:
      values: [band frame].
      name: of the heatmap, one that `predictions.over_time` knows.
      title: for the caption.
      example: its number, for screen readers.
      seconds: how long the sound is; 0 where that is unknown.
    """
    rows = over_time(name) or "row"
    label = f"“{title}” of example {example}: {len(values)} rows ({rows}) over {values.shape[1]} frames"
    drawing = html.svg(features_figure(values, rows, seconds or None), label)
    return tag("figure", drawing, tag("figcaption", title), class_="spectrogram")


def player(waveform: Shaped[np.ndarray, " t"], rate: int, name: str, example: int, seconds: float) -> Markup:
    """A waveform and its spectrogram above an audio player.

    Args:
      waveform: int16, or float with full scale 1, [t].
      rate: samples a second.
      name: what is heard, for the caption.
      example: its number, for screen readers.
      seconds: the longest stretch that goes into the page; the caption says when the clip is longer.
    """
    kept = waveform[: max(int(seconds * rate), 1)]
    whole, length = len(waveform) / rate, len(kept) / rate
    label = f"“{name}” of example {example}"
    caption = f"{name}, {whole:.3g} s at {rate:,} Hz" + (
        f" (the first {length:.3g} s)" if len(kept) < len(waveform) else ""
    )
    drawing = html.svg(
        spectrogram_figure(kept, rate),
        f"Waveform and spectrogram of {label}: {length:.3g} s, frequency in kHz, level in dB",
    )
    source = html.data_uri(wav_bytes(kept, rate), "audio/wav")
    audio = tag("audio", controls=True, preload="metadata", src=source, aria_label=f"Play {label}")
    return tag("figure", drawing, audio, tag("figcaption", caption), class_="spectrogram")
