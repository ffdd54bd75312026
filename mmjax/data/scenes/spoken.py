"""The speaker of an example: factors, face, voice, and the mouth that moves with what is said."""

from __future__ import annotations

import abc
import enum
import functools

import numpy as np

from mmjax.data.scenes import face, landmarks, mixing, mouths, names, units, voice, voices
from mmjax.data.scenes.options import Options

MAX_UNITS = 80  # more than the longest caption has; speech is padded to voice.LONGEST seconds likewise
SAMPLES = int(voice.LONGEST * mixing.SAMPLE_RATE)
MAX_PICTURES = int(voice.LONGEST * mouths.RATE)


class Aspect(enum.IntEnum):
    """Each aspect draws from its own stream, so that asking for one field never changes another."""

    LAYOUT = 0
    PIXELS = 1
    SOUND = 2
    CAPTIONS = 3
    CAPTION = 4
    QUESTION = 5
    SPEAKER = 6
    FACE = 7
    TIMING = 8
    SPEECH = 9
    ANOTHER = 10
    SAME = 11
    OTHER = 12
    SOUNDING = 13


class Spoken(abc.ABC):
    """The part of an example that its speaker makes: needs its caption and nothing else of it."""

    @property
    @abc.abstractmethod
    def caption(self) -> str:
        """The sentence that is spoken."""

    def __init__(self, split: str, seed: int, index: int, options: Options):
        self._key = (seed, names.SPLITS.index(split), index)
        self._split, self._options = split, options

    def _rng(self, *aspect: int) -> np.random.Generator:
        return np.random.default_rng((*self._key, *aspect))

    @functools.cached_property
    def _other_spoken(self) -> list[int]:
        """Another sentence: that of an example of this split, as if the split had no end."""
        rng = self._rng(Aspect.ANOTHER)
        while True:
            found = type(self)(self._split, self._key[0], int(rng.integers(2**31)), self._options)
            if found.caption != self.caption:
                return units.spell(found.caption)

    @functools.cached_property
    def speaker(self) -> np.ndarray:
        rng = self._rng(Aspect.SPEAKER)
        if self._options.voices == "held_out":
            return voices.draw(rng, self._split)
        return rng.random(len(face.FACTORS), np.float32)

    @functools.cached_property
    def _look(self) -> face.Look:
        return face.look(self._rng(Aspect.FACE), self.speaker)

    @property
    def face(self) -> np.ndarray:
        return face.paint(self._look, self._options.face_side)

    @property
    def landmarks(self) -> np.ndarray:
        return landmarks.landmarks(self._look, self._options.face_side)

    @property
    def mouth_shapes(self) -> np.ndarray:
        """Opening and rounding of the mouth in each of `face_frames`, float32 [f 2] without padding."""
        at = mouths.moments(self._times[-1, 1], MAX_PICTURES)
        if self._options.mouth == "frozen":
            return np.zeros((len(at), 2), np.float32)
        if self._options.mouth == "another":
            return mouths.follow(self._other_spoken, self._other_times, at)
        return mouths.follow(self._spoken, self._times, at)

    @property
    def face_frames(self) -> np.ndarray:
        shapes, side = self.mouth_shapes, self._options.face_side
        return mouths.draw(self._look, shapes, side, self._options.crop == "mouth", MAX_PICTURES)

    @property
    def face_frames_length(self) -> np.ndarray:
        return np.array(len(mouths.moments(self._times[-1, 1], MAX_PICTURES)), np.int32)

    @functools.cached_property
    def _spoken(self) -> list[int]:
        return units.spell(self.caption)

    @functools.cached_property
    def _times(self) -> np.ndarray:
        return voice.timing(self._rng(Aspect.TIMING), self.speaker, self._spoken)

    @property
    def speech(self) -> np.ndarray:
        return _padded(voice.speak(self._rng(Aspect.SPEECH), self.speaker, self._spoken, self._times), SAMPLES)

    @property
    def speech_length(self) -> np.ndarray:
        return np.array(voice.length(self._times), np.int32)

    @property
    def units(self) -> np.ndarray:
        return _padded(np.array(self._spoken, np.int32), MAX_UNITS)

    @property
    def unit_times(self) -> np.ndarray:
        return _padded(self._times.astype(np.float32), MAX_UNITS)

    @property
    def units_length(self) -> np.ndarray:
        return np.array(len(self._spoken), np.int32)

    # -- the same sentence by another speaker, and another sentence by the same speaker

    @functools.cached_property
    def speaker_same(self) -> np.ndarray:
        held_out = self._options.voices == "held_out"
        return voices.another(self._rng(Aspect.SAME), self.speaker, self._split, held_out)

    @functools.cached_property
    def _same_times(self) -> np.ndarray:
        return voice.timing(self._rng(Aspect.SAME, 1), self.speaker_same, self._spoken)

    @property
    def speech_same(self) -> np.ndarray:
        rng = self._rng(Aspect.SAME, 2)
        return _padded(voice.speak(rng, self.speaker_same, self._spoken, self._same_times), SAMPLES)

    @property
    def speech_same_length(self) -> np.ndarray:
        return np.array(voice.length(self._same_times), np.int32)

    @property
    def unit_times_same(self) -> np.ndarray:
        return _padded(self._same_times.astype(np.float32), MAX_UNITS)

    @functools.cached_property
    def _other_times(self) -> np.ndarray:
        return voice.timing(self._rng(Aspect.OTHER), self.speaker, self._other_spoken)

    @property
    def speech_other(self) -> np.ndarray:
        rng = self._rng(Aspect.OTHER, 1)
        return _padded(voice.speak(rng, self.speaker, self._other_spoken, self._other_times), SAMPLES)

    @property
    def speech_other_length(self) -> np.ndarray:
        return np.array(voice.length(self._other_times), np.int32)

    @property
    def units_other(self) -> np.ndarray:
        return _padded(np.array(self._other_spoken, np.int32), MAX_UNITS)

    @property
    def units_other_length(self) -> np.ndarray:
        return np.array(len(self._other_spoken), np.int32)

    @property
    def unit_times_other(self) -> np.ndarray:
        return _padded(self._other_times.astype(np.float32), MAX_UNITS)


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """Values [n ...] followed by zeros, [length ...]."""
    return np.pad(values, [(0, length - len(values)), *[(0, 0)] * (values.ndim - 1)])
