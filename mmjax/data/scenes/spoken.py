"""The speaker of an example: factors, face, voice, and the mouth that moves with what is said."""

from __future__ import annotations

import abc
import enum
import functools
from operator import attrgetter

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
    AGAIN = 14
    MOMENT = 15


class Utterance:
    """Units as one speaker says them; `timing` and `noise` are the chance by which no two utterances are alike."""

    def __init__(self, spoken: list[int], speaker: np.ndarray, timing: np.random.Generator, noise: np.random.Generator):
        self.spoken, self._speaker, self._noise = spoken, speaker, noise
        self.times = voice.timing(timing, speaker, spoken)

    @functools.cached_property
    def speech(self) -> np.ndarray:
        return _padded(voice.speak(self._noise, self._speaker, self.spoken, self.times), SAMPLES)

    @property
    def speech_length(self) -> np.ndarray:
        return np.array(voice.length(self.times), np.int32)

    @property
    def units(self) -> np.ndarray:
        return _padded(np.array(self.spoken, np.int32), MAX_UNITS)

    @property
    def units_length(self) -> np.ndarray:
        return np.array(len(self.spoken), np.int32)

    @property
    def unit_times(self) -> np.ndarray:
        return _padded(self.times.astype(np.float32), MAX_UNITS)


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
    def speaker(self) -> np.ndarray:
        rng = self._rng(Aspect.SPEAKER)
        if self._options.voices == "held_out":
            return voices.draw(rng, self._split)
        return rng.random(len(face.FACTORS), np.float32)

    @property
    def new_speaker(self) -> np.ndarray:
        """With `voices` "held_out", whether training never hears such a speaker."""
        return np.array(self._options.voices == "held_out" and any(voices.region(self.speaker)))

    @functools.cached_property
    def _look(self) -> face.Look:
        return face.look(self._rng(Aspect.FACE), self.speaker)

    @property
    def face(self) -> np.ndarray:
        if self._options.moment == "speaking":
            return self._pictures(self.mouth_shape[None])[0]
        return face.paint(self._look, self._options.face_side)

    @functools.cached_property
    def mouth_shape(self) -> np.ndarray:
        if self._options.moment == "still":
            return np.array(mouths.CLOSED, np.float32)
        shapes = self.mouth_shapes
        return shapes[self._rng(Aspect.MOMENT).integers(len(shapes))]

    @property
    def landmarks(self) -> np.ndarray:
        return landmarks.landmarks(self._look, self._options.face_side)

    @property
    def mouth_shapes(self) -> np.ndarray:
        """Opening and rounding of the mouth in each of `face_frames`, float32 [f 2] without padding."""
        at = mouths.moments(self._own.times[-1, 1], MAX_PICTURES)
        if self._options.mouth == "frozen":
            return np.zeros((len(at), 2), np.float32)
        said = self._other if self._options.mouth == "another" else self._own
        return mouths.follow(said.spoken, said.times, at)

    @property
    def face_frames(self) -> np.ndarray:
        return self._pictures(self.mouth_shapes, MAX_PICTURES)

    def _pictures(self, shapes: np.ndarray, pictures: int = 0) -> np.ndarray:
        return mouths.draw(self._look, shapes, self._options.face_side, self._options.crop == "mouth", pictures)

    @property
    def face_frames_length(self) -> np.ndarray:
        return np.array(len(mouths.moments(self._own.times[-1, 1], MAX_PICTURES)), np.int32)

    # -- what is said; the same by another speaker, and once more; and another sentence by the same speaker

    @functools.cached_property
    def _own(self) -> Utterance:
        return Utterance(units.spell(self.caption), self.speaker, self._rng(Aspect.TIMING), self._rng(Aspect.SPEECH))

    @functools.cached_property
    def speaker_same(self) -> np.ndarray:
        held_out = self._options.voices == "held_out"
        return voices.another(self._rng(Aspect.SAME), self.speaker, self._split, held_out)

    @functools.cached_property
    def _same(self) -> Utterance:
        return Utterance(self._own.spoken, self.speaker_same, self._rng(Aspect.SAME, 1), self._rng(Aspect.SAME, 2))

    @functools.cached_property
    def _again(self) -> Utterance:
        return Utterance(self._own.spoken, self.speaker, self._rng(Aspect.AGAIN), self._rng(Aspect.AGAIN, 1))

    @functools.cached_property
    def _other(self) -> Utterance:
        """Another sentence: that of an example of this split, as if the split had no end."""
        rng = self._rng(Aspect.ANOTHER)
        while True:
            found = type(self)(self._split, self._key[0], int(rng.integers(2**31)), self._options)
            if found.caption != self.caption:
                spoken = units.spell(found.caption)
                return Utterance(spoken, self.speaker, self._rng(Aspect.OTHER), self._rng(Aspect.OTHER, 1))

    speech = property(attrgetter("_own.speech"))
    speech_length = property(attrgetter("_own.speech_length"))
    units = property(attrgetter("_own.units"))
    units_length = property(attrgetter("_own.units_length"))
    unit_times = property(attrgetter("_own.unit_times"))
    speech_same = property(attrgetter("_same.speech"))
    speech_same_length = property(attrgetter("_same.speech_length"))
    unit_times_same = property(attrgetter("_same.unit_times"))
    speech_again = property(attrgetter("_again.speech"))
    speech_again_length = property(attrgetter("_again.speech_length"))
    unit_times_again = property(attrgetter("_again.unit_times"))
    speech_other = property(attrgetter("_other.speech"))
    speech_other_length = property(attrgetter("_other.speech_length"))
    units_other = property(attrgetter("_other.units"))
    units_other_length = property(attrgetter("_other.units_length"))
    unit_times_other = property(attrgetter("_other.unit_times"))


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """Values [n ...] followed by zeros, [length ...]."""
    return np.pad(values, [(0, length - len(values)), *[(0, 0)] * (values.ndim - 1)])
