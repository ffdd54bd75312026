"""How the twelve objects sound: a bank of short sounds per class, and the rhythm in which they are strung together.

The banks are made once per process from fixed random numbers, in single precision; an example only adds slices of
them up, which is why six seconds of sound take about a millisecond.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from mmjax.data.scenes.once import once

SAMPLE_RATE = 22_050
VOICES = 24  # pitches in each bank, evenly spaced between the lowest and the highest
Rng = np.random.Generator


def seconds(duration: float) -> np.ndarray:
    """Sample times from 0 up to `duration`."""
    return np.arange(int(duration * SAMPLE_RATE)) / SAMPLE_RATE


def tone(frequency: np.ndarray | float, n: int, phase: float = 0.0) -> np.ndarray:
    """A sine whose frequency in Hz may glide."""
    return np.sin(2 * np.pi * np.cumsum(np.broadcast_to(frequency, n)) / SAMPLE_RATE + phase)


def band_noise(rng: Rng, n: int, low: float, high: float) -> np.ndarray:
    """White noise of unit variance between two frequencies, cut out of its spectrum; periodic in n."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    f = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    spectrum *= 1 / np.sqrt(1 + (low / np.maximum(f, 1e-3)) ** 8) / np.sqrt(1 + (f / high) ** 8)
    noise = np.fft.irfft(spectrum, n)
    return noise / (noise.std() + 1e-9)


def ramp(t: np.ndarray, attack: float, release: float) -> np.ndarray:
    """Rises over `attack` seconds, stays at 1, falls over the last `release` seconds."""
    end = t[-1]
    return np.clip(t / attack, 0, 1) * np.clip((end - t) / release, 0, 1)


def _bell(rng: Rng, f: float) -> np.ndarray:
    """Additive: the inharmonic partials of a church bell, the high ones dying first."""
    t = seconds(1.9)
    partials = ((0.5, 0.5), (1.0, 0.9), (1.19, 0.7), (1.5, 0.5), (2.0, 0.9), (2.51, 0.4), (2.99, 0.5), (4.07, 0.35))
    out = sum(
        a * np.sin(2 * np.pi * f * r * (1 + rng.normal(0, 0.002)) * t + rng.random() * 6) * np.exp(-t * (1.2 + 0.9 * r))
        for r, a in partials
    )
    return out * np.clip(t / 0.003, 0, 1) * np.clip((t[-1] - t) / 0.2, 0, 1)


