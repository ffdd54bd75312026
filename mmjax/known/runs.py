"""What a run left in its workdir, for the runs that start from it: its config and a part of its newest checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from mmjax.errors import UserError


def config_of(path: str | Path, system: str, field: str) -> dict[str, Any]:
    """The config of a run of a system.

    Args:
      path: its workdir.
      system: that it must be of.
      field: of the config that named the path, for the messages.

    Raises:
      UserError: nothing there, or a run of another system.
    """
    file = Path(path).expanduser() / "config.json"
    if not file.is_file():
        raise UserError(f"{field}={str(path)!r} is no workdir: it has no config.json")
    config = json.loads(file.read_text())
    if config.get("system") != system:
        raise UserError(f"{field}={str(path)!r} is a run of {config.get('system')!r}, not of {system}")
    return config


def newest(path: str | Path, pick: Callable[[Mapping[str, Any]], Any], field: str) -> Any:
    """A part of the newest checkpoint and nothing else of it, as NumPy arrays.

    Args:
      path: a workdir.
      pick: from the whole saved tree, "params", "state", "opt_state" and "step", to the part that is wanted.
      field: as for `config_of`.

    Raises:
      UserError: the run saved nothing yet.
    """
    folder = Path(path).expanduser()
    steps = [found for found in folder.glob("checkpoints/*/default") if found.parent.name.isdigit()]
    if not steps:
        raise UserError(f"{field}={str(path)!r} has no checkpoint: the run saved nothing yet")
    last = max(steps, key=lambda found: int(found.parent.name)).absolute()
    with ocp.PyTreeCheckpointer() as reader:
        wanted = pick(reader.metadata(last).item_metadata.tree)
        return _read(reader, last, wanted)


def frozen(path: str | Path, pick: Callable[[Mapping[str, Any]], Any]) -> Any:
    """A part of what the run never changes, as NumPy arrays; `pick` as for `newest`."""
    folder = Path(path).expanduser().absolute() / "frozen"
    with ocp.PyTreeCheckpointer() as reader:
        return _read(reader, folder, pick(reader.metadata(folder).item_metadata.tree))


def _read(reader: Any, folder: Path, wanted: Any) -> Any:
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
    args = ocp.args.PyTreeRestore(item=wanted, restore_args=as_numpy, partial_restore=True)
    return reader.restore(folder, args=args)
