"""Videos for those who see and hear: every so often a picture, with the sound around it as long as training's clips; or
each of the faces in it, and all of its sound."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator
from functools import partial

import numpy as np

from mmjax.data.files import (
    child_processes,
    clip_spool,
    drawn_video,
    face_boxes,
    face_tracks,
    media,
    pictures,
    video,
)
from mmjax.data.files.drawn_video import Drawing
from mmjax.data.files.faults import Fault
from mmjax.data.sets import talking_videos

LEAST = 0.25  # seconds: a shorter rest at the end has no picture of its own
LONG = 640  # pixels of the long side of pictures in which faces are looked for


@dataclasses.dataclass(frozen=True)
class Moment:
    """A picture uint8 [h w 3], the sound around it int16 [time], and the seconds that it stands for."""

    picture: np.ndarray
    sound: np.ndarray
    start: float
    end: float


@contextlib.contextmanager
def opened(
    path: str, every: float, size: int, samples: int, fit: str = "crop"
) -> Iterator[tuple[Iterator[Moment], str] | Fault]:
    """The moments of a video, read in a child process and kept on disk while they are used, and what is missing of it.

    Pictures are the middle of each `every` seconds, upright squares of `size` pixels (for `fit` see `upright.rgb`).
    Each has the `samples` of sound (at 22,050 Hz; 0 = all) around the same middle; near the ends of the video those
    that are there.

    Yields:
      the moments in order and "" or a remark; or why there are none.
    """
    cut = video.Cut(seconds=every, frames=1, size=size, min_seconds=min(every, LEAST), fit=fit)
    with _spooled(path, cut) as found:
        yield found if isinstance(found, Fault) else (_moments(found[0], samples), found[1])


@contextlib.contextmanager
def _spooled(path: str, cut: video.Cut) -> Iterator[tuple[pathlib.Path, str] | Fault]:
    """The clips of a video, cut in a child process, in a file that `clip_spool.read` reads, and what is missing."""
    file = pathlib.Path(path)
    with tempfile.TemporaryDirectory() as folder:
        spool = pathlib.Path(folder)
        work = partial(clip_spool.write, str(file.parent), cut, spool)
        ((_, report),) = child_processes.each(work, [file.name], 1)
        if isinstance(report, child_processes.Lost):
            yield Fault(path, report.kind, report.detail)
        elif not report["clips"]:
            yield Fault(path, report["kind"], report["detail"])
        else:
            yield clip_spool.file_of(spool, file.name), report["detail"]


def _moments(spool: pathlib.Path, samples: int) -> Iterator[Moment]:
    sound = _on_disk(spool)
    for _, clip in clip_spool.read(spool):
        first = round(clip["start"] * media.SAMPLE_RATE)
        last = first + len(clip["waveform"])
        piece = np.array(around(sound, (first + last) // 2, samples))
        start = float(clip["start"])
        yield Moment(
            pictures.decode(clip["frames"][0]), piece, start, start + len(clip["waveform"]) / media.SAMPLE_RATE
        )


def _on_disk(spool: pathlib.Path) -> np.ndarray:
    """All of the sound of the clips, int16 [time], of which only what is read comes into memory."""
    file = spool.with_name(f"{spool.name}.sound")
    with file.open("wb") as written:
        for _, clip in clip_spool.read(spool):
            written.write(np.ascontiguousarray(clip["waveform"], np.int16).data)
    return np.memmap(file, np.int16, "r") if file.stat().st_size else np.zeros(0, np.int16)


@dataclasses.dataclass(frozen=True)
class Talk:
    """A film of people talking: their faces, from left to right, and what is heard.

    Attributes:
      faces: uint8 [n f size size 3], 25 pictures a second.
      sound: int16 [time] at 22,050 Hz.
      remark: what the user should know, "" for nothing.
    """

    faces: np.ndarray
    sound: np.ndarray
    remark: str


def talking(path: str, count: int, size: int) -> Talk | Fault:
    """The `count` faces of a video that are seen most often, as squares of `size` pixels.

    Pictures are kept on disk while faces are looked for; in memory are those of the faces, 25 a second.

    Raises:
      UserError: the extra `faces` is missing.
    """
    detect = face_boxes.detector()
    every = 1 / talking_videos.RATE
    cut = video.Cut(every, 1, LONG, every / 2, "whole")
    with _spooled(path, cut) as spooled:
        if isinstance(spooled, Fault):
            return spooled
        spool, damage = spooled
        searched = _pictures(spool, face_tracks.LOOK)
        found = face_tracks.tracks(searched, detect)
        if len(found) < count:
            return Fault(path, "shows too few faces", f"{len(found)}, and the run tells {count} apart")
        remarks = [f"used up to the damage: {damage}"] if damage else []
        if len(found) > count:
            remarks.append(f"{len(found)} faces, of which the {count} that are seen most often are asked about")
        sound = np.concatenate([clip["waveform"] for _, clip in clip_spool.read(spool)])
        length = sum(1 for _ in clip_spool.read(spool))
        boxes = sorted((track.over(length) for track in found[:count]), key=lambda over: np.mean(over, 0)[0])
        faces = np.empty((count, length, size, size, 3), np.uint8)
        for number, picture in _pictures(spool, 1):
            for i, over in enumerate(boxes):
                faces[i, number] = face_boxes.crop(picture, over[number], size)
        return Talk(faces, sound, "; ".join(remarks))


def _pictures(spool: pathlib.Path, every: int) -> Iterator[tuple[int, np.ndarray]]:
    """The number of every so many pictures, and the picture."""
    for number, (_, clip) in enumerate(clip_spool.read(spool)):
        if number % every == 0:
            yield number, pictures.decode(clip["frames"][0])


def around(sound: np.ndarray, middle: int, samples: int) -> np.ndarray:
    """So many samples around a place, moved where they would reach beyond an end; all of a shorter sound, and for 0."""
    length = min(samples or len(sound), len(sound))
    first = min(max(middle - length // 2, 0), len(sound) - length)
    return sound[first : first + length]


def draw(source: str, target: str, times: list[float], maps: list[np.ndarray], fit: str = "crop") -> str | Fault:
    """A video with its maps drawn on it, see `drawn_video`: "", a remark, or why it was not written.

    A map is over what was seen: the square in the middle, or all of a picture that was squashed.

    What is clear is the median of all values, and of the strongest colour the highest: maps compare over the video, and
    a stretch in which nothing sounds stays clear where its scores are low.
    """
    values = np.asarray(maps, np.float32)
    finite = values[np.isfinite(values)]
    low, high = (float(np.median(finite)), float(finite.max())) if finite.size else (0.0, 1.0)
    drawing = Drawing(source, target, np.asarray(times, np.float64), values, low, high, fit == "squash")
    ((_, said),) = child_processes.each(drawn_video.draw, [drawing], 1)
    return Fault(target, said.kind, said.detail) if isinstance(said, child_processes.Lost) else said
