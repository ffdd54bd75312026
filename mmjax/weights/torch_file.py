"""Reads the tensors of a PyTorch file (.pt, .pth, .pth.tar) with NumPy alone, and can run no code from the file.

A PyTorch file is a pickle, and a pickle may name any function to be called while it is read. Here the only names
that mean anything are those that rebuild plain tensors; the first other name ends the reading with one line.
Both forms are read: the zip archive (PyTorch 1.6 and later) and the older stream of pickles that the published
weights of that time still use.
"""

from __future__ import annotations

import collections
import pickle
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import ml_dtypes
import numpy as np

from mmjax.errors import UserError

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older form
STORAGES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Reads every tensor of a PyTorch file.

    Args:
      path: a file written by torch.save: a state dict, or dicts, lists and plain values around one.

    Returns:
      {name: array}, nested dict keys joined by dots; what is no tensor is left out. The arrays are read-only
      views, so that tensors which share memory in the file share it here.

    Raises:
      UserError: no such file, not a PyTorch file, or one that wants more than tensors rebuilt.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a PyTorch state dict (.pth)")
    try:
        tree, storages = _read_zip(path) if zipfile.is_zipfile(path) else _read_stream(path)
        return {name: leaf.view(storages) for name, leaf in _tensors(tree, ())}
    except UserError:
        raise
    # A damaged or hostile pickle can fail in any way that a stack machine can: all of them are one mistake here.
    except Exception as error:
        raise UserError(f"{path}: not a PyTorch file that can be read ({type(error).__name__}: {error})") from None


# Whatever a pickle can get hold of is a tuple, a string or an object without attributes, because the machine can
# also set attributes (opcode BUILD): there must be nothing that it could alter.
class _Storage(NamedTuple):
    """What a tensor's persistent id says of its memory; `start` counts elements from the start of the buffer."""

    key: str
    dtype: np.dtype
    start: int


class _Tensor(NamedTuple):
    """A tensor whose memory need not have been read yet: in the older form it follows the pickle."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def view(self, storages: Mapping[str, bytes]) -> np.ndarray:
        flat = np.frombuffer(storages[self.storage.key], self.storage.dtype)
        flat = flat[self.storage.start + self.offset :]
        if 0 in self.size:
            return np.zeros(self.size, flat.dtype)
        # as_strided believes what it is told, so the last element is checked before any is touched.
        last = sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if min((self.offset, self.storage.start, *self.size, *self.stride)) < 0 or last >= flat.size:
            raise ValueError(f"a tensor of shape {self.size} reaches beyond its storage")
        strides = [step * flat.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(flat, self.size, strides, writeable=False)


class _Rebuild:
    """Stands for torch's functions that make a tensor from its storage."""

    __slots__ = ()

    def __call__(self, storage: _Storage, offset: int, size: tuple, stride: tuple, *_: Any) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor without a storage")
        return _Tensor(storage, int(offset), tuple(map(int, size)), tuple(map(int, stride)))


class _First:
    """Rebuilds a Parameter: its data, whatever else it carries."""

    __slots__ = ()

    def __call__(self, data: Any, *_: Any) -> Any:
        return data


class _Size:
    """torch.Size: a tuple."""

    __slots__ = ()

    def __call__(self, sizes: Any = ()) -> tuple:
        return tuple(sizes)


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _Rebuild(),
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(),
    ("torch._utils", "_rebuild_parameter"): _First(),
    ("torch._utils", "_rebuild_parameter_with_state"): _First(),
    ("torch", "Size"): _Size(),
}


class _Unpickler(pickle.Unpickler):
    """A pickle machine that knows tensors and nothing else."""

    def __init__(self, file: IO[bytes], path: Path, byteorder: str = sys.byteorder):
        super().__init__(file, encoding="latin1")  # files written under Python 2 hold byte strings
        self.path, self.order = path, "<" if byteorder == "little" else ">"
        self.dtypes: dict[str, np.dtype] = {}  # of every storage that was mentioned

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.cuda") and name in STORAGES:
            return name
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        raise UserError(
            f"{self.path}: refused, because it asks for {module}.{name} to be called while it is read; "
            f"save the state dict alone: torch.save(model.state_dict(), path)"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, name, key, _location, _numel, *view = pid
        if kind != "storage" or name not in STORAGES:
            raise pickle.UnpicklingError(f"unknown persistent id {kind!r} {name!r}")
        dtype = np.dtype(STORAGES[name])
        if dtype.kind != "V":  # bfloat16 is no dtype of NumPy's own and has no byte order
            dtype = dtype.newbyteorder(self.order)
        self.dtypes[str(key)] = dtype
        start = view[0][1] if view and view[0] is not None else 0
        return _Storage(str(key), dtype, int(start))


def _read_zip(path: Path) -> tuple[Any, dict[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ValueError("its parts are compressed, which torch.save never does")
        root = next((name[: -len("data.pkl")] for name in names if name.split("/")[1:] == ["data.pkl"]), None)
        if root is None:
            raise ValueError("a zip archive without data.pkl")
        order = archive.read(root + "byteorder").decode() if root + "byteorder" in names else "little"
        with archive.open(root + "data.pkl") as file:
            tree = _Unpickler(file, path, order).load()
        data = root + "data/"
        return tree, {name[len(data) :]: archive.read(name) for name in names if name.startswith(data)}


def _read_stream(path: Path) -> tuple[Any, dict[str, bytes]]:
    with path.open("rb") as file:
        if _Unpickler(file, path).load() != MAGIC:
            raise ValueError("it does not start as one")
        _protocol, system = _Unpickler(file, path).load(), _Unpickler(file, path).load()
        order: Literal["little", "big"] = "little" if system["little_endian"] else "big"
        unpickler = _Unpickler(file, path, order)
        tree = unpickler.load()
        storages = {}
        for key in _Unpickler(file, path).load():
            count = int.from_bytes(file.read(8), order)
            storages[key] = file.read(count * unpickler.dtypes[key].itemsize)
        return tree, storages


def _tensors(tree: Any, prefix: tuple[str, ...]) -> list[tuple[str, _Tensor]]:
    """The tensors of nested dicts, lists and tuples with their dotted names."""
    if isinstance(tree, _Tensor):
        return [(".".join(prefix), tree)]
    if isinstance(tree, Mapping):
        items = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list | tuple):
        items = [(str(i), value) for i, value in enumerate(tree)]
    else:
        return []
    return [found for key, value in items for found in _tensors(value, (*prefix, key))]
