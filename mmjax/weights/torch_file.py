"""Reads the tensors of a PyTorch file (.pt, .pth, .pth.tar, .bin, .ckpt) with NumPy alone, and can run no code from it.

A PyTorch file is a pickle, and a pickle may name any function to be called while it is read; see `weights.pickles` for
what becomes of names here. Every form is read: the zip archive (PyTorch 1.6 and later), with its parts packed or not;
the archives of TorchScript, whose programs are left alone; the stream of pickles before it, which the published weights
of that time still use; and the tar of 2016.
"""

from __future__ import annotations

import pickle
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import ml_dtypes
import numpy as np

from mmjax.errors import POINTER, UserError, refuse_pointer
from mmjax.weights import pickles

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
MOST = 1_000_000  # tensors and containers: no network has as many, and a file may say one thing over and over


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Reads every tensor of a PyTorch file.

    Args:
      path: a file written by torch.save: a state dict, or dicts, lists and plain values around one, or a whole module;
        or by torch.jit.save.

    Returns:
      {name: array}, nested dict keys joined by dots, and of a module the names of its state dict; what is no tensor is
      left out. The arrays are read-only views, so that tensors which share memory in the file share it here.

    Raises:
      UserError: no such file, not a PyTorch file, or one that wants something of Python called.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a PyTorch state dict (.pth)")
    with path.open("rb") as opened:
        head = opened.read(len(POINTER))
    refuse_pointer(path, head)
    try:
        form = _read_zip if zipfile.is_zipfile(path) else _read_tar if tarfile.is_tarfile(path) else _read_stream
        if form is _read_stream and head.startswith(b"PK\3\4"):
            raise ValueError("a zip archive without its end: it was cut short")
        tree, storages = form(path)
        return {name: leaf.view(storages) for name, leaf in _tensors(tree)}
    except UserError:
        raise
    # A damaged or hostile pickle can fail in any way that a stack machine can: all of them are one mistake here.
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a PyTorch file that can be read ({type(error).__name__}: {said})") from None


# Whatever a pickle can get hold of is a tuple, a string, a Record or an object without attributes, because the machine
# can also set attributes (opcode BUILD): there must be nothing that it could alter.
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


_KNOWN: dict[tuple[str, str], Callable[..., Any] | str] = {
    ("torch._utils", "_rebuild_tensor"): _Rebuild(),
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(),
    ("torch._utils", "_rebuild_parameter"): _First(),
    ("torch._utils", "_rebuild_parameter_with_state"): _First(),
    ("torch", "Size"): _Size(),
    **{(module, name): name for module in ("torch", "torch.cuda") for name in STORAGES},
}
_ADVICE = "save the state dict alone: torch.save(model.state_dict(), path)"


class _Unpickler(pickles.Machine):
    """A pickle machine that knows tensors and nothing else."""

    def __init__(self, file: IO[bytes], path: Path, byteorder: str = sys.byteorder):
        super().__init__(file, path, _KNOWN, _ADVICE)
        self.order = "<" if byteorder == "little" else ">"
        self.dtypes: dict[str, np.dtype] = {}  # of every storage that was mentioned

    def persistent_load(self, pid: Any) -> Any:
        kind, name, key, *more = pid
        if kind == "module":  # a class with its source text, of a module that was saved whole
            return name
        _location, _numel, *view = more
        if kind != "storage" or name not in STORAGES:
            what = name if isinstance(name, str) else "another kind"
            raise pickle.UnpicklingError(f"a {kind} of {what}: there are {', '.join(STORAGES)}")
        self.dtypes[str(key)] = dtype = dtype_of(name, self.order)
        start = view[0][1] if view and view[0] is not None else 0
        return _Storage(str(key), dtype, int(start))


def dtype_of(storage: str, order: str) -> np.dtype:
    """NumPy's dtype of a storage, in a byte order."""
    dtype = np.dtype(STORAGES[storage])
    return dtype if dtype.kind == "V" else dtype.newbyteorder(order)  # bfloat16 is none of NumPy's own


# -- forms of files ----------------------------------------------------------------------------------------------------


