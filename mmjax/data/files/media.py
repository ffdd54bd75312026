"""Sound in the glossary's form, and names that all readers of media share. NumPy in and out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mmjax.data.files.faults import Unusable as Unusable
from mmjax.errors import UserError

SAMPLE_RATE = 22_050
SILENCE = 32  # peak of int16 sound, -60 dB of full scale: below it a recording holds nothing but its noise floor

Sound = npt.NDArray[np.int16]


def to_int16_mono(samples: npt.NDArray[Any], rate: int, full_scale: float | None = None) -> Sound:
    """Converts PCM or floating-point sound to mono int16 at 22,050 Hz.

    Args:
      samples: [time] or [time channels]; floats have full scale 1, integers that of int16 (or of their own narrower or
        int32 type) unless `full_scale` says otherwise.
      rate: of `samples`, in Hz.
      full_scale: the value of the loudest possible sample.
    """
    if full_scale is None:
        full_scale = _full_scale(samples.dtype)
    sound = np.asarray(samples, np.float64) / full_scale
    if sound.ndim == 2:
        sound = to_mono(sound)
    if rate != SAMPLE_RATE and sound.size:
        import scipy.signal  # a second to load, for those who only look at pictures

        common = math.gcd(rate, SAMPLE_RATE)
        sound = scipy.signal.resample_poly(sound, SAMPLE_RATE // common, rate // common)
    return np.round(np.clip(sound, -1, 1) * 32_767).astype(np.int16)


def to_mono(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean of all channels: [time channels] -> [time], of sound files and videos alike, surround sound too.

    It needs no layout, which libsndfile does not tell, is what librosa and torchaudio give, and never clips. (FFmpeg's
    own matrix would give the centre of 5.1 twice the weight of a surround channel, and leave the bass channel out.)
    """
    return samples.mean(axis=1)


def _full_scale(dtype: np.dtype[Any]) -> float:
    if dtype.kind == "f":
        return 1.0
    return 2.0**31 if dtype == np.int32 else 2.0**7 if dtype == np.int8 else 2.0**15  # int64 holds 16-bit PCM in TFDS


def require_av() -> Any:
    """PyAV, or UserError naming the extra that brings it."""
    try:
        import av
    except ImportError as error:
        raise UserError("reading videos needs the extra `video`: pip install 'mmjax[video]'") from error
    return av
