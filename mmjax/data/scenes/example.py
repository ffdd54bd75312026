"""One example of sounding_scenes, whose fields are computed when they are asked for and no sooner."""

from __future__ import annotations

import functools

import numpy as np

from mmjax.data.scenes import drawing, layout, mixing, names

# Each aspect draws from its own stream, so that asking for one field never changes another.
_LAYOUT, _PIXELS, _SOUND = range(3)


class Example:
    """Every field of the glossary that the data set offers is an attribute of that name."""

    def __init__(self, split: str, seed: int, index: int, objects: tuple[int, int], side: int, duration: float):
        self._key = (seed, names.SPLITS.index(split), index)
        self._split, self._objects, self._side, self._duration = split, objects, side, duration

    def _rng(self, *aspect: int) -> np.random.Generator:
        return np.random.default_rng((*self._key, *aspect))

    @functools.cached_property
    def layout(self) -> layout.Layout:
        return layout.draw(self._rng(_LAYOUT), self._split, self._objects)

    @functools.cached_property
    def _patches(self) -> list[drawing.Patch]:
        return [drawing.cut_out(thing, self._side) for thing in self.layout.things]

    @functools.cached_property
    def _measures(self) -> tuple[np.ndarray, np.ndarray]:
        return drawing.measure(self._patches, self._side)

    def _padded(self, values: np.ndarray | list, fill: float, dtype: type) -> np.ndarray:
        """Values of the objects, followed by `fill` where there is none."""
        values = np.asarray(values, dtype)
        out = np.full((self._objects[1], *values.shape[1:]), fill, dtype)
        out[: len(values)] = values
        return out

    @property
    def image(self) -> np.ndarray:
        return drawing.picture(self._rng(_PIXELS), self.layout, self._patches, self._split, self._side)

    @property
    def waveform(self) -> np.ndarray:
        return mixing.mix(self._sound_rngs(), self.layout, self._measures[1], self._duration)

    @property
    def stems(self) -> np.ndarray:
        return mixing.stems(self._sound_rngs(), self.layout, self._measures[1], self._duration)

    def _sound_rngs(self) -> list[np.random.Generator]:
        return [self._rng(_SOUND, k) for k in range(1 + len(self.layout.things))]

    @property
    def waveform_length(self) -> np.ndarray:
        return np.array(int(self._duration * mixing.SAMPLE_RATE), np.int32)

    @property
    def scene(self) -> np.ndarray:
        return np.array(self.layout.scene, np.int32)

    @property
    def objects(self) -> np.ndarray:
        return self._padded([thing.object for thing in self.layout.things], -1, np.int32)

    @property
    def colours(self) -> np.ndarray:
        return self._padded([thing.colour for thing in self.layout.things], -1, np.int32)

    @property
    def sounding(self) -> np.ndarray:
        return self._padded([thing.sounding for thing in self.layout.things], False, np.bool_)

    @property
    def boxes(self) -> np.ndarray:
        return self._padded(self._measures[0], 0, np.float32)

    @property
    def areas(self) -> np.ndarray:
        return self._padded(self._measures[1], 0, np.float32)

    @property
    def group(self) -> str:
        return "/".join(map(str, self._key))

    @property
    def index(self) -> np.ndarray:
        return np.array(self._key[2], np.int32)
