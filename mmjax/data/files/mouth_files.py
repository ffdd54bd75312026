"""Pictures of a mouth that speaks, as tools for lip reading save them: an array a clip, in NumPy's files or in HDF5."""

from __future__ import annotations

import pathlib
import zipfile
from typing import Any

import numpy as np

from mmjax.data.files.faults import Unusable
from mmjax.errors import UserError

HDF5 = (".h5", ".hdf5")
SUFFIXES = (".npz", ".npy", *HDF5)
NAME = "data"  # of the array, where a file has names


def shape(path: pathlib.Path) -> tuple[int, int, int]:
    """(pictures, height, width) of a file, from its header alone.

    Raises:
      Unusable: unreadable, or anything but grey pictures, uint8 [f h w].
      UserError: HDF5 without the extra that reads it.
    """
    try:
        if path.suffix.lower() in HDF5:
            with require_h5py().File(path, "r") as file:
                found, dtype = tuple(file[NAME].shape), file[NAME].dtype
        elif path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                found, dtype = _header(file)
        else:
            with zipfile.ZipFile(path) as archive, archive.open(_member(archive.namelist())) as file:
                found, dtype = _header(file)
    except UserError:
        raise
    except Exception as error:  # a damaged file leads its readers to errors of every kind
        raise Unusable("unreadable", str(error) or type(error).__name__) from error
    if dtype != np.uint8 or len(found) != 3:
        raise Unusable("no grey pictures", f"{dtype} {list(found)}, wanted uint8 [pictures height width]")
    pictures, height, width = found
    return int(pictures), int(height), int(width)


def read(path: pathlib.Path, start: int, count: int) -> np.ndarray:
    """Pictures start..start+count-1 of a file that `shape` took, uint8 [count h w]. Raises OSError for one that has
    changed since, and UserError for HDF5 without the extra that reads it."""
    part = slice(start, start + count)
    if path.suffix.lower() in HDF5:
        with require_h5py().File(path, "r") as file:
            return np.asarray(file[NAME][part])
    if path.suffix.lower() == ".npy":
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False)[part])
    with np.load(path, allow_pickle=False) as file:
        return np.asarray(file[_member(file.files)][part])


def require_h5py() -> Any:
    """h5py, or UserError naming the extra that brings it."""
    try:
        import h5py
    except ImportError:
        raise UserError("HDF5 files need h5py, which is not installed: pip install 'mmjax[hdf5]'") from None
    return h5py


def _member(names: list[str]) -> str:
    """The array of an archive: the one that is named so, or the only one."""
    named = [name for name in names if name.removesuffix(".npy") == NAME] or names
    if len(named) != 1:
        raise Unusable("unreadable", f"it has {len(names)} arrays, and none of the name {NAME!r}")
    return named[0]


def _header(file: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    found, _, dtype = reader(file)
    return tuple(found), dtype
