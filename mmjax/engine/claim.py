"""A workdir is claimed by one run and refused to another."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ml_collections import ConfigDict

from mmjax import workdir as files
from mmjax.engine import agree
from mmjax.engine import config as configs
from mmjax.errors import UserError


@contextlib.contextmanager
def claim(config: ConfigDict, workdir: Path, first: bool = True) -> Iterator[None]:
    """Holds the workdir for this run: makes it, or checks that it belongs to this config.

    More `steps` than before is the same run going on; any other difference in what is computed is another run. The
    config is recorded only when everything could be prepared, so that a mistake does not bind the workdir.

    Args:
      config: of this run.
      workdir: new or old.
      first: whether this is the first process, the only one that writes.

    Raises:
      UserError: not writable, held by another process, of another config, or not a workdir; in every process.
    """
    with contextlib.ExitStack() as held:
        with agree.together():
            if first:
                held.enter_context(_hold(workdir))
                if (workdir / files.CONFIG).exists():
                    _check_same(configs.load(workdir), config, workdir)
                elif any(_foreign(path) for path in workdir.iterdir()):
                    raise UserError(
                        f"--workdir={workdir} has files but no config.json: choose an empty or a new folder"
                    )
        yield


def _hold(workdir: Path) -> TextIO:
    """The open lock of a workdir, which is made where it is new."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = (workdir / files.LOCK).open("w")
    except OSError as error:
        raise UserError(f"--workdir={workdir} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise UserError(f"--workdir={workdir} is in use by another process: choose another, or wait") from None
    return lock


def _foreign(path: Path) -> bool:
    """Whether a file is there that no run of ours leaves before its config is recorded."""
    return (
        path.name not in (files.LOCK, files.CHECKPOINTS) and path.suffix != ".part" and not path.name.startswith("fold")
    )


def _check_same(old: ConfigDict, new: ConfigDict, workdir: Path) -> None:
    there, here = old.to_dict(), new.to_dict()
    if there["steps"] <= here["steps"]:
        there["steps"] = here["steps"]
    unlike = configs.differences(there, here)
    if unlike:
        raise UserError(f"--workdir={workdir} belongs to another config: {'; '.join(unlike)}. Choose another --workdir")
