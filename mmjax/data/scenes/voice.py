"""The speaker's voice: glottal pulses and noise through moving formants (source and filter, after Fant 1960).

The resonators are those of Klatt (1980): each has unit gain at 0 Hz, so that a cascade needs no levels of its own.
They are applied frame by frame in the frequency domain, which is many times faster than a recursion whose
coefficients change.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from scipy import fft

from mmjax.data.scenes.timbres import SAMPLE_RATE, Rng, band_noise
from mmjax.data.scenes.units import INVENTORY, UNITS, Unit

HOP, FRAME, POINTS = 256, 512, 1024
CONTROL = 128  # samples between two points of the amplitude and pitch curves
LONGEST = 8.0  # seconds that the longest utterance may last
LOUDEST = 0.7  # of full scale: the peak of every utterance


@dataclasses.dataclass(frozen=True)
class Voice:
    """What a speaker's hidden factors mean for the voice.

    Attributes:
      pitch: in Hz, at the middle of a sentence.
      scale: factor on all formants: a short vocal tract raises them.
      rate: factor on all durations.
      breath: strength of the noise mixed into every voiced sound; also of the tremor of the pitch.
      corner: frequency in Hz above which the source falls by a further 6 dB per octave.
    """

    pitch: float
    scale: float
    rate: float
    breath: float
    corner: float


def of_speaker(speaker: np.ndarray) -> Voice:
    """The voice of a speaker with factors (build, length of the head, age, warmth), each in 0..1."""
    build, length, age, warmth = (float(v) for v in speaker)
    return Voice(
        pitch=270 * (90 / 270) ** build,
        scale=1.2 - 0.38 * length,
        rate=0.85 + 0.35 * age,
        breath=0.01 + 0.16 * age**2,
        corner=4000 * (450 / 4000) ** warmth,
    )


def timing(rng: Rng, speaker: np.ndarray, spoken: list[int]) -> np.ndarray:
    """Start and end of each unit in seconds, [units 2]: one after the other without gaps, from 0 on."""
    lasts = np.array([INVENTORY[UNITS[u]].seconds for u in spoken])
    lasts *= of_speaker(speaker).rate * rng.uniform(0.88, 1.12, len(spoken))
    # Who has very much to say hurries, so that every utterance fits.
    lasts *= min(1.0, (LONGEST - 0.01) / lasts.sum())
    ends = np.cumsum(lasts)
    return np.stack([np.append(0.0, ends[:-1]), ends], -1)


def speak(rng: Rng, speaker: np.ndarray, spoken: list[int], times: np.ndarray) -> np.ndarray:
    """Speaks units at the times that `timing` gave: int16 [time], whose end is the end of the last unit."""
    voice = of_speaker(speaker)
    units = [INVENTORY[UNITS[u]] for u in spoken]
    samples = length(times)
    curves = _curves(units, times, samples)
    source = _source(rng, voice, curves, samples)
    sound = _filtered(source, voice, curves["formants"])[:samples]
    sound /= np.abs(sound).max()  # only now can one say how loud a hiss is beside a vowel
    _add_hiss(sound, rng, units, times)
    sound *= np.float32(32767 * LOUDEST) / np.abs(sound).max()
    return np.rint(sound).astype(np.int16)


def length(times: np.ndarray) -> int:
    """Samples of an utterance."""
    return int(np.ceil(times[-1, 1] * SAMPLE_RATE))


def _curves(units: list[Unit], times: np.ndarray, samples: int) -> dict[str, np.ndarray]:
    """Targets of all units on the control grid, smoothed as the mouth glides from one to the next."""
    time = np.arange(samples // CONTROL + 2) * CONTROL / SAMPLE_RATE
    at = np.minimum(np.searchsorted(times[:, 1], time), len(units) - 1)
    share = np.clip((time - times[at, 0]) / (times[at, 1] - times[at, 0]), 0, 1)
    start, end = np.log([u.start for u in units])[at], np.log([u.end for u in units])[at]
    is_open = share >= np.array([u.closure for u in units])[at]
    voiced = np.array([u.voice for u in units])[at]
    return {
        "formants": _exp(_smooth(start + (end - start) * share[:, None], 9)),
        "voice": _smooth(voiced[:, None], 5)[:, 0],
        "breath": _smooth((is_open * np.array([u.breath for u in units])[at])[:, None], 3)[:, 0],
    }


def _smooth(curve: np.ndarray, width: int) -> np.ndarray:
    """A running mean with Hann weights over `width` points, the ends held; [time k].

    Added up term by term, several curves two terms at a time: a product of matrices, whose sums on processors with AVX2
    these are, would round by the kernels of the processor.
    """
    weights = np.hanning(width + 2)[1:-1]
    padded = np.pad(curve, ((width // 2, width // 2), (0, 0)), "edge")
    terms = [weight * padded[k : k + len(curve)] for k, weight in enumerate(weights / weights.sum())]
    if curve.shape[1] > 1:
        terms = [*map(np.add, terms[:-1:2], terms[1::2]), terms[-1]]
    return functools.reduce(np.add, terms)


def _exp(x: np.ndarray) -> np.ndarray:
    """e^x as the C library rounds it: NumPy with AVX-512 has an exponential of its own, which rounds otherwise."""
    return np.fromiter(map(math.exp, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def _drawn_out(curve: np.ndarray, samples: int) -> np.ndarray:
    """A curve of the control grid at each sample, by straight lines: as `numpy.interp`, sooner on an even grid."""
    slope = (curve[1:] - curve[:-1]) / CONTROL
    return (slope[:, None] * np.arange(CONTROL) + curve[:-1, None]).ravel()[:samples]


@functools.cache
def _pulse() -> np.ndarray:
    """One period of the derivative of the glottal flow (Rosenberg 1971: opens over 40 %, closes over 16 %)."""
    u = np.arange(2048) / 2048
    opening, closing = 0.5 * (1 - np.cos(np.pi * u / 0.4)), np.cos(np.pi / 2 * (u - 0.4) / 0.16)
    flow = np.where(u < 0.4, opening, np.where(u < 0.56, closing, 0))
    return (np.diff(flow, append=0) * 2048 / 10).astype(np.float32)


@functools.cache
def _noise() -> np.ndarray:
    """Eight seconds of white noise and more; an utterance takes a piece of it."""
    return np.random.default_rng(29).standard_normal(2**19, np.float32)


@functools.cache
def _hiss(low: float, high: float) -> np.ndarray:
    """A second and a half of the noise of one fricative."""
    return band_noise(np.random.default_rng((31, int(low))), 2**15, low, min(high, 9500)).astype(np.float32)


def _source(rng: Rng, voice: Voice, curves: dict[str, np.ndarray], samples: int) -> np.ndarray:
    """The sound of the larynx, float32 [time]: pulses whose pitch falls slowly, wanders and trembles; and breath."""
    points = len(curves["voice"])
    fall = np.linspace(1.12, 0.86, points)
    knots = points // 40 + 2  # the melody of a sentence turns about four times a second
    wander = np.interp(np.linspace(0, 1, points), np.linspace(0, 1, knots), rng.normal(0, 0.05, knots))
    tremor = rng.normal(0, 0.004 + 0.15 * voice.breath, points)
    pitch = voice.pitch * fall * (1 + wander + _smooth(tremor[:, None], 3)[:, 0])
    phase = np.cumsum(_drawn_out(pitch, samples)) / SAMPLE_RATE
    pulses = _pulse()[(phase * 2048).astype(np.int64) & 2047]
    start = int(rng.integers(2**19 - samples))
    noise = _noise()[start : start + samples]
    strength = _drawn_out(curves["voice"], samples).astype(np.float32)
    breath = _drawn_out(curves["breath"] + voice.breath * curves["voice"], samples).astype(np.float32)
    return pulses * strength + noise * breath


def _filtered(source: np.ndarray, voice: Voice, formants: np.ndarray) -> np.ndarray:
    """Passes the source through five moving resonators and the speaker's tilt, by overlapping frames."""
    frames = len(source) // HOP + 2
    padded = np.pad(source, (HOP, (frames + 1) * HOP - len(source)))
    window = np.hanning(FRAME + 1)[:-1].astype(np.float32)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP][:frames] * window
    at = np.minimum(np.arange(frames) * (HOP // CONTROL), len(formants) - 1)
    spectrum = fft.rfft(pieces, POINTS)
    spectrum /= fft.rfft(_denominators(formants[at], voice.scale), POINTS)
    frequency = np.arange(POINTS // 2 + 1) * (SAMPLE_RATE / POINTS)
    spectrum *= (1 / np.sqrt(1 + (frequency / voice.corner) ** 2)).astype(np.float32)
    heard = fft.irfft(spectrum, POINTS).reshape(frames, POINTS // HOP, HOP)
    out = np.zeros((frames + POINTS // HOP - 1, HOP), np.float32)
    for k in range(POINTS // HOP):
        out[k : k + frames] += heard[:, k]
    return out.ravel()[HOP:]


def _denominators(formants: np.ndarray, scale: float) -> np.ndarray:
    """The product of the resonators' denominators over their gains, [frames 11], in powers of 1/z.

    In double precision: near a resonance the terms cancel to a ten thousandth of their size.
    """
    product = np.ones((len(formants), 1))
    centres = [*formants.T, np.full(len(formants), 3500.0), np.full(len(formants), 4500.0)]
    for centre, width in zip(centres, (70, 100, 150, 220, 280)):
        radius = np.exp(-np.pi * width / SAMPLE_RATE)
        linear = -2 * radius * np.cos(2 * np.pi * np.minimum(centre * scale, 9000) / SAMPLE_RATE)
        terms = np.pad(product, ((0, 0), (0, 2)))
        terms[:, 1:-1] += linear[:, None] * product
        terms[:, 2:] += radius**2 * product
        product = terms / (1 + linear + radius**2)[:, None]
    return product


def _add_hiss(sound: np.ndarray, rng: Rng, units: list[Unit], times: np.ndarray) -> None:
    """Adds the noise of fricatives and the bursts of stops, each from the end of its closure to its own end."""
    for unit, (start, end) in zip(units, times):
        if not unit.noise:
            continue
        first = int((start + unit.closure * (end - start)) * SAMPLE_RATE)
        n = min(int(end * SAMPLE_RATE), len(sound)) - first
        hiss, offset = _hiss(*unit.hiss), int(rng.integers(2**14))
        attack = 30 if unit.closure else n // 3
        rise = np.minimum(np.arange(n) / max(attack, 1), 1) * np.minimum(np.arange(n, 0, -1) / (n // 3 + 1), 1)
        sound[first : first + n] += hiss[offset : offset + n] * (0.35 * unit.noise * rise).astype(np.float32)
