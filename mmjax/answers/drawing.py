"""Answers that are maps over the pictures of a video: the user's own video, with the map drawn on it over time."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mmjax.answers import films
from mmjax.answers.inputs import Item
from mmjax.answers.rows import Answer
from mmjax.data.files import drawn_video
from mmjax.data.files.faults import Fault
from mmjax.errors import UserError

SEEN = ("video", "film")  # kinds of files that have pictures over time


def is_video(target: str) -> bool:
    """Whether a target's name is that of a video that can be written."""
    return pathlib.PurePath(target).suffix.lower() in drawn_video.SUFFIXES and not pathlib.Path(target).is_dir()


class Drawn:
    """The videos that are written beside, or in the place of, a table.

    A target that is a video is that of the one video that is asked; in a folder each video has a drawn copy of its
    name. Maps are small and kept; pictures are not.

    Args:
      target: what was given as -o.
      maps: keys of the predictions that are maps over pictures; the first is drawn.
      items: what is asked.

    Attributes:
      alone: whether the target is a video, so that there is no table.

    Raises:
      UserError: a video was asked for where there are no maps or not one video.
    """

    def __init__(self, target: str, maps: Sequence[str], items: Sequence[Item]):
        videos = list(dict.fromkeys(item.file for item in items if item.kind in SEEN))
        self.alone, folder = is_video(target), pathlib.Path(target).expanduser()
        self._key, self._targets = (maps[0] if maps else ""), dict[str, str]()
        self._found: dict[str, list[tuple[float, np.ndarray]]] = {}
        if self.alone:
            _check(target, self._key, videos)
            self._targets = {videos[0]: str(folder)}
        elif maps and videos and target and (folder.is_dir() or not folder.suffix):
            self._targets = dict(zip(videos, _names(videos, folder), strict=True))

    def add(self, answers: Sequence[Answer]) -> None:
        """Some more answers, whose maps are taken out: they need no files of their own."""
        for row, media in answers:
            if row.get("file") in self._targets and self._key in media:
                middle = (float(row["start"]) + float(row["end"])) / 2
                self._found.setdefault(str(row["file"]), []).append((middle, media.pop(self._key)))

    def write(self, say: Callable[[str], None], fit: str = "crop") -> Iterator[Fault]:
        """Writes the videos; yields why one could not be. Those without a map have been told already.

        Args:
          say: gets a line for the user.
          fit: how pictures of films became square, see `films.opened`.
        """
        for source, maps in self._found.items():
            times, values = zip(*maps, strict=True)
            said = films.draw(source, self._targets[source], list(times), list(values), fit)
            if isinstance(said, Fault):
                yield said
            elif said:
                say(f"{self._targets[source]}: drawn up to the damage: {said}")


def _check(target: str, key: str, videos: Sequence[str]) -> None:
    path = pathlib.Path(target).expanduser()
    if not key:
        raise UserError(f"-o {target}: this run draws nothing on a video: give .csv, .jsonl, .json or a folder")
    if len(videos) != 1:
        raise UserError(f"-o {target} is one video, and {len(videos)} are asked: give one, or a folder, -o FOLDER")
    if not path.parent.is_dir():
        raise UserError(f"-o {target}: there is no folder {path.parent}")
    if path.exists() and os.path.samefile(path, videos[0]):
        raise UserError(f"-o {target} is the video that is asked about: give another name")


def _names(videos: Sequence[str], folder: pathlib.Path) -> list[str]:
    """A file of the folder for each video, of its name and, where that is another's, a number."""
    taken: dict[str, int] = {}
    names = []
    for video in videos:
        stem = pathlib.PurePath(video).stem
        taken[stem] = taken.get(stem, 0) + 1
        number = f"_{taken[stem]}" if taken[stem] > 1 else ""
        names.append(str(folder / f"{stem}{number}{drawn_video.SUFFIXES[0]}"))
    return names
