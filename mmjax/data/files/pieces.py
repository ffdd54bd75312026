"""A user's file as a network takes it, piece by piece: the work of a child process, in a module that imports quickly.

A picture is one piece. A long sound is cut into pieces as long as training's clips, the last one as long as it is; a
video gives its sound to those who hear, and to those who see the picture in the middle of each piece.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from mmjax.data.files import container, media, packets, pictures, sound_file, upright
from mmjax.data.files.faults import Fault, Unusable

SHORTEST = 0.05  # seconds, of which a sound is not heard any more: a click
LEAST = 1.0  # seconds: a shorter rest of a longer sound is left out, as of the videos that training cuts


@dataclasses.dataclass(frozen=True)
class How:
    """How files are read.

    Attributes:
      size: of pictures, in pixels.
      fit: how they become square, see `pictures.as_trained`.
      samples: of a piece of sound, at 22,050 Hz; 0 = all of it.
      every: seconds from one picture of a video to the next.
    """

    size: int
    fit: str
    samples: int
    every: float


@dataclasses.dataclass(frozen=True)
class Piece:
    """An array of a file: a picture uint8 [h w 3], or a sound int16 [time]; in a file with time, from when to when."""

    array: Any
    start: float | None = None
    end: float | None = None


@dataclasses.dataclass(frozen=True)
class Pieces:
    """All pieces of a file, at least one, and what is missing of it: "" for nothing."""

    pieces: tuple[Piece, ...]
    remark: str = ""


def read(how: How, item: tuple[int, str, str]) -> Pieces | Fault:
    """The pieces of a file, or why there are none.

    Args:
      item: its place among the items, "picture", "sound" or "video" (for those who see), and its path.
    """
    _, kind, path = item
    try:
        return _picture(how, path) if kind == "picture" else _READERS[kind](how, pathlib.Path(path))
    except Unusable as error:
        return Fault(path, error.kind, error.detail)


@functools.lru_cache(maxsize=64)  # questions about one picture follow each other
def _picture(how: How, path: str) -> Pieces:
    if not pathlib.Path(path).is_file():
        raise Unusable("missing", "no such file")
    return Pieces((Piece(pictures.as_trained(pathlib.Path(path), how.size, how.fit)),))


def _sound(how: How, path: pathlib.Path) -> Pieces:
    wave, remark = sound_file.read(path)
    if len(wave) < SHORTEST * media.SAMPLE_RATE:
        wanted = f"{len(wave)} samples at {media.SAMPLE_RATE} Hz, and {SHORTEST:g} s are the least"
        raise Unusable("too short to be heard", wanted)
    length, rate = how.samples or len(wave), media.SAMPLE_RATE
    starts = [at for at in range(0, len(wave), length) if at == 0 or len(wave) - at >= LEAST * rate]
    cut = [(at, wave[at : at + length]) for at in starts]
    return Pieces(tuple(Piece(piece, at / rate, (at + len(piece)) / rate) for at, piece in cut), remark)


def _video(how: How, path: pathlib.Path) -> Pieces:
    if not path.is_file():
        raise Unusable("missing", "no such file")
    size = how.size if how.fit != "native" else 0
    return Pieces(tuple(Piece(picture, start, end) for start, end, picture in shown(path, how.every, size)))


_READERS = {"sound": _sound, "video": _video}


def shown(path: pathlib.Path, every: float, size: int) -> Iterator[tuple[float, float, pictures.Picture]]:
    """(start, end, the picture that a player shows in the middle) of each `every` seconds of a video, sound or not.

    Upright, the shorter side scaled to `size` pixels (0 = its own) and the middle cut out. The rest at the end has the
    last picture before its middle would be. The end of the last is the video's.

    Raises:
      Unusable: it cannot be read, or has no picture.
    """
    with container.open_file(path) as file:
        track: Any = container.picture_track(file)
        if track is None or track.codec_context is None:
            raise Unusable("no picture", "the file has no video stream that can be decoded")
        aspect = float(track.sample_aspect_ratio or 1)
        count, latest, first, end = 0, None, None, 0.0
        middle = None  # of the piece before, whose end is known when the next begins
        step = 1 / float(track.average_rate or 25)
        for frame in packets.frames(file, track):
            stamp = float(frame.time) if frame.time is not None else end + (first or 0.0)
            first = stamp if first is None else first
            while latest is not None and stamp - first > (count + 0.5) * every:
                if middle is not None:
                    yield (count - 1) * every, count * every, middle
                middle, count = _upright(latest, aspect, size), count + 1
            latest, end = frame, stamp - first + step
        if latest is None:
            raise Unusable("unreadable", "no picture could be decoded")
        rest = count == 0 or end > count * every + step / 2
        if middle is not None:
            yield (count - 1) * every, count * every if rest else min(count * every, end), middle
        if rest:
            yield count * every, end, _upright(latest, aspect, size)


def _upright(frame: Any, aspect: float, size: int) -> np.ndarray:
    return upright.rgb(frame, aspect, size or min(round(frame.width * aspect), frame.height))
