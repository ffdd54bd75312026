"""Our recogniser of speech as a judge: which words are heard in a sound, and whose voice."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from mmjax.decode import lexicon
from mmjax.known import speech_recogniser
from mmjax.task import Judge


class Heard(NamedTuple):
    """What is heard.

    Attributes:
      words: their letters, UTF-8, zeros behind; a pause is a word without letters.
      speaker: the hidden factors of the voice; None from who does not tell.
    """

    words: UInt8[Array, "b n letters"]
    speaker: Float[Array, "b k"] | None


@dataclasses.dataclass(frozen=True)
class SpeechJudge(Judge):
    """A `Judge` of speech.

    Attributes:
      sample_rate: of the sound, in Hz.
      hear: (weights, sound [b time] in -1..1, samples of each that are real [b]) -> `Heard`, inside of a program; None
        of a judge that is no network.
      written: (sound [b time], samples of each [b]) -> letters as in `Heard`, on the host; None of a network.
    """

    sample_rate: int
    hear: Callable[[Any, Any, Any], Heard] | None = None
    written: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


@functools.cache
def _shipped() -> speech_recogniser.TrainedListener:
    return speech_recogniser.load()


def load() -> dict[str, Any]:
    """Its weights, and the words that it knows with their units: NumPy arrays."""
    known = _shipped()
    letters = np.array([word.encode() for word in known.words])
    return {**known.variables, "names": letters.view(np.uint8).reshape(len(letters), -1), "lexicon": known.lexicon}


def hear(weights: Any, sound: Float[Array, "b time"], length: Int[Array, " b"]) -> Heard:
    """See `SpeechJudge`."""
    known = _shipped()
    frames = jnp.where(length > 0, known.spec.frames(length), 0)
    own = {"params": weights["params"], "state": weights["state"]}
    out: Any = known.model.apply(own, known.spec(sound), frames)
    said = lexicon.words(jax.nn.log_softmax(out["units"]), known.model.steps(frames), weights["lexicon"])
    words = jnp.where((said.words >= 0)[..., None], weights["names"][jnp.maximum(said.words, 0)], jnp.uint8(0))
    return Heard(words, out["speaker"])


def judge(sample_rate: int) -> SpeechJudge:
    """The judge "listener", which hears at its own rate."""
    del sample_rate
    return SpeechJudge("listener", load, _shipped().spec.sample_rate, hear=hear)
