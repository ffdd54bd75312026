"""What a user gives a trained system, as the data sets would have given it: arrays of the glossary's types and shapes.

Sound has its standard meaning by its type: int16 and int32 are PCM at full scale, floats lie in -1..1 (up to twice that
is clipped, as decoders overshoot), int64 holds 16-bit PCM; int32 that never leaves 16 bits is refused, as nobody can
tell what it means. So have pictures: uint8 in 0..255, floats in 0..1, uint16 in 0..65,535, wider integers and uint16
only where their values say which. Floats beyond 1 are refused: they may be 0..255, standardised, or wrong. Of shapes
all are accepted that mean one thing: without a batch axis, channels first, grey, RGBA (onto white), stereo (the mean,
channels last: [2 time] is a batch of two sounds).
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.data import spec
from mmjax.data.files import media
from mmjax.errors import UserError

CHANNELS = (1, 3, 4)  # of a picture: grey, RGB, RGBA
MOST_CHANNELS = 8  # of a sound: 7.1
OVERSHOOT = 2.0  # of floating-point sound, as share of full scale
ROUNDING = 0.5 / 255  # of floating-point pictures


def batch(
    values: Mapping[str, Any], shapes: Mapping[str, tuple[Any, ...]] | None = None, sample_rate: int | None = None
) -> dict[str, np.ndarray]:
    """Arrays of a batch as the networks take them; text is left out, and so is nothing else.

    Args:
      values: {field: array, or list of rows}, see `mmjax.data.spec`; other names pass as they are.
      shapes: {field: (dtype, batch, size, ...)} of training: an example without a batch axis is known by it.
      sample_rate: of every sound, in Hz; None = 22,050. Others are resampled as the data sets do; lengths follow.

    Returns:
      {field: [b ...]}, with a batch axis each and one b, of at least one row.

    Raises:
      UserError: a type or shape that is not the field's and could be none or several things, numbers that are not
        finite or out of range, or fields of different b. One line, with what is wanted.
    """
    if sample_rate is not None and not _whole(sample_rate):
        raise UserError(f"sample_rate={sample_rate}: it must be a whole number of samples a second, such as 44100")
    out: dict[str, np.ndarray] = {}
    for name, value in values.items():
        array = _array(name, value)
        if _known(name):
            array = _field(name, array, tuple((shapes or {}).get(name, ()))[2:])
        elif array.dtype.kind not in "biufV":  # text
            continue
        out[name] = array
    sounds = [name for name in out if _kind(name) == "sound"]
    if sample_rate is not None and not sounds:
        raise UserError(f"sample_rate={sample_rate} is of a sound, and there is none in {', '.join(values)}")
    for name in sounds:
        out[name] = _int16(name, out[name], int(sample_rate or media.SAMPLE_RATE))
        if sample_rate is not None and f"{name}_length" in out:
            length = out[f"{name}_length"].astype(np.int64)
            out[f"{name}_length"] = _resampled(length, int(sample_rate)).astype(np.int32)
    rows = {name: len(array) for name, array in out.items() if _known(name)}
    if len(set(rows.values())) > 1:
        raise UserError(f"a batch has one number of rows: {', '.join(f'{k} has {n}' for k, n in rows.items())}")
    return out


def _whole(rate: Any) -> bool:
    return isinstance(rate, numbers.Real) and float(rate) > 0 and float(rate) % 1 == 0


def _known(name: str) -> bool:
    """Whether the glossary says what such a column holds; of text it does not say what stands for it in numbers."""
    field = spec.FIELDS.get(name.removesuffix("_length"))
    return field is not None and field.dtype != "str"


def _kind(name: str) -> str:
    """What is to be done with a field."""
    shape = spec.FIELDS[name].shape if name in spec.FIELDS else ""
    return "picture" if shape.endswith("h w 3") else "sound" if shape == "time*" else ""


def _array(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise UserError(f"{name}: its rows differ in shape; pad them to one, and give {name}_length") from None
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=False)  # a file's bytes may be the other way round


def _refused(name: str, array: np.ndarray, why: str = "") -> UserError:
    field = spec.FIELDS[name.removesuffix("_length")]
    wanted = " ".join(["b", *([] if name.endswith("_length") else field.shape.split())]).replace("*", "")
    kind = "int32" if name.endswith("_length") else field.dtype
    also = {"picture": ", or floats in 0..1", "sound": ", int32, or floats in -1..1"}.get(_kind(name), "")
    got = f"{array.dtype} [{' '.join(map(str, array.shape))}]"
    return UserError(f"{name} wants {kind} [{wanted}]{also}: got {got}{why and f', {why}'}")


def _field(name: str, array: np.ndarray, trained: tuple[int, ...]) -> np.ndarray:
    """The array with its batch axis and its own type; sound keeps the type in which it was given."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _refused(name, array, "with numbers that are not finite")
    kind = _kind(name)
    if array.ndim and (not len(array) or (kind and not array.size)):
        raise _refused(name, array, "which holds nothing")
    if array.dtype.kind not in "biuf":
        raise _refused(name, array)
    if kind == "picture":
        return _pictures(name, array, trained)
    if kind == "sound":
        return _mono(name, array)
    field = spec.FIELDS[name.removesuffix("_length")]
    axes = field.shape.split()
    if name.endswith("_length"):
        axes = axes[: next((i for i, axis in enumerate(axes) if axis.endswith("*")), 0)]
    if array.ndim == len(axes):
        array = array[None]
    if array.ndim != len(axes) + 1:
        raise _refused(name, array)
    wanted = np.dtype("int32" if name.endswith("_length") else field.dtype)
    fits = {"i": "iu", "f": "iuf", "b": "biu"}[wanted.kind]
    if array.dtype.kind not in fits:
        raise _refused(name, array)
    if wanted.kind == "i" and array.size and not np.can_cast(array.dtype, wanted) and np.abs(array).max() >= 2**31:
        raise _refused(name, array, f"with {np.abs(array).max()}")
    return array.astype(wanted)


