"""Our recogniser of speech as a judge: which words are heard in a sound, and whose voice.

The shipped one knows the words of the drawn speakers; one of any language is a run of configs/speech_recognition.py on
recordings of it, exported (`mmjax export-recogniser WORKDIR FILE`).
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from mmjax.decode import transcript
from mmjax.errors import UserError
from mmjax.known import speech_recogniser
from mmjax.task import Judge, bind
from mmjax.text import symbols


class Heard(NamedTuple):
    """What is heard.

    Attributes:
      words: their letters, UTF-8, zeros behind; a pause is a word without letters. Or pieces of words, which
        `text.vocabulary.join` makes a text of.
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
def _known(file: str) -> speech_recogniser.TrainedListener:
    try:
        return speech_recogniser.load(pathlib.Path(file).expanduser() if file else speech_recogniser.SHIPPED)
    except UserError as error:
        raise UserError(f"config.eval.judges: listener: {error}") from None


def load(file: str, sample_rate: int) -> dict[str, Any]:
    """Its weights, and the words that it knows with their units, or its letters: NumPy arrays.

    Args:
      file: of a recogniser that was exported; "" for the shipped one.
      sample_rate: of the sounds, in Hz.

    Raises:
      UserError: there is no such file, it is another one's, or hears another rate.
    """
    known = _known(file)
    if known.spec.sample_rate != sample_rate:
        where = f"config.eval.judges: {file or 'listener'}"
        raise UserError(
            f"{where} hears sounds of {known.spec.sample_rate} Hz, config.frames.sample_rate is {sample_rate}"
        )
    names = {"units_names": symbols.spelt(known.units)}
    if known.words:
        names = {"lexicon_names": symbols.spelt(known.words), "lexicon_units": known.lexicon}
    return {**known.variables, **names}


def hear(file: str, weights: Any, sound: Float[Array, "b time"], length: Int[Array, " b"]) -> Heard:
    """See `SpeechJudge`."""
    known = _known(file)
    frames = jnp.where(length > 0, known.spec.frames(length), 0)
    own = {"params": weights["params"], "state": weights["state"]}
    out: Any = known.model.apply(own, known.spec(sound), frames)
    said = transcript.of(weights, jax.nn.log_softmax(out["units"]), known.model.steps(frames))
    return Heard(said, out.get("speaker"))


def judge(sample_rate: int, file: str = "") -> SpeechJudge:
    """The judge "listener": the shipped one, which hears at its own rate, or that of a file, which is read when its
    weights are asked for and must then hear this rate."""
    rate = sample_rate if file else _known("").spec.sample_rate
    return SpeechJudge("listener", bind(load, file, rate), rate, hear=bind(hear, file))
