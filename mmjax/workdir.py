"""The workdir: claimed by one run, refused to another."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from mmjax import config as configs
from mmjax.errors import UserError


@contextmanager
def claim(config: ConfigDict, workdir: Path, first: bool = True) -> Iterator[None]:
    """Holds the workdir for this run: makes it, or checks that it belongs to this config.

    More `steps` than before is the same run going on; any other difference in what is computed is another run. The
    config is recorded only when everything could be prepared, so that a mistake does not bind the workdir.

    Args:
      config: of this run.
      workdir: new or old.
      first: whether this is the first process, the only one that writes.

    Raises:
      UserError: not writable, held by another process, of another config, or not a workdir.
    """
    if not first:
        yield
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = (workdir / ".lock").open("w")
    except OSError as error:
        raise UserError(f"--workdir={workdir} cannot be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"--workdir={workdir} is in use by another process: choose another, or wait") from None
        if (workdir / "config.json").exists():
            _check_same(configs.load(workdir), config, workdir)
        elif any(_foreign(path) for path in workdir.iterdir()):
            raise UserError(f"--workdir={workdir} has files but no config.json: choose an empty or a new folder")
        yield


def _foreign(path: Path) -> bool:
    """Whether a file is there that no run of ours leaves before its config is recorded."""
    return path.name not in (".lock", "checkpoints") and path.suffix != ".part" and not path.name.startswith("fold")


def _check_same(old: ConfigDict, new: ConfigDict, workdir: Path) -> None:
    there, here = old.to_dict(), new.to_dict()
    if there["steps"] <= here["steps"]:
        there["steps"] = here["steps"]
    unlike = configs.differences(there, here)
    if unlike:
        raise UserError(f"--workdir={workdir} belongs to another config: {'; '.join(unlike)}. Choose another --workdir")


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically: a reader, or a kill, never meets half a file."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=2, default=_plain) + "\n")
    part.replace(path)


def read_json(path: Path) -> Any:
    """The content of a JSON file, or None if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def write_predictions(workdir: Path, split: str, predictions: Mapping[str, np.ndarray], about: dict[str, Any]) -> None:
    """Writes predictions/<split>.npz and, beside it, class names and sample rate as JSON."""
    folder = workdir / "predictions"
    folder.mkdir(exist_ok=True)
    with (folder / f"{split}.part").open("wb") as file:
        np.savez_compressed(file, **dict(predictions))  # type: ignore[arg-type]
    (folder / f"{split}.part").replace(folder / f"{split}.npz")
    write_json(folder / f"{split}.json", about)