def _read_zip(path: Path) -> tuple[Any, dict[str, bytes]]:
    """torch.jit.save packs its pickle and its programs, and some tools pack the tensors as well."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        root = next((name[: -len("data.pkl")] for name in names if name.split("/")[1:] == ["data.pkl"]), None)
        if root is None:
            raise ValueError("a zip archive without data.pkl")
        order = archive.read(root + "byteorder").decode() if root + "byteorder" in names else "little"
        with archive.open(root + "data.pkl") as file:
            unpickler = _Unpickler(file, path, order)
            tree = unpickler.load()
        return tree, {key: archive.read(f"{root}data/{key}") for key in unpickler.dtypes}


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


class _TarUnpickler(_Unpickler):
    """Of the pickle in a tar, whose persistent ids are numbers of tensors and of storages."""

    objects: Mapping[int, Any]

    def persistent_load(self, pid: Any) -> Any:
        return pid[0] if isinstance(pid, tuple) else self.objects[int(pid)]


def _read_tar(path: Path) -> tuple[Any, dict[str, bytes]]:
    """The form of PyTorch 0.1.1 to 0.1.9: storages, tensors over them, and a pickle that names them by number."""
    with tarfile.open(path, "r:") as tar:

        def part(name: str) -> IO[bytes]:
            file = tar.extractfile(name)
            if file is None:
                raise ValueError(f"its part {name} is no file")
            return file

        with part("storages") as file:
            objects, storages = _tar_storages(file, path)
        with part("tensors") as file:
            for _ in range(_Unpickler(file, path).load()):
                key, storage, _kind = _Unpickler(file, path).load()
                rank, _ = struct.unpack("<ii", file.read(8))
                numbers = struct.unpack(f"<{2 * rank + 1}q", file.read(16 * rank + 8))
                objects[key] = _Tensor(objects[storage], numbers[-1], numbers[:rank], numbers[rank:-1])
        with part("pickle") as file:
            unpickler = _TarUnpickler(file, path)
            unpickler.objects = objects
            return unpickler.load(), storages


def _tar_storages(file: IO[bytes], path: Path) -> tuple[dict[int, Any], dict[str, bytes]]:
    """({number: what it says}, {key: memory}) of the storages and of views into them."""
    objects: dict[int, Any] = {}
    storages = {}
    for _ in range(_Unpickler(file, path).load()):
        key, _location, kind = _Unpickler(file, path).load()
        dtype = dtype_of(kind, "<")
        objects[key] = _Storage(str(key), dtype, 0)
        storages[str(key)] = file.read(int.from_bytes(file.read(8), "little") * dtype.itemsize)
    for key, root, offset, _count in _Unpickler(file, path).load():
        whole = objects[root]
        objects[key] = whole._replace(start=whole.start + int(offset))
    return objects, storages


# -- tensors in what was read ------------------------------------------------------------------------------------------

_PARTS = ("_parameters", "_buffers", "_modules")  # of a module in Python: the levels that its state dict leaves out
_HOLDERS = ("Parameter", "Variable")


def _tensors(tree: Any) -> list[tuple[str, _Tensor]]:
    """The tensors of nested dicts, lists, tuples and modules with their dotted names."""
    found: list[tuple[str, _Tensor]] = []
    seen: list[int] = []  # what is being walked, so that what holds itself is walked once
    left = MOST

    def walk(value: Any, prefix: tuple[str, ...]) -> None:
        nonlocal left
        value = _plain(value)
        left -= isinstance(value, _Tensor | Mapping | list | tuple)
        if left < 0:
            raise ValueError(f"it has more than {MOST:,} parts")
        if isinstance(value, _Tensor):
            found.append((".".join(prefix), value))
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.append(id(value))
            for key, inside in _items(value):
                walk(inside, (*prefix, *key))
            seen.pop()

    walk(tree, ())
    return found


def _plain(value: Any) -> Any:
    """What stands for a tensor, as one; of an object, what it is made of."""
    if not isinstance(value, pickles.Record):
        return value
    module, name = value.kind
    state = value.state
    if module in ("torch", "torch.cuda", "torch.sparse") and name.endswith("Tensor"):  # before _rebuild_tensor
        return _Rebuild()(*state) if isinstance(state, tuple) and len(state) == 4 else None
    if module.partition(".")[0] == "torch" and name in _HOLDERS:
        inside = value.args or (state if isinstance(state, tuple) and len(state) == 5 else ())
        return _plain(inside[0]) if inside else None
    return state if isinstance(state, Mapping) else None


def _items(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(names, part) of a container; of a module in Python its parameters, buffers and modules alone."""
    if not isinstance(value, Mapping):
        yield from (((str(i),), inside) for i, inside in enumerate(value))
    elif "_modules" in value and "_parameters" in value:
        for part in _PARTS:
            inside = value.get(part)
            yield from (((str(key),), leaf) for key, leaf in (inside.items() if isinstance(inside, Mapping) else ()))
    else:
        yield from (((str(key),), inside) for key, inside in value.items())
