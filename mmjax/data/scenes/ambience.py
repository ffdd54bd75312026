"""What the eight scenes sound like when nothing sounds: loops of noise, hum, insects, waves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmjax.data.scenes.once import once
from mmjax.data.scenes.timbres import SAMPLE_RATE, Rng, band_noise, seconds, tone

SAMPLES = 2**18  # of a loop: twice a clip, so that two clips rarely share what they hear; transforms quickly
LOOP = SAMPLES / SAMPLE_RATE  # 11.9 seconds


def _swell(rng: Rng, n: int, slow: float, depth: float) -> np.ndarray:
    """A positive envelope that wanders at up to `slow` Hz, periodic in n."""
    wander = band_noise(rng, n, 0.5 / LOOP, slow)
    return np.exp(depth * wander - depth)


def _scatter(rng: Rng, n: int, sounds: list[np.ndarray], per_second: float) -> np.ndarray:
    """Short sounds at random times, wrapped around the end of the loop."""
    out = np.zeros(n)
    for start in rng.integers(0, n, int(per_second * n / SAMPLE_RATE)):
        sound = sounds[rng.integers(len(sounds))]
        out[(start + np.arange(len(sound))) % n] += sound * rng.uniform(0.3, 1)
    return out


def _beach(rng: Rng, n: int) -> np.ndarray:
    """Waves: broad noise that swells every few seconds and hisses as it runs out."""
    phase = (np.arange(n) / n * 3) % 1  # three waves a loop
    wave = np.where(phase < 0.45, (phase / 0.45) ** 2, np.exp(-(phase - 0.45) * 4.5))
    roar, hiss = band_noise(rng, n, 120, 900), band_noise(rng, n, 1500, 6000)
    return (0.25 + wave) * roar + 0.6 * np.roll(wave, int(0.05 * n)) ** 2 * hiss


def _city(rng: Rng, n: int) -> np.ndarray:
    """Traffic: a low rumble, tyres passing by."""
    rumble = band_noise(rng, n, 40, 160) * _swell(rng, n, 0.4, 0.3)
    return rumble + 0.5 * band_noise(rng, n, 300, 1300) * _swell(rng, n, 0.35, 0.9)


def _forest(rng: Rng, n: int) -> np.ndarray:
    """Wind in the leaves, and a woodpecker far away."""
    knock = band_noise(rng, 600, 800, 2000) * np.exp(-np.arange(600) / 120)
    peck = np.concatenate([np.pad(knock, (0, 700)) for _ in range(8)]) * np.hanning(8 * 1300)
    leaves = band_noise(rng, n, 2200, 6000) * _swell(rng, n, 1.2, 0.7)
    return (
        leaves + 0.35 * band_noise(rng, n, 250, 700) * _swell(rng, n, 0.5, 0.5) + _scatter(rng, n, [1.5 * peck], 0.25)
    )


def _kitchen(rng: Rng, n: int) -> np.ndarray:
    """The hum of the refrigerator and something frying."""
    f = round(100 * LOOP) / LOOP  # whole periods in the loop
    t = np.arange(n) / SAMPLE_RATE
    hum = sum(a * np.sin(2 * np.pi * f * k * t + k) for k, a in ((1, 1.0), (2, 0.7), (3, 0.3), (4, 0.35), (6, 0.2)))
    pop = rng.standard_normal((12, 90)) * np.exp(-np.arange(90) / 18)
    return hum + 0.22 * band_noise(rng, n, 3500, 9000) + _scatter(rng, n, list(2.5 * pop), 30)


def _meadow(rng: Rng, n: int) -> np.ndarray:
    """Bees and grasshoppers."""
    t = seconds(1.1)
    bees = []
    for f in rng.uniform(170, 260, 6):
        pitch = f * (1 + 0.05 * np.sin(2 * np.pi * rng.uniform(0.5, 1.5) * t))
        bees.append(sum(tone(k * pitch, len(t)) / k for k in range(1, 9)) * np.sin(np.pi * t / t[-1]) ** 2)
    rasp = band_noise(rng, n, 6300, 8800) * (0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 22 * np.arange(n) / SAMPLE_RATE)))
    return (
        0.8 * _scatter(rng, n, bees, 1.6) + 0.5 * rasp * _swell(rng, n, 1.0, 0.8) + 0.1 * band_noise(rng, n, 300, 3000)
    )


def _night(rng: Rng, n: int) -> np.ndarray:
    """Crickets: bursts of three or four pulses around 4.5 kHz."""
    chirps = []
    for f in rng.uniform(4100, 4900, 8):
        t = seconds(0.028)
        pulse = np.pad(np.sin(2 * np.pi * f * t) * np.hanning(len(t)), (0, 260))
        chirps.append(np.tile(pulse, rng.integers(3, 5)))
    return 1.6 * _scatter(rng, n, chirps, 5) + 0.12 * band_noise(rng, n, 80, 500)


def _snow(rng: Rng, n: int) -> np.ndarray:
    """A howling wind: narrow noise whose centre wanders."""
    drift = np.cumsum(band_noise(rng, n, 0.5 / LOOP, 0.4))
    drift = 2 * np.pi * (150 * drift / SAMPLE_RATE)
    howl = np.zeros(n)
    for centre in (480, 760):
        low = band_noise(rng, n, 0.5, 35), band_noise(rng, n, 0.5, 35)
        carrier = 2 * np.pi * round(centre * LOOP) / LOOP * np.arange(n) / SAMPLE_RATE + drift
        howl += low[0] * np.cos(carrier) + low[1] * np.sin(carrier)
    return howl * _swell(rng, n, 0.5, 0.5) + 0.3 * band_noise(rng, n, 150, 1500)


def _water(rng: Rng, n: int) -> np.ndarray:
    """A muffled rumble and rising bubbles."""
    bubbles = []
    for f in rng.uniform(350, 900, 12):
        t = seconds(rng.uniform(0.05, 0.14))
        bubbles.append(tone(f * (1 + 1.2 * t / t[-1]), len(t)) * np.exp(-t * 25) * np.clip(t / 0.006, 0, 1))
    return 0.8 * band_noise(rng, n, 30, 180) + 2.2 * _scatter(rng, n, bubbles, 7)


AMBIENCES: tuple[Callable[[Rng, int], np.ndarray], ...] = (
    _beach, _city, _forest, _kitchen, _meadow, _night, _snow, _water,
)  # fmt: skip


@once
def loop(scene: int) -> np.ndarray:
    """One scene's ambience, float32 [time], of root mean square 1; its end joins its beginning."""
    rng = np.random.default_rng((23, scene))
    sound = AMBIENCES[scene](rng, SAMPLES)
    return (sound / np.sqrt(np.mean(sound**2))).astype(np.float32)


def add(out: np.ndarray, rng: Rng, scene: int, gain: float) -> None:
    """Adds the ambience from a random moment on to `out`, float32 [time], at the given root mean square."""
    sound = loop(scene)
    start, done = int(rng.integers(len(sound))), 0
    while done < len(out):
        piece = sound[start : start + len(out) - done]
        out[done : done + len(piece)] += np.float32(gain) * piece
        done, start = done + len(piece), 0
