"""One example of sounding_scenes, whose fields are computed when they are asked for and no sooner."""

from __future__ import annotations

import functools

import numpy as np

from mmjax.data.scenes import drawing, grammar, layout, links, mixing, names, questions
from mmjax.data.scenes.spoken import Aspect, Spoken


class Example(Spoken):
    """Every field of the glossary that the data set offers is an attribute of that name."""

    @property
    def _link(self) -> links.Link:
        return links.of(self._split, self._options.bias, self._options.shift)

    @functools.cached_property
    def layout(self) -> layout.Layout:
        drawn = layout.draw(self._rng(Aspect.LAYOUT), self._split, self._options.objects, self._link)
        rule = self._options.sounding
        return drawn if rule == "any" else layout.with_sounding(self._rng(Aspect.SOUNDING), drawn, rule)

    @functools.cached_property
    def _patches(self) -> list[drawing.Patch]:
        return [drawing.cut_out(thing, self._options.image_size) for thing in self.layout.things]

    @functools.cached_property
    def _measures(self) -> tuple[np.ndarray, np.ndarray]:
        return drawing.measure(self._patches, self._options.image_size)

    def _padded(self, values: np.ndarray | list, fill: float, dtype: type) -> np.ndarray:
        """Values of the objects, followed by `fill` where there is none."""
        values = np.asarray(values, dtype)
        out = np.full((self._options.objects[1], *values.shape[1:]), fill, dtype)
        out[: len(values)] = values
        return out

    @property
    def image(self) -> np.ndarray:
        return drawing.picture(
            self._rng(Aspect.PIXELS), self.layout, self._patches, self._split, self._options.image_size
        )

    @property
    def waveform(self) -> np.ndarray:
        return mixing.mix(self._sound_rngs(), self.layout, self._measures[1], self._options.seconds)

    @functools.cached_property
    def parts(self) -> np.ndarray:
        """What `waveform` is the sum of, float32 [1 + objects, time] in -1..1: the ambience, then each object."""
        return mixing.parts(self._sound_rngs(), self.layout, self._measures[1], self._options.seconds)

    @property
    def stems(self) -> np.ndarray:
        return self._padded(_int16(self.parts[1:]), 0, np.int16)

    @property
    def ambience(self) -> np.ndarray:
        return _int16(self.parts[0])

    @property
    def levels(self) -> np.ndarray:
        """Root-mean-square level at which each object was mixed, float32 [n]: all that the sound tells of its size."""
        drawn = zip(self._sound_rngs()[1:], self.layout.things, self._measures[1])
        return self._padded(
            [mixing.level(rng, area) if thing.sounding else 0 for rng, thing, area in drawn], 0, np.float32
        )

    @property
    def label(self) -> np.ndarray:
        """The class of the object that was mixed loudest; -1 where none sounds."""
        if not any(thing.sounding for thing in self.layout.things):
            return np.array(-1, np.int32)
        return np.array(self.layout.things[int(np.argmax(self.levels))].object, np.int32)

    def _sound_rngs(self) -> list[np.random.Generator]:
        return [self._rng(Aspect.SOUND, k) for k in range(1 + len(self.layout.things))]

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
    def tags(self) -> np.ndarray:
        """Numbers of TAGS: the objects, front to back, then their colours, then the scene, each once."""
        things = self.layout.things
        colours = [len(names.OBJECTS) + thing.colour for thing in things]
        scene = len(names.OBJECTS) + len(names.COLOURS) + self.layout.scene
        found = list(dict.fromkeys([*(thing.object for thing in things), *colours, scene]))
        return np.array(found + [-1] * (2 * self._options.objects[1] + 1 - len(found)), np.int32)

    @property
    def sounding(self) -> np.ndarray:
        return self._padded([thing.sounding for thing in self.layout.things], False, np.bool_)

    @property
    def boxes(self) -> np.ndarray:
        return self._padded(self._measures[0], 0, np.float32)

    @property
    def areas(self) -> np.ndarray:
        return self._padded(self._measures[1], 0, np.float32)

    @functools.cached_property
    def captions(self) -> list[str]:
        return grammar.captions(self._rng(Aspect.CAPTIONS), self.layout)

    @property
    def caption(self) -> str:
        return self.captions[self._rng(Aspect.CAPTION).integers(len(self.captions))]

    @functools.cached_property
    def _question(self) -> tuple[str, str, str]:
        return questions.draw(self._rng(Aspect.QUESTION), self.layout, self._link.yes)

    @property
    def question(self) -> str:
        return self._question[0]

    @property
    def answer(self) -> str:
        return self._question[1]

    @property
    def question_type(self) -> str:
        return self._question[2]

    @property
    def group(self) -> str:
        return "/".join(map(str, self._key))

    @property
    def index(self) -> np.ndarray:
        return np.array(self._key[2], np.int32)


def _int16(sound: np.ndarray) -> np.ndarray:
    return np.rint(sound * np.float32(32767)).astype(np.int16)
