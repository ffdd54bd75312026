"""What a run left in its workdir, for the runs that start from it: its config and a part of its newest checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from mmjax.errors import OptionError

FROZEN = "frozen"  # the folder of a workdir with what its run never changes
Pick = Callable[[Mapping[str, Any]], Any]  # from a whole saved tree to the part that is wanted


def config_of(path: str | Path, system: str, option: str) -> dict[str, Any]:
    """The config of a run of a system.

    Args:
      path: its workdir.
      system: that it must be of.
      option: that named the path, for the messages.

    Raises:
      OptionError: nothing there, or a run of another system.
    """
    file = Path(path).expanduser() / "config.json"
    if not file.is_file():
        raise OptionError(option, f"={str(path)!r} is no workdir: it has no config.json")
    config = json.loads(file.read_text())
    if config.get("system") != system:
        raise OptionError(option, f"={str(path)!r} is a run of {config.get('system')!r}, not of {system}")
    return config


def newest(path: str | Path, pick: Pick, option: str) -> Any:
    """A part of the newest checkpoint and nothing else of it, as NumPy arrays.

    Args:
      path: a workdir.
      pick: from the whole saved tree, "params", "state", "opt_state" and "step", to the part that is wanted.
      option: as for `config_of`.

    Raises:
      OptionError: the run saved nothing yet.
    """
    return read(_last(path, option), pick)


def shapes(path: str | Path, pick: Pick, option: str) -> Any:
    """Shapes and dtypes of what `newest` would read; arguments and errors are the same."""
    with ocp.PyTreeCheckpointer() as reader:
        wanted = pick(reader.metadata(_last(path, option)).item_metadata.tree)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), wanted)


def frozen(path: str | Path, pick: Pick) -> Any:
    """A part of what the run never changes, as NumPy arrays; `pick` as for `newest`."""
    return read(Path(path).expanduser().absolute() / FROZEN, pick)


def fitted(path: str | Path, option: str) -> dict[str, Any]:
    """What the run's task solved after its newest checkpoint, as NumPy arrays; {} where it has not yet."""
    last = _last(path, option)
    folder = last.parents[2] / "fitted" / last.parent.name
    if not folder.exists():
        return {}
    with ocp.PyTreeCheckpointer() as reader:
        return reader.restore(folder)


def _last(path: str | Path, option: str) -> Path:
    folder = Path(path).expanduser()
    steps = [found for found in folder.glob("checkpoints/*/default") if found.parent.name.isdigit()]
    if not steps:
        raise OptionError(option, f"={str(path)!r} has no checkpoint: the run saved nothing yet")
    return max(steps, key=lambda found: int(found.parent.name)).absolute()


def read(folder: Path, pick: Pick) -> Any:
    """A part of what Orbax wrote to a folder, as NumPy arrays; `pick` as for `newest`."""
    with ocp.PyTreeCheckpointer() as reader:
        wanted = pick(reader.metadata(folder).item_metadata.tree)
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
        args = ocp.args.PyTreeRestore(item=wanted, restore_args=as_numpy, partial_restore=True)
        return reader.restore(folder, args=args)
