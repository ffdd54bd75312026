"""Weights in safetensors files: nested trees of arrays with a few lines of metadata, written at one stroke."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mmjax.errors import POINTER, UserError, refuse_pointer


def cache_dir() -> Path:
    """Where converted weights are kept: $MMJAX_DATA, or ~/.cache/mmjax."""
    return Path(os.environ.get("MMJAX_DATA") or "~/.cache/mmjax").expanduser() / "pretrained"


def save(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Writes a nested tree of arrays; its keys are joined by "/". A reader sees the old file or the new one."""
    flat = {"/".join(key): np.ascontiguousarray(value) for key, value in traverse_util.flatten_dict(tree).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    os.close(handle)
    try:
        save_file(flat, partial, dict(metadata))
        Path(partial).chmod(0o644)  # mkstemp makes it the owner's alone
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)


def load(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Reads what `save` wrote: (tree with float32 for every floating dtype, metadata).

    Raises:
      UserError: no such file, or not a safetensors file.
    """
    tensors, metadata = read(path)
    flat = {tuple(name.split("/")): value for name, value in tensors.items()}
    return traverse_util.unflatten_dict(flat), metadata


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads any safetensors file: ({name: array, float32 for every floating dtype}, metadata)."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a .safetensors file")
    with path.open("rb") as opened:
        refuse_pointer(path, opened.read(len(POINTER)))
    try:
        with safe_open(path, "numpy") as file:
            tensors = {name: _tensor(path, file, name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise UserError(f"{path}: not a safetensors file that can be read ({error})") from None
    return {name: _wide(value) for name, value in tensors.items()}, metadata


def cached(name: str, make: Callable[[], Mapping[str, Any]], source: str) -> dict[str, Any]:
    """The tree in the cache under `name`; made and put there the first time. A cache that cannot be written is no
    reason to stop: the tree is then made each time."""
    path = cache_dir() / f"{name}.safetensors"
    if path.is_file():
        try:
            return load(path)[0]
        except UserError:
            path.unlink()  # damaged: make it again
    tree = dict(make())
    try:
        save(path, tree, {"source": source})
    except OSError:
        return tree
    return tree


def _tensor(path: Path, file: Any, name: str) -> np.ndarray:
    try:
        found: np.ndarray = file.get_tensor(name)
    except (AttributeError, TypeError):  # of a type that NumPy has no name for
        kind = file.get_slice(name).get_dtype()
        raise UserError(f"{path}: {name} is of {kind}, which is not read: floats of 64, 32 or 16 bits are") from None
    return found


def _wide(value: np.ndarray) -> np.ndarray:
    return value if value.dtype.kind in "iub" else value.astype(np.float32)
