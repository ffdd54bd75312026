"""pocketsphinx as a judge of English speech: a recogniser that is not ours, of the extra `recognise`.

Its own models of US English come with it. It runs on the host, on one core, four times as fast as clear speech and no
faster than noise, and writes down words of its dictionary alone: of clean short captions without context it mishears
four words in ten.
"""

from __future__ import annotations

import functools
import importlib
import math
import threading
from typing import Any

import numpy as np
import scipy.signal
from jaxtyping import Float, Int, UInt8

from mmjax.errors import UserError
from mmjax.judges.listener import SpeechJudge
from mmjax.task import bind

RATE = 16_000  # of its acoustic model
WORDS, LETTERS = 64, 32  # the most that are written down; its dictionary has no word of more than 28
LEAST = 0.1  # seconds, below which there is nothing to be heard
_LISTENING = threading.Lock()  # one decoder for all threads


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
    return [_words(_samples(row[:n], rate)) for row, n in zip(np.asarray(sound), np.asarray(length), strict=True)]


def _samples(sound: Float[np.ndarray, " time"], rate: int) -> Int[np.ndarray, " n"]:
    """16 bits at its own rate; none of what is too short, or no number."""
    if len(sound) < LEAST * rate or not np.isfinite(sound).all():
        return np.zeros(0, np.int16)
    common = math.gcd(rate, RATE)
    heard = scipy.signal.resample_poly(np.clip(sound, -1, 1).astype(np.float64), RATE // common, rate // common)
    return np.round(np.clip(heard, -1, 1) * 32767).astype(np.int16)


def _words(samples: Int[np.ndarray, " n"]) -> list[str]:
    if not np.any(samples):  # in digital silence it hears a word
        return []
    decoder = _decoder()
    with _LISTENING:
        decoder.reinit_feat()  # else what it hears depends on what it heard before: findings/pocketsphinx_remembers.sh
        decoder.start_utt()
        decoder.process_raw(samples.astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        best = decoder.hyp()
    return best.hypstr.split() if best else []


def written(
    sound: Float[np.ndarray, "b time"], length: Int[np.ndarray, " b"], rate: int
) -> UInt8[np.ndarray, "b n letters"]:
    """`written_down` as letters, UTF-8 with zeros behind."""
    out = np.zeros((len(sound), WORDS, LETTERS), np.uint8)
    for row, words in enumerate(written_down(sound, length, rate)):
        for place, word in enumerate(words[:WORDS]):
            letters = word.encode()[:LETTERS]
            out[row, place, : len(letters)] = list(letters)
    return out


def judge(sample_rate: int) -> SpeechJudge:
    """The judge "pocketsphinx", of sounds of any rate; it says nothing about the voice.

    It is asked between programs and not by a callback of one: of the few threads of a CPU, all may wait for a callback
    that waits for one of them, to hand it the sound.
    """
    return SpeechJudge("pocketsphinx", load, sample_rate, written=bind(written, rate=sample_rate))
