"""Reads the arrays of a .npy file that holds a pickled dict, and can run no code from the file.

`numpy.save` of a dict writes an object array, which is a pickle, and a pickle may name any function to be called
while it is read. Here the only names that mean anything are those that NumPy itself writes for plain arrays, and even
those stand for records of ours, so that the file reaches no function of NumPy before its contents were checked.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.errors import POINTER, UserError, refuse_pointer
from mmjax.weights import pickles

_ADVICE = "save a dict of arrays alone: numpy.save(path, arrays)"


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Reads every array of a pickled dict.

    Args:
      path: a file written by numpy.save of a dict of arrays, or of dicts of such, by Python 2 or 3.

    Returns:
      {name: array}, nested keys joined by dots; what is no array is left out.

    Raises:
      UserError: no such file, not such a file, or one that wants more than arrays rebuilt.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a .npy file")
    try:
        with path.open("rb") as file:
            refuse_pointer(path, file.read(len(POINTER)))
            file.seek(0)
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            dtype = header(file)[2]
            if not dtype.hasobject:
                raise UserError(f"{path}: holds one array of {dtype}, not a dict of arrays")
            tree = pickles.Machine(file, path, KNOWN, _ADVICE).load()
        return {".".join(key): array.view() for key, array in _arrays(tree, ())}
    except UserError:
        raise
    # A damaged or hostile pickle can fail in any way that a stack machine can: all of them are one mistake here.
    except Exception as error:
        raise UserError(f"{path}: not a .npy file that can be read ({type(error).__name__}: {error})") from None


class DType:
    """numpy.dtype while it is being read: its letter code, and then its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any):
        self.code, self.order = str(code), "="

    def __setstate__(self, state: Any) -> None:
        self.order = str(state[1])

    def plain(self) -> np.dtype:
        dtype = np.dtype(self.code)
        if dtype.kind not in "fiub":
            raise pickle.UnpicklingError(f"an array of {dtype}")
        return np.dtype(self.order + dtype.str[1:]) if self.order in ("<", ">") else dtype


class Array:
    """numpy.ndarray while it is being read."""

    __slots__ = ("contents", "dtype", "fortran", "shape")

    def __init__(self, *_: Any):
        self.contents: Any = b""

    def __setstate__(self, state: Any) -> None:
        _version, shape, self.dtype, self.fortran, self.contents = state
        self.shape = tuple(int(n) for n in shape)

    def view(self) -> np.ndarray:
        raw = self.contents.encode("latin1") if isinstance(self.contents, str) else self.contents
        dtype = self.dtype.plain()
        if min(self.shape, default=0) < 0 or len(raw) != math.prod(self.shape) * dtype.itemsize:
            raise ValueError(f"an array of shape {self.shape} that does not fill its memory")
        return np.frombuffer(raw, dtype).reshape(self.shape, order="F" if self.fortran else "C")


class Encode:
    """codecs.encode, as Python 3 writes bytes for Python 2. No function: a pickle could set its attributes."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any = "latin1") -> bytes:
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"bytes written as {encoding}")
        return str(text).encode("latin1")


MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    **{(module, name): Array for module in MODULES for name in ("_reconstruct", "ndarray")},
    **{(module, "dtype"): DType for module in MODULES},
    ("_codecs", "encode"): Encode(),
}


def _arrays(tree: Any, prefix: tuple[str, ...]) -> list[tuple[tuple[str, ...], Array]]:
    """The arrays of nested dicts; an object array stands for its one element."""
    if isinstance(tree, Array) and isinstance(tree.contents, list):
        return [found for item in tree.contents for found in _arrays(item, prefix)]
    if isinstance(tree, Array):
        return [(prefix, tree)]
    if not isinstance(tree, Mapping):
        return []
    return [found for key, value in tree.items() for found in _arrays(value, (*prefix, str(key)))]
