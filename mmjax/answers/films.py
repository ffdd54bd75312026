"""Videos for those who see and hear: every so often a picture, with the sound around it as long as training's clips."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator
from functools import partial

import numpy as np

from mmjax.data.files import child_processes, clip_spool, drawn_video, media, pictures, video
from mmjax.data.files.drawn_video import Drawing
from mmjax.data.files.faults import Fault

LEAST = 0.25  # seconds: a shorter rest at the end has no picture of its own


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
    file = pathlib.Path(path)
    cut = video.Cut(seconds=every, frames=1, size=size, min_seconds=min(every, LEAST), fit=fit)
    with tempfile.TemporaryDirectory() as folder:
        spool = pathlib.Path(folder)
        work = partial(clip_spool.write, str(file.parent), cut, spool)
        ((_, report),) = child_processes.each(work, [file.name], 1)
        if isinstance(report, child_processes.Lost):
            yield Fault(path, report.kind, report.detail)
        elif not report["clips"]:
            yield Fault(path, report["kind"], report["detail"])
        else:
            yield _moments(clip_spool.file_of(spool, file.name), samples), report["detail"]


def _moments(spool: pathlib.Path, samples: int) -> Iterator[Moment]:
    sound = np.concatenate([clip["waveform"] for _, clip in clip_spool.read(spool)])
    for _, clip in clip_spool.read(spool):
        first = round(clip["start"] * media.SAMPLE_RATE)
        last = first + len(clip["waveform"])
        piece = around(sound, (first + last) // 2, samples)
        start = float(clip["start"])
        yield Moment(
            pictures.decode(clip["frames"][0]), piece, start, start + len(clip["waveform"]) / media.SAMPLE_RATE
        )


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
