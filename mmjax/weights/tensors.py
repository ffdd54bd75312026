"""The tensors of a published network by its path, whatever it was saved as: one door for all the readers of layouts.

A path is a file (.safetensors, or whatever `torch_file` reads), the index of a file in parts, or a folder as Hugging
Face keeps it. What wraps a network there, a checkpoint around its state dict and prefixes of whoever trained it, is
taken off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmjax.errors import UserError
from mmjax.weights import licence, safetensors_file, torch_file

# In a folder the first of these that is there, an index standing for the parts that it names.
FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_pytorch_model.bin",
)
INDEX = ".index.json"
_CONTAINERS = ("state_dict.", "model_state_dict.")  # of checkpoints: what lies beside is the optimiser's
# Of nn.DataParallel and of torch.compile, which may wrap a part alone: features.module.0.weight.
_WRAPPERS = re.compile(r"(?<![^.])(?:module|_orig_mod)\.")


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a network, and a line on stderr of the licence that they carry.

    Args:
      path: of a .safetensors, .pt, .pth, .pth.tar, .bin or .ckpt; of a .index.json; of a folder with one of FILES, or
        with a single file of weights; of a repository in Hugging Face's cache.

    Returns:
      {name: array} of `state_dict`.

    Raises:
      UserError: no such file, nothing to read in the folder, a part that is missing, or a file that cannot be read.
    """
    file = locate(path)
    found, said = _parts(file) if file.name.endswith(INDEX) else _one(file)
    licence.tell(path, file, said)
    return state_dict(found)


def locate(path: str | Path) -> Path:
    """The file of weights that a path means. Raises UserError where a folder has none, or several."""
    path = Path(path).expanduser()
    if not path.is_dir():
        return path
    folder = _snapshot(path)
    found = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if found is not None:
        return found
    others = sorted(p for p in folder.glob("*") if p.suffix in (".safetensors", ".bin", ".pt", ".pth", ".ckpt"))
    if len(others) == 1:
        return others[0]
    several = f"; it has {', '.join(p.name for p in others[:4])}: give one of them" if others else ""
    raise UserError(f"{path}: the folder has no {', '.join(FILES[:1] + FILES[3:4])} or index of one{several}")


def _snapshot(path: Path) -> Path:
    """The files of a repository in Hugging Face's cache: of what `main` is there, or of the only snapshot."""
    main = path / "refs" / "main"
    if main.is_file():
        folder = path / "snapshots" / main.read_text().strip()
        return folder if folder.is_dir() else path
    snapshots = list((path / "snapshots").glob("*"))
    return snapshots[0] if len(snapshots) == 1 else path


def _one(file: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(tensors, metadata) of a file; which kind it is, its beginning says: eight bytes and JSON are safetensors."""
    try:
        with file.open("rb") as opened:
            head = opened.read(9)
    except OSError:
        head = b""  # the reader says it
    if file.suffix == ".safetensors" or head[6:] == b"\0\0{":
        return safetensors_file.read(file)
    return torch_file.read(file), {}


def _parts(index: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of the files that an index names, each from the file where it says that it is."""
    try:
        where = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = {str(name): str(part) for name, part in where.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{index}: not the index of a network in parts ({type(error).__name__}: {error})") from None
    found: dict[str, np.ndarray] = {}
    said: dict[str, str] = {}
    for part in dict.fromkeys(names.values()):
        if Path(part).name != part:
            raise UserError(f"{index}: names a part outside its folder, {part!r}")
        if not (index.parent / part).is_file():
            raise UserError(f"{index}: its part {part} is missing: all {len(set(names.values()))} are needed")
        tensors, metadata = _one(index.parent / part)
        said = metadata | said
        found |= {name: array for name, array in tensors.items() if names.get(name) == part}
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"{index}: {missing[0]} is not in {names[missing[0]]}, where it should be")
    return found, said


def state_dict(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The network's own tensors under their own names, without a checkpoint's other contents.

    What is under "state_dict" is taken alone, and so is what is under "model", Lightning's usual name of the network;
    the prefixes of nn.DataParallel ("module.") and of torch.compile ("_orig_mod.") go wherever they stand.
    """
    for prefix in (*_CONTAINERS, "model."):
        named = {_WRAPPERS.sub("", name): value for name, value in tensors.items()}
        inside = {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
        tensors = inside or named
    return dict(tensors)
