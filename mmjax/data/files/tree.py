"""The files below a folder, as people have them: links to folders are followed, and what is left out is counted."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable, Collection, Iterable

from mmjax.data.files.faults import Fault

AGAIN = "under another name once"  # of a second name of a file that is used
SUFFIX = 12  # letters at most; what is longer (a date, a part of a name) is counted as no suffix


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies below a folder.

    Attributes:
      files: {relative POSIX path: (bytes, time of change in ns)} of the wanted ones, in order of their paths.
      ignored: {suffix in lower case: how many files} of all others that are not hidden.
      faults: wanted ones that cannot be named or reached, and links that lead back.
    """

    files: dict[str, tuple[int, int]]
    ignored: dict[str, int]
    faults: tuple[Fault, ...]


def walk(folder: pathlib.Path, wanted: Collection[str] | Callable[[str], bool]) -> Found:
    """All files below `folder` whose names are wanted; hidden files, and all of hidden folders, are no part of it.

    Links to files and folders are followed; one that leads back to a folder that holds it is a fault, and so are a
    wanted file behind a dangling link, a folder that may not be read, and a name that is not UTF-8.

    Args:
      folder: an existing one.
      wanted: suffixes in lower case, with their dots; or name -> whether it is wanted.
    """
    suffixes = () if callable(wanted) else tuple(wanted)
    asked = wanted if callable(wanted) else lambda name: name.lower().endswith(suffixes)
    files: dict[str, tuple[int, int]] = {}
    ignored: collections.Counter[str] = collections.Counter()
    faults: list[Fault] = []
    # Folders to read: relative path, and (device, inode) of it and of all that it lies in.
    waiting: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", (_identity(os.stat(folder)),))]
    while waiting:
        inside, above = waiting.pop()
        try:
            entries = list(os.scandir(folder / inside))
        except OSError as error:
            faults.append(Fault(printable(inside), "unreadable folder", error.strerror or str(error)))
            continue
        for entry in entries:
            path = f"{inside}/{entry.name}" if inside else entry.name
            if entry.name.startswith("."):
                continue
            try:
                stat = entry.stat()
            except OSError as error:
                if asked(entry.name):
                    faults.append(Fault(printable(path), "dangling link", error.strerror or str(error)))
                continue
            if entry.is_dir():
                if _identity(stat) in above:
                    faults.append(Fault(printable(path), "link that leads back"))
                else:
                    waiting.append((path, (*above, _identity(stat))))
            elif not entry.is_file():
                continue  # a socket or a pipe: reading it would wait for ever
            elif not asked(entry.name):
                ignored[suffix(entry.name)] += 1
            elif printable(path) != path:
                faults.append(Fault(printable(path), "name that is not UTF-8"))
            else:
                files[path] = (stat.st_size, stat.st_mtime_ns)
    return Found(dict(sorted(files.items())), dict(ignored), tuple(sorted(faults, key=lambda fault: fault.path)))


def once(folder: pathlib.Path, found: Found) -> Found:
    """What was found, but each file by the first of its names only: of links to one file, all others are faults."""
    first = aliases(folder, found.files)
    again = [Fault(path, AGAIN, f"it is {name}") for path, name in first.items() if path != name]
    return dataclasses.replace(
        found,
        files={path: stat for path, stat in found.files.items() if first[path] == path},
        faults=tuple(sorted((*found.faults, *again), key=lambda fault: fault.path)),
    )


def aliases(folder: pathlib.Path, paths: Iterable[str]) -> dict[str, str]:
    """{path: the first of these paths that leads to the same file}, by links of either kind."""
    seen: dict[tuple[int, int], str] = {}
    return {path: seen.setdefault(_identity(os.stat(folder / path)), path) for path in paths}


def printable(path: str) -> str:
    """A path that can be shown and stored: bytes that are not UTF-8 as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino


def suffix(name: str) -> str:
    found = os.path.splitext(printable(name))[1].lower()
    return found if 1 < len(found) <= SUFFIX else ""
