"""Which file of a folder is meant by a name, and which files are one picture."""

from __future__ import annotations

import collections
import functools
import hashlib
import os
import pathlib
import posixpath
import types
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from mmjax.data.files import caption_choice, held_pictures
from mmjax.data.files.caption_files import Picture
from mmjax.data.files.held_pictures import Held

# Files of equal bytes are one picture from this size on. Below, a plain picture or a "not available" of a web site is
# equal to others that stand for something else.
PLAIN = 2048
_TAIL = PLAIN  # bytes at the end of a file by which nearly all that differ are told apart


class Index:
    """The pictures of a folder by their names.

    Args:
      folder: absolute.
      paths: of its pictures, relative to it.
    """

    def __init__(self, folder: pathlib.Path, paths: Iterable[str]):
        self._folder = folder
        self._exact: dict[str, list[str]] = collections.defaultdict(list)
        self._by_base: dict[str, list[str]] = collections.defaultdict(list)
        self._by_number: dict[str, list[str]] = collections.defaultdict(list)
        self._homes: dict[pathlib.Path, str] = {}
        self._inhabited = {""}  # folders with pictures, in them or below
        for path in paths:
            self._exact[_plain(path)].append(path)
            self._by_base[_plain(posixpath.basename(path))].append(path)
            number, _ = caption_choice.coco(path)
            if number:
                self._by_number[number].append(path)
            above = posixpath.dirname(path)
            while above not in self._inhabited:
                self._inhabited.add(above)
                above = posixpath.dirname(above)

    def place(self, picture: Picture) -> str:
        """The path of a picture, "" where it is missing or ambiguous."""
        places = self.places(picture)
        return places[0] if len(places) == 1 else ""

    def places(self, picture: Picture) -> list[str]:
        """The paths that may be meant: none where it is missing, several where the name is ambiguous.

        A name is meant from the folder, from the one that its captions lie in, or is the end of a whole path: of
        "val/1.jpg" no "train/1.jpg" is. Names of COCO are known without their folders, and those of 2014 by those of
        2017 and the reverse. One that is held by another file is where that file is.
        """
        if picture.held:
            return [self.inside(picture)]
        home = self._home(picture)
        for start in dict.fromkeys((home, "")):
            found = self._exact.get(posixpath.normpath(posixpath.join(start, _plain(picture.name))))
            if found:
                return found
        tail = [part for part in _plain(picture.name).split("/") if part not in ("", ".", "..")]
        if not tail:
            return []
        inside = f"{home}/" if home in self._inhabited and home else ""
        ends = [
            path
            for path in self._by_base.get(tail[-1], ())
            if path.startswith(inside) and _plain(str(self._folder / path)).split("/")[-len(tail) :] == tail
        ]
        return self._one(ends or self._of_coco(picture.name))

    def inside(self, picture: Picture) -> str:
        """A name with the folder of its captions in front: below ours or, of others, from the root."""
        home = picture.home.resolve()
        below = home.is_relative_to(self._folder)
        return posixpath.join(self._home(picture) if below else home.as_posix(), picture.name)

    def _home(self, picture: Picture) -> str:
        """Where the picture's captions lie inside the folder; "" for the folder itself, and for elsewhere."""
        if picture.home not in self._homes:
            home = picture.home.resolve()
            inside = home.relative_to(self._folder).as_posix() if home.is_relative_to(self._folder) else ""
            self._homes[picture.home] = inside.removeprefix(".")
        return self._homes[picture.home]

    def _of_coco(self, name: str) -> list[str]:
        number, _ = caption_choice.coco(name)
        base = posixpath.basename(name)
        mine = self._by_number.get(number, [])
        same = [path for path in mine if posixpath.basename(path) == base]
        # Of another name is a picture of the other year alone: COCO_train2014_1.jpg is no COCO_val2014_1.jpg.
        of_2014 = caption_choice.coco(name)[1]
        return same or [path for path in mine if caption_choice.coco(path)[1] != of_2014]

    def _one(self, paths: list[str]) -> list[str]:
        """The first of paths that all lead to one file."""
        if len(paths) > 1 and len(set(_grouped(paths, lambda path: _file(self._folder, path)))) == 1:
            return paths[:1]
        return paths


def _plain(name: str) -> str:
    """One spelling of what macOS and others write differently."""
    return unicodedata.normalize("NFC", name)


def one_picture(
    folder: pathlib.Path, paths: Sequence[str], held: Mapping[str, Held | None] = types.MappingProxyType({})
) -> dict[str, str]:
    """{path: the first path of the same picture}: links, COCO's two names, and files of equal bytes.

    Args:
      folder: of the pictures.
      paths: theirs.
      held: where those of them are that are no files.
    """
    first = {path: path for path in paths}

    def join(groups: Iterable[list[str]]) -> None:
        for group in groups:
            for path in group[1:]:
                old, new = sorted((first[path], first[group[0]]), key=place.__getitem__, reverse=True)
                if old != new:
                    for other in members.pop(old):
                        first[other] = new
                        members[new].append(other)

    place = {path: number for number, path in enumerate(paths)}
    members = {path: [path] for path in paths}
    join(_grouped(paths, lambda path: (one.file, one.at) if (one := held.get(path)) else _file(folder, path)).values())
    by_number = _grouped(paths, lambda path: caption_choice.coco(path)[0])
    by_number.pop("", None)
    # One of each year at least: own pictures numbered like COCO's may have a number twice.
    years = [[caption_choice.coco(path)[1] for path in group] for group in by_number.values()]
    join(group for group, of in zip(by_number.values(), years, strict=True) if sum(of) == 1 < len(of))
    join(_equal(folder, members, held))
    return first


def _equal(folder: pathlib.Path, paths: Iterable[str], held: Mapping[str, Held | None]) -> list[list[str]]:
    """Those that are several files of equal bytes."""

    def size(path: str) -> int:
        mine = held.get(path)
        return mine.size if mine else os.stat(folder / path).st_size

    sized = _grouped(paths, size)
    alike = [group for size, group in sized.items() if isinstance(size, int) and size >= PLAIN]

    def has_digest(path: str) -> bool:
        mine = held.get(path)
        return bool(mine and mine.digest)

    found = []
    for group in alike:
        # Where the digest of one is known, those of its likes are wanted, and their tails say nothing.
        narrowed = [group]
        for part in (None,) if any(map(has_digest, group)) else (_TAIL, None):
            digest = functools.partial(_digest, folder, held, part)
            narrowed = [same for one in narrowed if len(one) > 1 for same in _grouped(one, digest).values()]
        found += [same for same in narrowed if len(same) > 1]
    return found


def _digest(folder: pathlib.Path, held: Mapping[str, Held | None], tail: int | None, path: str) -> str:
    mine = held.get(path)
    try:
        if mine:
            return mine.digest or held_pictures.digest(held_pictures.read_tail(mine, tail))
        with open(folder / path, "rb") as file:
            if tail is not None:
                file.seek(-tail, os.SEEK_END)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return path  # what cannot be read is told when it is decoded


def _grouped(paths: Iterable[str], key: Callable[[str], Hashable]) -> dict[Hashable, list[str]]:
    groups: dict[Hashable, list[str]] = collections.defaultdict(list)
    for path in paths:
        groups[key(path)].append(path)
    return groups


def _file(folder: pathlib.Path, path: str) -> tuple[int, int]:
    stat = os.stat(folder / path)
    return stat.st_dev, stat.st_ino
