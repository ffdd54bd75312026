"""Reads Torch7's serialisation (.t7, binary) with NumPy alone: tables, tensors, and objects as what they are made of.

The format is a tree of tagged values (torch7's File.lua): numbers, strings, booleans, tables, and objects by the name
of their class. Functions are in it as bytes of Lua, which are stepped over. Integers are of 64 bits, little endian.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.weights import whole_file

_NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN = 1, 2, 3, 4, 5
_PLAIN_FUNCTION, *_FUNCTIONS = 6, 6, 7, 8  # the first of three forms has no number
DTYPES = {
    "Double": "<f8",
    "Float": "<f4",
    "Half": "<f2",
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "i1",
    "Byte": "u1",
    "Cuda": "<f4",
    "CudaDouble": "<f8",
    "CudaHalf": "<f2",
    "CudaLong": "<i8",
    "CudaInt": "<i4",
    "CudaShort": "<i2",
    "CudaChar": "i1",
    "CudaByte": "u1",
}
_DEEPEST = 200  # values within values: no network is nested as deeply
_MANY = 10_000  # layers


class Table(dict):
    """A Lua table; 1, 2, ... are ints. `kind` is the class of an object ("nn.Linear"), "" of a plain one."""

    kind = ""

    def parts(self) -> Iterator[Any]:
        """What stands under 1, 2, ..., in order."""
        number = 1
        while number in self:
            yield self[number]
            number += 1


def read(path: str | Path) -> Any:
    """What a file holds: Tables, NumPy arrays (read-only), str, float, int, bool, None; functions are None.

    Raises:
      UserError: no such file, or not one of this format.
    """
    return whole_file.read(path, "binary .t7", lambda raw: _Reader(raw).value())


def layers(network: Any) -> Iterator[Table]:
    """Every layer of a network in its order, containers before what they hold; what contains itself is opened once.

    Raises ValueError for more than 10,000 of them, which a file can say in a few bytes.
    """
    opened: list[tuple[int, Iterator[Any]]] = []
    inside, within, count = iter([network]), set[int](), 0
    while True:
        for value in inside:
            if not isinstance(value, Table) or id(value) in within:
                continue
            count += 1
            if count > _MANY:
                raise ValueError(f"more than {_MANY:,} layers")
            yield value
            modules = value.get("modules")
            if isinstance(modules, Table):
                opened.append((id(value), inside))
                within.add(id(value))
                inside = modules.parts()
                break
        else:
            if not opened:
                return
            closed, inside = opened.pop()
            within.discard(closed)


class _Reader:
    def __init__(self, raw: bytes):
        self.raw, self.at, self.depth = raw, 0, 0
        self.seen: dict[int, Any] = {}  # objects have numbers, and stand in the file once

    def numbers(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + form, self.raw, self.at)
        self.at += struct.calcsize("<" + form)
        return found

    def text(self) -> str:
        return self.bytes(self.numbers("i")[0]).decode("utf-8", "replace")

    def bytes(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.raw):
            raise ValueError(f"it ends before {count:,} bytes at byte {self.at:,}")
        self.at += count
        return self.raw[self.at - count : self.at]

    def value(self) -> Any:
        tag = self.numbers("i")[0]
        if tag == _NUMBER:
            number = self.numbers("d")[0]
            return int(number) if number == number and abs(number) < 2**53 and number == int(number) else number
        if tag == _STRING:
            return self.text()
        if tag == _BOOLEAN:
            return self.numbers("i")[0] == 1
        if tag == 0:
            return None
        inside: dict[Any, Callable[[int], Any]] = {_TABLE: self.table, _TORCH: self.object}
        inside |= dict.fromkeys(_FUNCTIONS, self.function)
        if tag not in inside:
            raise ValueError(f"a value of kind {tag} at byte {self.at - 4:,}")
        index = self.numbers("i")[0] if tag != _PLAIN_FUNCTION else 0
        if index in self.seen:
            return self.seen[index]
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError("values within values without end")
        found = inside[tag](index)
        self.depth -= 1
        return found

    def table(self, index: int) -> Table:
        made = self.seen[index] = Table()
        for _ in range(self.numbers("i")[0]):
            key = self.value()
            value = self.value()
            if isinstance(key, str | int | float):
                made[key] = value
        return made

    def function(self, index: int) -> None:
        if index:
            self.seen[index] = None
        self.bytes(self.numbers("i")[0])
        self.value()  # what it encloses

    def object(self, index: int) -> Any:
        name = self.text()
        name = self.text() if name.startswith("V ") else name  # the version stands before the class
        family, _, kind = name.partition(".")
        for suffix, make in (("Storage", self.storage), ("Tensor", self.tensor)):
            dtype = kind.removesuffix(suffix)
            if family == "torch" and kind.endswith(suffix) and dtype in DTYPES:
                self.seen[index] = found = make(np.dtype(DTYPES[dtype]))
                return found
        self.seen[index] = made = Table()  # it may hold itself
        made.kind = name
        state = self.value()
        if isinstance(state, Table):
            made.update(state)
        return made

    def storage(self, dtype: np.dtype) -> np.ndarray:
        return np.frombuffer(self.bytes(self.numbers("q")[0] * dtype.itemsize), dtype)

    def tensor(self, dtype: np.dtype) -> np.ndarray:
        rank = self.numbers("i")[0]
        size, stride, first = self.numbers(f"{rank}q"), self.numbers(f"{rank}q"), self.numbers("q")[0] - 1
        memory = self.value()
        if not rank or memory is None or 0 in size:
            return np.zeros(size or (0,), dtype)
        if not isinstance(memory, np.ndarray) or memory.ndim != 1 or memory.dtype != dtype:
            raise ValueError("a tensor without a storage of its kind")
        # as_strided believes what it is told, so the last element is checked before any is touched.
        last = first + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if min((first, *size, *stride)) < 0 or last >= memory.size or math.prod(size) > memory.size:
            raise ValueError(f"a tensor of shape {size} reaches beyond its storage of {memory.size}, or repeats it")
        strides = [step * dtype.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(memory[first:], size, strides, writeable=False)
