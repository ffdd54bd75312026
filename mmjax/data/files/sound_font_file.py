"""Notes played from a SoundFont file by TinySoundFont, an optional package."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.signal

from mmjax.data.files import media
from mmjax.errors import UserError

RATE = (
    2 * media.SAMPLE_RATE
)  # the synthesiser does not filter what it resamples, so it plays at twice the rate of the result
HELD = 0.8  # of a note's time until the key is released


def require_tinysoundfont() -> Any:
    """The package tinysoundfont; raises UserError where it is missing."""
    try:
        import tinysoundfont
    except ImportError as error:
        raise UserError(
            "sound_fonts needs the extra `instruments`: pip install --no-deps tinysoundfont, or, with Debian's "
            "portaudio19-dev, pip install 'mmjax[instruments]'"
        ) from error
    return tinysoundfont


class SoundFont:
    """One opened file.

    Args:
      path: an .sf2 or .sf3 file.

    Raises:
      UserError: the package is missing, or the file is no SoundFont.
    """

    def __init__(self, path: pathlib.Path):
        self._synth = require_tinysoundfont().Synth(samplerate=RATE)
        try:
            self._font = self._synth.sfload(str(path))
        except Exception as error:  # the binding raises RuntimeError and its own class, by version
            raise UserError(f"{path} cannot be read as a SoundFont (.sf2 or .sf3)") from error

    def play(self, program: int, pitches: Sequence[int], velocity: int, seconds: float) -> media.Sound:
        """Notes one after the other in equal times, the last one's decay cut off at the end.

        Args:
          program: 0..127.
          pitches: MIDI keys, 60 is middle C.
          velocity: 1..127. The loudest sample is this share of full scale: fonts are recorded at different levels.
          seconds: of the whole.

        Returns:
          mono int16 at 22,050 Hz, round(22,050 seconds) samples; the same whatever was played before.

        Raises:
          Unusable: the font lacks the program, or is silent there.
        """
        if self._synth.sfpreset_name(self._font, 0, program) is None:
            raise media.Unusable("missing", str(program))
        self._synth.program_select(0, self._font, 0, program)
        ends = np.round(np.arange(len(pitches) + 1) * seconds * media.SAMPLE_RATE / len(pitches)).astype(int)
        each = (2 * np.diff(ends)).tolist()
        played = np.concatenate([self._note(pitch, velocity, size) for pitch, size in zip(pitches, each)])
        self._synth.sounds_off()
        self._samples(RATE // 10)  # what sounds is faded out, not cut: it must not reach into the next note
        sound = scipy.signal.resample_poly(played, 1, 2)
        peak = float(np.abs(sound).max(initial=0))
        if peak * 32_767 <= media.SILENCE:
            raise media.Unusable("silent", f"program {program} at pitch {pitches[0]}")
        return np.round(sound * (velocity / 127 / peak * 32_767)).astype(np.int16)

    def _note(self, pitch: int, velocity: int, size: int) -> np.ndarray:
        held = int(HELD * size)
        self._synth.noteon(0, pitch, velocity)
        start = self._samples(held)
        self._synth.noteoff(0, pitch)
        return np.concatenate([start, self._samples(size - held)])

    def _samples(self, size: int) -> np.ndarray:
        """The next `size` samples, float32, both channels' mean."""
        return np.frombuffer(self._synth.generate(size), np.float32).reshape(size, 2).mean(axis=1)
