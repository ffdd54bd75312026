"""Pictures that are no files but lie in one with many others: where they are, and their bytes without unpacking them.

A plain tar is read where a picture begins. A packed one, and Parquet, are read from their beginning and in one go, so
that pictures are asked for in the order in which they lie there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import IO

from mmjax.data.files import packing, parquet_file


@dataclasses.dataclass(frozen=True)
class Held:
    """Where the bytes of a picture are.

    Attributes:
      file: path of the one that holds it.
      at: its first byte in the unpacked tar, or its row in Parquet.
      size: bytes.
      column: of Parquet; "" in a tar.
      digest: of its bytes, "" in a plain tar, where they are as quickly read again.
    """

    file: str
    at: int
    size: int
    column: str = ""
    digest: str = ""


def digest(raw: bytes) -> str:
    """By which equal pictures are known."""
    return hashlib.sha256(raw).hexdigest()


def unpacked(path: str) -> IO[bytes]:
    """A tar as if it were not packed; going forward is quick, going back is not. Raises as `packing.opener`."""
    way = packing.opener(path)
    return way(path) if way else open(path, "rb")


def read_tail(held: Held, tail: int | None) -> bytes:
    """The last bytes of a picture in a plain tar, or all of them."""
    with open(held.file, "rb") as file:
        skipped = max(0, held.size - tail) if tail is not None else 0
        file.seek(held.at + skipped)
        return file.read(held.size - skipped)


def each(many: Iterable[tuple[str, Held]]) -> Iterator[tuple[str, bytes | Exception]]:
    """(name, bytes) of pictures with names, in the order in which they lie in their files.

    In place of the bytes there is the error that kept them from being read; it costs those behind it in a packed file.
    """
    ordered = sorted(many, key=lambda pair: (pair[1].file, pair[1].at))
    for (file, column), group in itertools.groupby(ordered, key=lambda pair: (pair[1].file, pair[1].column)):
        mine = list(group)
        damage = parquet_file.damage() if column else packing.damage()
        source = _rows(file, column, mine) if column else _members(file, mine)
        done = 0
        try:
            for found in source:
                yield found
                done += 1
        except damage as error:
            yield from ((name, error) for name, _ in mine[done:])


def _members(path: str, many: Iterable[tuple[str, Held]]) -> Iterator[tuple[str, bytes | Exception]]:
    with unpacked(path) as file:
        for name, held in many:
            file.seek(held.at)
            raw = file.read(held.size)
            yield name, raw if len(raw) == held.size else EOFError("it is cut short")


def _rows(path: str, column: str, many: list[tuple[str, Held]]) -> Iterator[tuple[str, bytes | Exception]]:
    wanted = iter(many)
    name, held = next(wanted)
    with contextlib.suppress(StopIteration):
        for at, row in parquet_file.rows(path, (column,)):
            while at == held.at:
                yield name, parquet_file.picture(row[column])[0]
                name, held = next(wanted)