# -- sound -------------------------------------------------------------------------------------------------------------


def _mono(name: str, array: np.ndarray) -> np.ndarray:
    """[b time] of one channel, or [b time channels]."""
    few = [0 < size <= MOST_CHANNELS for size in array.shape]
    if array.ndim == 1:
        return array[None]
    if array.ndim == 2 and few[1] and array.shape[0] > 100 * MOST_CHANNELS:  # no hundreds of sounds of a few samples
        return array[None]
    if array.ndim == 2:
        return array
    if array.ndim == 3 and array.shape[1] != array.shape[2] and any(few[1:]):
        return array if array.shape[2] < array.shape[1] else array.swapaxes(1, 2)
    raise _refused(name, array)


def _int16(name: str, array: np.ndarray, rate: int) -> np.ndarray:
    """[b time] or [b time channels] of any type -> [b time] at the data sets' rate."""
    peak = float(np.abs(array.astype(np.float64)).max(initial=0))
    kind = array.dtype
    if kind.kind == "f" and peak > OVERSHOOT:
        raise _refused(name, array, f"with values up to {peak:g}: divide them by the full scale of their recording")
    if kind == np.int32 and 0 < peak < 2**15:
        raise _refused(name, array, f"with values up to {peak:g} of 2147483647: if they are 16-bit, make them int16")
    if kind == np.int64 and peak > 2**15:
        raise _refused(name, array, f"with values up to {peak:g}: int64 has no full scale of its own")
    if kind.kind != "f" and kind not in (np.int16, np.int32, np.int64):
        raise _refused(name, array)
    if rate != media.SAMPLE_RATE:
        rows = [media.to_int16_mono(row, rate) for row in array]
        return np.stack(rows) if rows else np.zeros((0, _resampled(array.shape[1], rate)), np.int16)
    if kind.kind == "f" or kind == np.int32:  # as decoders scale: 16-bit samples come out to the bit
        array = array.astype(np.float64) * (2.0**15 if kind.kind == "f" else 2.0**-16)
    mono = array.mean(-1) if array.ndim == 3 else array
    return np.clip(np.round(mono), -(2**15), 2**15 - 1).astype(np.int16)


def _resampled(length: Any, rate: int) -> Any:
    return -(-length * media.SAMPLE_RATE // rate)


# -- pictures ----------------------------------------------------------------------------------------------------------


def _pictures(name: str, array: np.ndarray, trained: tuple[int, ...]) -> np.ndarray:
    """uint8 RGB, [b h w 3] or [b f h w 3]."""
    inner = len(spec.FIELDS[name].shape.split())  # axes of an example
    array = _batched(name, array, inner, trained)
    last, first = array.shape[-1], array.shape[-3]
    if last != 3 and first in CHANNELS and (first == 3 or last not in CHANNELS):  # channels first
        array = np.moveaxis(array, -3, -1)
    shown = _eight_bit(name, array)
    if shown.shape[-1] == 1:
        return np.repeat(shown, 3, -1)
    if shown.shape[-1] == 4:
        opaque = shown[..., 3:].astype(np.float32) / 255
        return np.round(shown[..., :3] * opaque + 255 * (1 - opaque)).astype(np.uint8)
    return shown


def _batched(name: str, array: np.ndarray, inner: int, trained: tuple[int, ...]) -> np.ndarray:
    """With a batch axis and a channel axis, the last or the third from behind."""

    def coloured(shape: tuple[int, ...]) -> bool:
        return len(shape) >= 3 and (shape[-1] in CHANNELS or shape[-3] in CHANNELS)

    if array.ndim == inner + 1 and coloured(array.shape):
        return array
    last = array.ndim >= 3 and array.shape[-1] in CHANNELS
    if inner == 4 and array.ndim == 4 and coloured(array.shape):  # frames: of one clip, or one of each?
        if trained and len(array) == trained[0] and trained[0] != 1:
            return array[None]
        raise _refused(name, array, "which may be the frames of one clip or one frame of several: add the axis")
    if inner == 3 and array.ndim == 2:
        return array[None, ..., None]
    if inner == 3 and array.ndim == 3 and last:
        return array[None]
    if inner == 3 and array.ndim == 3:
        if array.shape[0] in CHANNELS[1:]:
            many = f"which may be one picture with channels first or {array.shape[0]} grey ones: add the axis"
            raise _refused(name, array, many)
        return array[..., None]
    raise _refused(name, array)


def _eight_bit(name: str, array: np.ndarray) -> np.ndarray:
    kind, low, high = array.dtype, float(array.min(initial=0)), float(array.max(initial=0))
    span = f"with values {low:g} to {high:g}"
    if kind == np.uint8:
        return array
    if kind.kind == "f":
        if not -ROUNDING <= low <= high <= 1 + ROUNDING:
            raise _refused(name, array, f"{span}: if they are 0..255, divide by 255")
        return np.round(np.clip(array, 0, 1) * 255).astype(np.uint8)
    if kind == np.uint16 and high > 255:
        return np.round(array / 257).astype(np.uint8)
    if kind in (np.int32, np.int64, np.int16, np.uint32, np.uint64) and low >= 0 and 1 < high <= 255:
        return array.astype(np.uint8)
    if kind.kind in "iu" and low == high == 0:
        return array.astype(np.uint8)
    raise _refused(name, array, f"{span}: make them uint8 if they are 0..255" if kind.kind in "iu" else "")
