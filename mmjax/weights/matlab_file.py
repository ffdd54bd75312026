"""Reads MATLAB's files of version 5 to 7 (.mat, little endian) with NumPy alone; whatever is in one can at most fail.

SciPy reads them too, but of a file with a damaged type it ends the process. The format is a tree of tagged elements
(MathWorks, "MAT-File Format"): arrays of numbers and of characters, cells, and records ("structs").
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.weights import whole_file

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED, _UTF8, _UTF16, _UTF32 = 14, 15, 16, 17, 18
_CELL, _STRUCT, _CHAR, _COMPLEX = 1, 2, 4, 0x800
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_HEADER, _DEEPEST = 128, 50
_ROOM, _TIMES = 2**24, 50  # how large a compressed variable may be, and how many times what it is in the file
_VERSION, _HDF5 = b"\x00\x01IM", b"\x00\x02IM"


def read(path: str | Path, names: Collection[str]) -> dict[str, Any]:
    """The variables of these names that a file has.

    Returns:
      {name: value}: arrays of numbers with MATLAB's axes; str; a cell as the list of what is in it, column by column;
      a struct as a dict, and several as a list of dicts. None stands for what is none of these (a sparse or complex
      array, a function, an object).

    Raises:
      UserError: no such file, or not one of this format.
    """
    return whole_file.read(path, ".mat of version 5 to 7", lambda raw: _variables(raw, names))


def _variables(raw: bytes, names: Collection[str]) -> dict[str, Any]:
    if raw[124:128] == _HDF5:
        raise ValueError("it is of version 7.3: save it with -v7 in MATLAB")
    if raw[124:128] != _VERSION:
        raise ValueError("its header is of no version 5, little endian")
    found, file = {}, _Elements(memoryview(raw)[_HEADER:])
    while not file.ended():
        kind, whole = file.element()
        data = _unpacked(whole, names) if kind == _COMPRESSED else whole if kind == _MATRIX else None
        if data is not None:
            name, value = _matrix(_Elements(data), names)
            if name in names:
                found[name] = value
    return found


def _unpacked(data: memoryview, names: Collection[str]) -> memoryview | None:
    """What a compressed variable holds; None where its name is none of these."""
    beginning = zlib.decompressobj().decompress(data, 4096)
    head = _Elements(memoryview(beginning)[8:])
    if _head(head)[2] not in names:
        return None
    engine = zlib.decompressobj()
    whole = engine.decompress(data, _ROOM + _TIMES * len(data))
    if engine.unconsumed_tail:
        raise ValueError(f"a compressed variable of more than {len(whole):,} bytes")
    return _Elements(memoryview(whole)).element()[1]


class _Elements:
    """Elements one behind the other."""

    def __init__(self, raw: memoryview):
        self.raw, self.at = raw, 0

    def ended(self) -> bool:
        return self.at >= len(self.raw)

    def element(self) -> tuple[int, memoryview]:
        """(type, bytes) of the next one."""
        kind, size = struct.unpack_from("<II", self.raw, self.at)
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, size, start, after = kind & 0xFFFF, kind >> 16, self.at + 4, self.at + 8
            if size > 4:
                raise ValueError(f"a small element of {size} bytes")
        else:
            start = self.at + 8
            after = start + size if kind == _COMPRESSED else start + -(-size // 8) * 8
        if start + size > len(self.raw):
            raise ValueError(f"it ends before {size:,} bytes at byte {start:,}")
        self.at = after
        return kind, self.raw[start : start + size]

    def numbers(self) -> np.ndarray:
        """The next one, which must be of numbers."""
        kind, data = self.element()
        if kind not in _NUMBERS:
            raise ValueError(f"an element of type {kind} in the place of numbers")
        return np.frombuffer(data, "<" + _NUMBERS[kind])

    def text(self) -> str:
        """The next one, which must be of characters."""
        kind, data = self.element()
        names = {_UTF8: "utf-8", 1: "latin-1", 2: "latin-1", 4: "utf-16-le", _UTF16: "utf-16-le", _UTF32: "utf-32-le"}
        if kind not in names:
            raise ValueError(f"an element of type {kind} in the place of characters")
        return bytes(data).decode(names[kind], "replace")


def _head(inside: _Elements) -> tuple[int, tuple[int, ...], str]:
    """(flags, shape, name) of a matrix."""
    flags = int(inside.numbers()[0])
    shape = tuple(int(n) for n in inside.numbers())
    if min(shape, default=-1) < 0:
        raise ValueError(f"an array of shape {shape}")
    return flags, shape, inside.text()


def _matrix(inside: _Elements, names: Collection[str] | None = None, depth: int = 0) -> tuple[str, Any]:
    """(name, value); the value is None where the name is none of `names`."""
    if not inside.raw:  # an empty cell's place
        return "", np.zeros((0, 0))
    if depth > _DEEPEST:
        raise ValueError("values within values without end")
    flags, shape, name = _head(inside)
    kind = flags & 0xFF
    if names is not None and name not in names:
        return name, None
    if kind == _CELL:
        return name, [_next(inside, depth) for _ in range(_count(shape, inside))]
    if kind == _STRUCT:
        return name, _records(inside, shape, depth)
    if kind == _CHAR:
        return name, inside.text()
    if kind not in _CLASSES or flags & _COMPLEX:
        return name, None
    return name, inside.numbers().astype(_CLASSES[kind], copy=False).reshape(shape, order="F")


def _next(inside: _Elements, depth: int) -> Any:
    kind, data = inside.element()
    if kind != _MATRIX:
        raise ValueError(f"an element of type {kind} in the place of an array")
    return _matrix(_Elements(data), depth=depth + 1)[1]


def _records(inside: _Elements, shape: tuple[int, ...], depth: int) -> Any:
    length = int(inside.numbers()[0])
    raw = bytes(inside.element()[1])
    if length < 1:
        raise ValueError(f"names of {length} characters")
    fields = [raw[at : at + length].split(b"\0")[0].decode("latin-1") for at in range(0, len(raw), length)]
    found = [{name: _next(inside, depth) for name in fields} for _ in range(_count(shape, inside) if fields else 0)]
    return found[0] if len(found) == 1 else found


def _count(shape: tuple[int, ...], inside: _Elements) -> int:
    """How many values of a shape follow, each of which has at least a tag."""
    count = 1
    for n in shape:
        count *= n
    if count * 8 > len(inside.raw) - inside.at:
        raise ValueError(f"{count:,} values where there is no room for them")
    return count
