"""From a layout to sound: each sounding object's track over the scene's ambience, louder the more of it is seen."""

from __future__ import annotations

import numpy as np

from mmjax.data.scenes import ambience, timbres
from mmjax.data.scenes.layout import Layout
from mmjax.data.scenes.timbres import SAMPLE_RATE, Rng

# Level of an object that shows 7 % of the picture, the median: 18 to 20 dB below full scale leaves room for peaks.
LEVEL, MEDIAN_AREA = 0.11, 0.07
LEVEL_SPREAD_DB = 2.0  # louder or softer than the size alone would say
AMBIENCE_DB = (-40.0, -30.0)  # root mean square of the ambience below full scale
CEILING = 0.95  # of full scale; a mix that would exceed it is turned down as a whole


def level(rng: Rng, area: float) -> float:
    """Loudness of an object: its power is proportional to its visible area, give or take LEVEL_SPREAD_DB."""
    spread = rng.uniform(-LEVEL_SPREAD_DB, LEVEL_SPREAD_DB)
    return LEVEL * float(np.sqrt(area / MEDIAN_AREA)) * 10 ** (spread / 20)


def mix(rngs: list[Rng], layout: Layout, areas: np.ndarray, duration: float) -> np.ndarray:
    """The whole sound, int16 [time]. `rngs`: one for the ambience, then one for each object."""
    out = np.zeros(int(duration * SAMPLE_RATE), np.float32)
    _add_ambience(out, rngs[0], layout)
    for rng, thing, area in zip(rngs[1:], layout.things, areas):
        if thing.sounding:
            timbres.add_track(out, rng, thing.object, level(rng, area), duration)
    out *= np.float32(32767) * _turned_down(out)
    return np.rint(out, out=out).astype(np.int16)


def parts(rngs: list[Rng], layout: Layout, areas: np.ndarray, duration: float) -> np.ndarray:
    """The parts of which `mix` is the sum, float32 [1 + objects, time]: the ambience, then each object."""
    out = np.zeros((len(rngs), int(duration * SAMPLE_RATE)), np.float32)
    _add_ambience(out[0], rngs[0], layout)
    for row, rng, thing, area in zip(out[1:], rngs[1:], layout.things, areas):
        if thing.sounding:
            timbres.add_track(row, rng, thing.object, level(rng, area), duration)
    return out * _turned_down(out.sum(0))


def _add_ambience(out: np.ndarray, rng: Rng, layout: Layout) -> None:
    if not layout.hushed:
        ambience.add(out, rng, layout.scene, 10 ** (rng.uniform(*AMBIENCE_DB) / 20))


def _turned_down(sound: np.ndarray) -> np.float32:
    peak = max(float(sound.max()), -float(sound.min()))
    return np.float32(CEILING / max(peak, CEILING))
