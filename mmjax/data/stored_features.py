"""Features on disk, a row for each picture that differs from the others, and a source that gives them in its place.

A store is a folder of parts, each written whole: rows as they lie in memory, and a digest behind them. A part that is
missing, cut off or damaged is made anew, and the others are kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.data import Source

PART = 2**26  # bytes: what is lost when a run is killed that computes them
DIGEST = 16  # bytes
ABANDONED = 3600.0  # seconds: nobody writes a part for so long


class Store:
    """Rows of one structured dtype, memory-mapped.

    Args:
      folder: of the parts; nothing else is in it.
      row: the dtype.
      rows: how many there are.
      batch: a part has a multiple of so many rows.
    """

    def __init__(self, folder: Path, row: np.dtype, rows: int, batch: int = 1):
        self.folder, self.row, self.rows = folder, row, rows
        self.each = max(PART // row.itemsize // batch, 1) * batch
        self._mapped: dict[int, np.ndarray] = {}

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return self.rows * self.row.itemsize

    def missing(self) -> Iterator[range]:
        """The rows of each part that is not there as it was written; reads all that are."""
        for begin in range(0, self.rows, self.each):
            rows = range(begin, min(begin + self.each, self.rows))
            if not self._whole(rows):
                yield rows

    def clean(self) -> None:
        """Removes what killed runs left half-written."""
        for part in self.folder.glob("*.part"):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink(missing_ok=True)

    def _path(self, begin: int) -> Path:
        return self.folder / f"{begin:09d}"

    def _whole(self, rows: range) -> bool:
        path, size = self._path(rows.start), len(rows) * self.row.itemsize
        if not path.is_file() or path.stat().st_size != size + DIGEST:
            return False
        with path.open("rb") as file:
            content = np.fromfile(file, np.uint8, size)
            return _digest(content) == file.read()

    def write(self, begin: int, values: np.ndarray) -> None:
        """Writes the part that begins with row `begin`; whoever reads it meanwhile keeps what was there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = np.ascontiguousarray(values).view(np.uint8)
        part = self.folder / f"{begin:09d}.{os.getpid()}.part"  # several runs may share a folder
        with part.open("wb") as file:
            content.tofile(file)
            file.write(_digest(content))
        part.replace(self._path(begin))

    def __getitem__(self, row: int) -> Any:
        begin = row // self.each * self.each
        if begin not in self._mapped:
            shape = (min(self.each, self.rows - begin),)
            self._mapped[begin] = np.memmap(self._path(begin), self.row, "r", shape=shape)
        return self._mapped[begin][row - begin]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}  # another process maps the files itself


def _digest(content: np.ndarray) -> bytes:
    return hashlib.blake2b(content.data, digest_size=DIGEST).digest()


@dataclasses.dataclass(frozen=True)
class Rows:
    """Examples of a source, by their positions [n]."""

    inner: Source
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.inner[int(self.positions[index])]


@dataclasses.dataclass(frozen=True)
class Featured:
    """A source with stored features in the place of a field, or beside it.

    Attributes:
      inner: the source without that field, or with it.
      store: the features; what its column "index" holds is which example a row was computed of: where a picture is
        damaged, a source may give another example in the place of the one that was asked for.
      first: which example each row [n] was asked for.
      row_of: the row of each example [examples].
      prefix: of the features' names.
    """

    inner: Source
    store: Store
    first: np.ndarray
    row_of: np.ndarray
    prefix: str

    def __len__(self) -> int:
        return len(self.row_of)

    def __getitem__(self, index: int) -> dict[str, Any]:
        at, features = self._at(index)
        return {**self.inner[at], **features}

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Example `index`, its other fields drawn anew where the inner source draws them."""
        at, features = self._at(index)
        draw = getattr(self.inner, "draw", None)
        return {**(draw(at, rng) if draw else self.inner[at]), **features}

    def _at(self, index: int) -> tuple[int, dict[str, Any]]:
        """Which example is given for this one, and its features."""
        row = int(self.row_of[index])
        stored = self.store[row]
        features = {f"{self.prefix}_{name}": stored[name] for name in self.store.row.names or () if name != "index"}
        was = int(stored["index"])
        return (index if was == self.first[row] else was), features
