"""A writer of Torch7's binary serialisation, by the format and not by the reader."""

import struct

import numpy as np

KINDS = {"float32": "Float", "float64": "Double", "int64": "Long", "uint8": "Byte", "float16": "Half"}


class Object:
    """An object of a Lua class with its fields."""

    def __init__(self, kind, version=1, **fields):
        self.kind, self.version, self.fields = kind, version, fields


class Function:
    """A Lua function: bytes, and what it encloses."""


class Cuda:
    """A tensor that lay on a GPU."""

    def __init__(self, array):
        self.array = array


class Writer:
    def __init__(self):
        self.out, self.numbers, self.kept = [], {}, []

    def pack(self, form, *values):
        self.out.append(struct.pack("<" + form, *values))

    def text(self, text):
        raw = text.encode()
        self.pack("i", len(raw))
        self.out.append(raw)

    def numbered(self, tag, value, what=""):
        """Writes the tag and the number; whether it is met for the first time."""
        self.pack("i", tag)
        new = (id(value), what) not in self.numbers
        self.kept.append(value)  # so that no other gets its id
        self.pack("i", self.numbers.setdefault((id(value), what), len(self.numbers) + 1))
        return new

    def value(self, value):
        if value is None:
            self.pack("i", 0)
        elif isinstance(value, bool):
            self.pack("ii", 5, value)
        elif isinstance(value, int | float):
            self.pack("id", 1, value)
        elif isinstance(value, str):
            self.pack("i", 2)
            self.text(value)
        elif isinstance(value, dict | list):
            self.table(value)
        elif isinstance(value, Function):
            if self.numbered(8, value):
                self.text("\x1bLua code")
                self.value([])
        elif isinstance(value, Object):
            if self.numbered(4, value):
                self.text(f"V {value.version}")
                self.text(value.kind)
                self.value(value.fields)
        else:
            self.tensor(value)

    def table(self, value):
        if self.numbered(3, value):
            items = value if isinstance(value, dict) else dict(enumerate(value, start=1))
            self.pack("i", len(items))
            for key, inside in items.items():
                self.value(key)
                self.value(inside)

    def tensor(self, value):
        array = value.array if isinstance(value, Cuda) else value
        kind = "Cuda" if isinstance(value, Cuda) else KINDS[array.dtype.name]
        memory = array.base if array.base is not None else array
        if self.numbered(4, value):
            self.text("V 1")
            self.text(f"torch.{kind}Tensor")
            first = (array.__array_interface__["data"][0] - memory.__array_interface__["data"][0]) // array.itemsize
            strides = [step // array.itemsize for step in array.strides]
            self.pack(f"i{2 * array.ndim}qq", array.ndim, *array.shape, *strides, first + 1)
            if self.numbered(4, memory, "storage"):
                self.text("V 1")
                self.text(f"torch.{kind}Storage")
                self.pack("q", memory.size)
                self.out.append(np.ascontiguousarray(memory).tobytes())


def write(path, value):
    writer = Writer()
    writer.value(value)
    path.write_bytes(b"".join(writer.out))
    return path
