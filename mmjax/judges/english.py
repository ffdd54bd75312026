"""pocketsphinx as a judge of English speech: a recogniser that is not ours, of the extra `recognise`.

Its own models of US English come with it. It runs on the host, several times as fast as the speech on a core, and
writes down words of its dictionary alone: of clean short captions without context it mishears four words in ten.
"""

from __future__ import annotations

import functools
import importlib
import math
from typing import Any

import jax
import numpy as np
import scipy.signal
from jaxtyping import Array, Float, Int, UInt8

from mmjax.errors import UserError
from mmjax.judges.listener import Heard, SpeechJudge
from mmjax.task import bind

RATE = 16_000  # of its acoustic model
WORDS, LETTERS = 64, 32  # the most that are written down: no caption is longer, and no word of its dictionary
LEAST = 0.1  # seconds, below which there is nothing to be heard


@functools.cache
def _decoder() -> Any:
    try:
        module = importlib.import_module("pocketsphinx")
    except ImportError as error:
        raise UserError(
            "the judge pocketsphinx comes with the extra `recognise`, which is not installed: "
            f"pip install 'mmjax[recognise]' ({error})"
        ) from None
    return module.Decoder(samprate=RATE, loglevel="FATAL")


def load() -> dict[str, Any]:
    """Its models are files of its own; raises UserError, before hours of training, where it is not installed."""
    _decoder()
    return {}


def written_down(sound: Float[np.ndarray, "b time"], length: Int[np.ndarray, " b"], rate: int) -> list[list[str]]:
    """The words of each sound of so many samples: -1..1, at `rate` in Hz."""
    common, decoder = math.gcd(rate, RATE), _decoder()
    found: list[list[str]] = []
    for row, samples in zip(np.asarray(sound), np.asarray(length), strict=True):
        if samples < LEAST * rate or not np.any(row[:samples]):  # in digital silence it hears a word
            found.append([])
            continue
        heard = scipy.signal.resample_poly(row[:samples].astype(np.float64), RATE // common, rate // common)
        decoder.reinit_feat()  # else what it hears depends on what it heard before: findings/pocketsphinx_remembers.sh
        decoder.start_utt()
        decoder.process_raw(np.round(np.clip(heard, -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        best = decoder.hyp()
        found.append(best.hypstr.split() if best else [])
    return found


def _spelled(sound: Any, length: Any, rate: int) -> UInt8[np.ndarray, "b n letters"]:
    out = np.zeros((len(sound), WORDS, LETTERS), np.uint8)
    for row, words in enumerate(written_down(sound, length, rate)):
        for place, word in enumerate(words[:WORDS]):
            letters = word.encode()[:LETTERS]
            out[row, place, : len(letters)] = list(letters)
    return out


def hear(weights: Any, sound: Float[Array, "b time"], length: Int[Array, " b"], *, rate: int) -> Heard:
    """See `SpeechJudge`; it says nothing about the voice."""
    del weights
    shape = jax.ShapeDtypeStruct((sound.shape[0], WORDS, LETTERS), np.uint8)
    return Heard(jax.pure_callback(functools.partial(_spelled, rate=rate), shape, sound, length), None)


def judge(sample_rate: int) -> SpeechJudge:
    """The judge "pocketsphinx", of sounds of any rate."""
    return SpeechJudge("pocketsphinx", load, bind(hear, rate=sample_rate), sample_rate)