def _bird(rng: Rng, f: float) -> np.ndarray:
    """Chirps: two to four quick frequency sweeps."""
    parts = []
    for _ in range(rng.integers(2, 5)):
        t = seconds(rng.uniform(0.06, 0.13))
        u = t / t[-1]
        sweep = f * (1 + rng.uniform(-0.35, 0.35) * (u - 0.5) + rng.uniform(0.04, 0.16) * np.sin(2 * np.pi * u))
        parts += [(tone(sweep, len(t)) + 0.15 * tone(2 * sweep, len(t))) * np.sin(np.pi * u), np.zeros(len(t) // 3)]
    return np.concatenate(parts)


def _car(rng: Rng, f: float) -> np.ndarray:
    """Additive: the two reedy tones of a horn, a major third apart, over the rumble of the engine."""
    t = seconds(0.5)
    harmonics = np.arange(1, 15)[:, None]
    horn = sum((np.sin(2 * np.pi * g * harmonics * t) / harmonics**0.8).sum(0) for g in (f, f * 1.26))
    engine = np.sign(tone(rng.uniform(38, 52), len(t))) * (0.6 + 0.4 * band_noise(rng, len(t), 60, 400))
    return horn * ramp(t, 0.015, 0.05) + 0.5 * engine * ramp(t, 0.05, 0.1)


def _clock(rng: Rng, f: float) -> np.ndarray:
    """Damped resonances struck by a click, and the fainter fall of the escapement behind it."""
    t = seconds(0.12)
    out = np.zeros_like(t)
    for delay, gain in ((0.0, 1.0), (0.024, 0.45)):
        s = np.maximum(t - delay, 0)
        click = sum(np.sin(2 * np.pi * f * r * s + rng.random()) * np.exp(-s * 190 * r) for r in (1, 1.62, 2.4))
        out += gain * (t >= delay) * (click + rng.standard_normal(len(t)) * np.exp(-s * 700))
    return out


# These two are scipy.signal's sawtooth and lfilter to the last bit: its import would take a fifth of the time between
# the command and the first training step.


def sawtooth(angle: np.ndarray) -> np.ndarray:
    """From -1 to 1 in every turn of 2 pi."""
    return np.mod(angle, 2 * np.pi) / np.pi - 1


def resonance(x: np.ndarray, a1: float, a2: float) -> np.ndarray:
    """y[n] = x[n] - a1 y[n-1] - a2 y[n-2], in the transposed direct form."""
    first, second, out, a1, a2 = 0.0, 0.0, [], float(a1), float(a2)
    for value in x.tolist():
        y = first + value
        first, second = second - a1 * y, -a2 * y
        out.append(y)
    return np.array(out)


def _dog(rng: Rng, f: float) -> np.ndarray:
    """Source and filter: a hoarse buzz whose pitch leaps up and falls, through the formants of an open mouth."""
    t = seconds(rng.uniform(0.2, 0.28))
    u = t / t[-1]
    pitch = f * (0.75 + 0.5 * np.sin(np.pi * u**0.6))
    buzz = sawtooth(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) + 0.5 * rng.standard_normal(len(t))
    out = np.zeros_like(t)
    for centre, width, gain in ((750, 250, 1.0), (1350, 350, 0.7), (2600, 600, 0.25)):
        r = np.exp(-np.pi * width / SAMPLE_RATE)
        out += gain * (1 - r) * resonance(buzz, -2 * r * np.cos(2 * np.pi * centre / SAMPLE_RATE), r * r)
    return out * np.clip(u / 0.06, 0, 1) * (1 - u) ** 0.7


def _drum(rng: Rng, f: float) -> np.ndarray:
    """A membrane whose pitch drops, with the slap of the stick."""
    t = seconds(0.5)
    pitch = f * (1 + 0.9 * np.exp(-t * 28))
    skin = tone(pitch, len(t)) + 0.5 * tone(1.59 * pitch, len(t)) * np.exp(-t * 8) + 0.3 * tone(2.3 * pitch, len(t))
    slap = band_noise(rng, len(t), 200, 2500) * np.exp(-t * 60)
    return (skin * np.exp(-t * 9) + 0.5 * slap) * np.clip(t / 0.002, 0, 1) * np.clip((t[-1] - t) / 0.05, 0, 1)


def _flute(rng: Rng, f: float) -> np.ndarray:
    """Additive: a few harmonics with vibrato, in a stream of breath."""
    t = seconds(0.62)
    pitch = f * (1 + 0.006 * np.sin(2 * np.pi * rng.uniform(4.6, 6) * t) * np.clip(t / 0.3, 0, 1))
    out = sum(a * tone(k * pitch, len(t)) for k, a in ((1, 1.0), (2, 0.32), (3, 0.16), (4, 0.05)))
    return (out + 0.06 * band_noise(rng, len(t), f, 4 * f)) * ramp(t, 0.06, 0.14)


def _guitar(rng: Rng, f: float) -> np.ndarray:
    """A plucked string after Karplus and Strong (1983): a burst of noise in a loop that averages its neighbours."""
    period = round(SAMPLE_RATE / f - 0.5)
    loop = band_noise(rng, period, 40, 5000)
    loop -= np.roll(loop, max(1, int(period * 0.17)))  # plucked at a sixth of its length: no sixth harmonic
    periods = []
    for _ in range(int(1.5 * SAMPLE_RATE) // period):
        periods.append(loop)
        loop = 0.498 * (loop + np.roll(loop, 1))
    out = np.concatenate(periods)
    return out * np.clip((len(out) - np.arange(len(out))) / 4000, 0, 1)


def _kettle(rng: Rng, f: float) -> np.ndarray:
    """Steam: hiss and a wavering whistle that climbs as the pressure does."""
    t = seconds(2.2)
    pitch = f * (0.9 + 0.1 * np.clip(t / 0.8, 0, 1)) * (1 + 0.004 * np.sin(2 * np.pi * 7 * t))
    whistle = (tone(pitch, len(t)) + 0.5 * tone(1.5 * pitch, len(t))) * (0.8 + 0.2 * np.sin(2 * np.pi * 11 * t))
    return (whistle + 0.4 * band_noise(rng, len(t), 2500, 8000)) * ramp(t, 0.5, 0.4)


def _phone(rng: Rng, f: float) -> np.ndarray:
    """Two tones in quick alternation, hollow as a square wave."""
    t = seconds(0.85)
    high = np.sin(2 * np.pi * rng.uniform(15, 19) * t) > 0
    pitch = np.where(high, f * 1.25, f)
    return (tone(pitch, len(t)) + 0.33 * tone(3 * pitch, len(t)) + 0.2 * tone(5 * pitch, len(t))) * ramp(t, 0.01, 0.03)


def _robot(rng: Rng, f: float) -> np.ndarray:
    """Frequency modulation after Chowning (1973) with an inharmonic ratio: a handful of metallic bleeps."""
    parts = []
    for _ in range(rng.integers(3, 6)):
        t = seconds(rng.uniform(0.06, 0.13))
        carrier = f * 2 ** (rng.integers(-7, 8) / 7)
        index = rng.uniform(1.5, 5) * np.linspace(1, rng.uniform(0.2, 1), len(t))
        parts.append(
            np.sin(2 * np.pi * carrier * t + index * np.sin(2 * np.pi * 1.41 * carrier * t)) * ramp(t, 0.004, 0.02)
        )
    return np.concatenate(parts)


def _train(rng: Rng, f: float) -> np.ndarray:
    """A chord of steam whistles over the chuffing of the pistons."""
    t = seconds(2.0)
    bend = f * (1 - 0.04 * np.exp(-t * 14) - 0.05 * np.clip((t - 0.95) / 0.35, 0, 1))
    chord = sum(tone(bend * r, len(t)) + 0.4 * tone(2 * bend * r, len(t)) for r in (1, 1.189, 1.498))
    chord = (
        (chord + 0.5 * band_noise(rng, len(t), f, 5 * f)) * np.clip(t / 0.06, 0, 1) * np.clip((1.3 - t) / 0.25, 0, 1)
    )
    beat = (t * rng.uniform(4.5, 6.5)) % 1
    chuff = band_noise(rng, len(t), 150, 1400) * np.exp(-beat * 5) * np.clip(beat / 0.06, 0, 1)
    return (chord + 2.2 * chuff) * ramp(t, 0.02, 0.15)


@dataclasses.dataclass(frozen=True)
class Timbre:
    """One class's way of sounding.

    Attributes:
      sound: makes one short sound at a pitch.
      low, high: pitch range of the bank in Hz.
      gap: shortest and longest time from one onset to the next, in seconds; one value holds for the whole clip.
      jitter: how much single gaps stray from it, as a share.
      steps: how the voice moves from one onset to the next, repeated with a random start.
      group: onsets in a phrase, shortest and longest, before a rest; (1, 1) for none.
      rest: the rest after a phrase, in gaps.
    """

    sound: Callable[[Rng, float], np.ndarray]
    low: float
    high: float
    gap: tuple[float, float]
    jitter: float = 0.0
    steps: tuple[int, ...] = (0,)
    group: tuple[int, int] = (1, 1)
    rest: float = 0.0


TIMBRES: tuple[Timbre, ...] = (
    Timbre(_bell, 330, 920, (0.7, 1.2), 0.02),
    Timbre(_bird, 2300, 4800, (0.6, 1.0), 0.2, (0, 2, -2, 1, -1)),
    Timbre(_car, 300, 480, (0.56, 0.7), 0.04, (0,), (2, 3), 1.0),
    Timbre(_clock, 1500, 3200, (0.36, 0.6), 0.0, (-6, 6)),
    Timbre(_dog, 200, 420, (0.32, 0.42), 0.12, (0, 1, -1), (2, 4), 1.6),
    Timbre(_drum, 65, 150, (0.18, 0.32), 0.02, (0, 0, 7, -7), (3, 6), 1.0),
    Timbre(_flute, 523.25, 523.25 * 2 ** (23 / 12), (0.36, 0.6), 0.03, (2, 2, -4, 5, 2, -2, -5), (4, 8), 1.0),
    Timbre(_guitar, 98, 98 * 2 ** (23 / 12), (0.22, 0.42), 0.03, (7, 5, 4, -4, -5, -7)),
    Timbre(_kettle, 1500, 2600, (2.0, 2.3), 0.03),
    Timbre(_phone, 850, 1350, (1.4, 1.9)),
    Timbre(_robot, 350, 1100, (0.55, 0.8), 0.1, (5, -3, 6, -7, 2)),
    Timbre(_train, 300, 480, (2.1, 2.9), 0.05),
)


@once
def bank(thing: int) -> tuple[np.ndarray, ...]:
    """The sounds of one class from low to high, float32: root mean square 1 in the loudest 0.1 s, peak at most 6."""
    rng = np.random.default_rng((17, thing))
    timbre = TIMBRES[thing]
    pitches = np.geomspace(timbre.low, timbre.high, VOICES)
    return tuple(_levelled(timbre.sound(rng, float(f))) for f in pitches)


def _levelled(sound: np.ndarray) -> np.ndarray:
    width = SAMPLE_RATE // 10
    power = np.concatenate([np.zeros(1), np.cumsum(np.pad(sound, (0, max(0, width - len(sound)))) ** 2)])
    loudest = np.sqrt(np.max(power[width:] - power[:-width]) / width)
    # Clicks are heard by their peak: without the second term a clock would drown the rest.
    return (sound / max(loudest, np.abs(sound).max() / 6)).astype(np.float32)


def onsets(rng: Rng, thing: int, duration: float) -> list[tuple[float, int, float]]:
    """When each sound of a track starts, on which voice, and how loud relative to the track (0.7 to 1)."""
    timbre = TIMBRES[thing]
    gap = rng.uniform(*timbre.gap)
    voice = int(rng.integers(VOICES))
    turn = int(rng.integers(len(timbre.steps)))
    time, left = rng.uniform(0, 0.12 * duration), int(rng.integers(timbre.group[0], timbre.group[1] + 1))
    stop = duration * rng.uniform(0.8, 1.0) - 0.1  # some fall silent a little before the end
    track = []
    while time < stop:
        track.append((time, voice, float(rng.uniform(0.7, 1.0))))
        voice, turn = _folded(voice + timbre.steps[turn % len(timbre.steps)]), turn + 1
        time, left = time + gap * (1 + timbre.jitter * rng.uniform(-1, 1)), left - 1
        if left == 0:
            left = int(rng.integers(timbre.group[0], timbre.group[1] + 1))
            time += gap * timbre.rest
    return track


def _folded(voice: int) -> int:
    """Keeps a melody inside the bank by reflecting it at the ends."""
    voice = abs(voice)
    return voice if voice < VOICES else 2 * (VOICES - 1) - voice


def add_track(out: np.ndarray, rng: Rng, thing: int, gain: float, duration: float) -> None:
    """Adds one object's track to `out`, float32 [time], at the given root-mean-square level."""
    sounds = bank(thing)
    for time, voice, accent in onsets(rng, thing, duration):
        start = int(time * SAMPLE_RATE)
        sound = sounds[voice][: len(out) - start]
        out[start : start + len(sound)] += np.float32(gain * accent) * sound
