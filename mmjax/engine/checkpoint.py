"""Checkpoints: Orbax behind five functions.

Saved asynchronously and atomically under workdir/checkpoints/<step>: the newest two and the best. `frozen` never
changes, so it is written once, to workdir/frozen. A checkpoint names no device: it restores onto any number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers
from orbax.checkpoint.checkpoint_manager import METRIC_ITEM_NAME

from mmjax import workdir as files
from mmjax.engine import agree
from mmjax.engine.step import TrainState
from mmjax.errors import UserError


def has_any(workdir: Path) -> bool:
    """Whether a workdir has a complete checkpoint, without opening them."""
    return any(path.name.isdigit() for path in (workdir / files.CHECKPOINTS).glob("*"))


class Checkpoints:
    """The checkpoints of one workdir.

    Args:
      workdir: where they live.
      best: the validation figure that ranks them; "" keeps only the newest.
      best_mode: "max" or "min".
      read_only: for a reader beside a run that goes on: nothing is made or cleaned up.
    """

    def __init__(self, workdir: Path, best: str = "", best_mode: str = "max", read_only: bool = False):
        if best_mode not in ("max", "min"):
            raise UserError(f"config.best_mode is {best_mode!r}: choose 'max' or 'min'")
        self.workdir, self.best = workdir, best
        _spare_closed_loops()
        keep = [checkpoint_managers.LatestN(2)]
        if best:

            def rank_of(figures):
                value = figures.get(best, float("nan"))
                sign = 1 if best_mode == "max" else -1
                return sign * value if value == value else -float("inf")  # a NaN is never the best

            rank = checkpoint_managers.BestN(
                get_metric_fn=rank_of,
                n=1,
                keep_checkpoints_without_metrics=False,
            )
            keep.append(rank)
        # best_fn with max_to_keep would delete the newest checkpoint when it is not among the best.
        options = ocp.CheckpointManagerOptions(
            preservation_policy=checkpoint_managers.AnyPreservationPolicy(keep),
            # Orbax still wants best_fn to answer best_step().
            best_fn=rank_of if best else None,
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
        )
        try:
            self.manager = ocp.CheckpointManager(workdir.absolute() / files.CHECKPOINTS, options=options)
        except ValueError as error:
            raise UserError(f"{workdir}/checkpoints is damaged: {error}; remove the newest folder in it") from None

    def latest(self) -> int | None:
        """The newest complete step, or None."""
        return self.manager.latest_step()

    def save(self, step: int, state: TrainState, figures: dict[str, float] | None = None) -> None:
        """Starts writing `state`; a step that is there already is left alone."""
        if step in self.manager.all_steps():
            return
        metrics = {name: float(value) for name, value in figures.items()} if figures else None
        with self._writing(files.CHECKPOINTS):
            self.manager.save(step, args=ocp.args.StandardSave(_changing(state)), metrics=metrics, force=True)

    def has_figures(self, step: int) -> bool:
        """Whether a checkpoint has what ranks it, where checkpoints are ranked."""
        return not self.best or (self._figures(step) / METRIC_ITEM_NAME).exists()

    def add_figures(self, step: int, figures: dict[str, float]) -> None:
        """Ranks a checkpoint that was saved before it was looked at; the first of several processes writes."""
        if not self.has_figures(step) and not jax.process_index():
            # Saved anew it would be gone for a moment. So its figures are put where Orbax looks for them.
            with self._writing(files.CHECKPOINTS), tempfile.TemporaryDirectory(dir=self.workdir) as folder:
                made = Path(folder) / METRIC_ITEM_NAME
                made.mkdir()
                (made / METRIC_ITEM_NAME).write_text(json.dumps({k: float(value) for k, value in figures.items()}))
                made.rename(self._figures(step))
        agree.told("")  # until it is there
        self.manager.reload()

    def _figures(self, step: int) -> Path:
        return self.workdir.absolute() / files.CHECKPOINTS / str(step) / METRIC_ITEM_NAME

    def save_frozen(self, frozen: Any) -> None:
        """Writes the weights that never change, when a run begins; over those of a run that saved nothing else."""
        if jax.tree.leaves(frozen):
            with self._writing(files.FROZEN), ocp.StandardCheckpointer() as saver:
                saver.save(self.workdir.absolute() / files.FROZEN, frozen, force=True)

    def restore_frozen(self, state: TrainState) -> TrainState:
        """`state` with the weights that never change as the run began with them, not as their files are today.

        What else was saved is not read: runs used to keep the networks there that only measured. Raises UserError where
        nothing was.
        """
        path = self.workdir.absolute() / files.FROZEN
        if not jax.tree.leaves(state.frozen):
            return state
        if not path.exists():
            raise UserError(f"{path} is missing, with the weights that this run does not train: it cannot go on")
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, state.frozen)
        laid = ocp.checkpoint_utils.construct_restore_args(target)
        args = ocp.args.PyTreeRestore(item=target, restore_args=laid, partial_restore=True)
        with ocp.PyTreeCheckpointer() as reader:
            # Beforehand: without a sharding Orbax restores any shape, and an error leaves its other reads behind.
            if unlike := _unlike(_tree(path), target, partial=True):
                raise UserError(_of_another(str(path), unlike))
            return dataclasses.replace(state, frozen=reader.restore(path, args=args))

    def save_fitted(self, step: int, fitted: Any) -> None:
        """Writes what the task solved after `step`, over what may be there."""
        with self._writing(files.FITTED), ocp.StandardCheckpointer() as saver:
            saver.save(self._fitted(step), jax.tree.map(np.asarray, fitted), force=True)

    def restore_fitted(self, step: int) -> dict[str, Any]:
        """{"fitted": what was solved after `step`} as NumPy arrays, {} where nothing was."""
        if not self._fitted(step).exists():
            return {}
        with ocp.StandardCheckpointer() as reader:
            return {"fitted": reader.restore(self._fitted(step))}

    def _fitted(self, step: int) -> Path:
        return self.workdir.absolute() / files.FITTED / str(step)

    def restore(self, state: TrainState, step: int | str | None = None) -> TrainState:
        """The saved values in the structure, dtypes and sharding of `state`.

        Args:
          state: a freshly made state of the same system, already placed on its devices.
          step: a step, "best", or None for the newest.

        Raises:
          UserError: there is no such checkpoint, it is damaged, or it belongs to another network.
        """
        step = self.step_of(step)
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, _changing(state))
        place = f"{self.workdir}/checkpoints/{step}"
        if unlike := _unlike(self._shapes(step), target):  # beforehand, see `restore_frozen`
            raise UserError(_of_another(place, unlike))
        try:
            saved = self.manager.restore(step, args=ocp.args.StandardRestore(target))
        except Exception as error:  # Orbax raises whatever the storage below it does
            others = ", ".join(str(other) for other in self.manager.all_steps() if other != step) or "no other"
            raise UserError(
                f"{place} is damaged ({str(error).splitlines()[0]}); remove that folder to go on from the step before "
                f"it (there is {others})"
            ) from None
        return dataclasses.replace(state, **saved)

    def _shapes(self, step: int) -> Any:
        """The tree of a checkpoint's shapes; None where that cannot be read."""
        try:
            # Not the manager's: that of one which has neither saved nor restored yet knows of none.
            return _tree(self.workdir.absolute() / files.CHECKPOINTS / str(step) / "default")
        except Exception:  # as above: it is damaged, which is said of the checkpoint itself
            return None

    def step_of(self, step: int | str | None) -> int:
        """Resolves None (newest) and "best" to a step that exists."""
        steps, newest = self.manager.all_steps(), self.latest()
        if newest is None:
            raise UserError(f"{self.workdir} has no checkpoint: the run saved nothing yet")
        if step == "best":
            step = self.manager.best_step() if self.best else None
        step = newest if step is None else step
        if step not in steps:
            raise UserError(f"{self.workdir} has no checkpoint of step {step}: it has {', '.join(map(str, steps))}")
        return int(step)

    def preempted(self, step: int) -> bool:
        """Whether any of several processes was told to stop; all of them agree on the step."""
        return jax.process_count() > 1 and self.manager.reached_preemption(step)

    def wait(self) -> None:
        """Until everything is on disk."""
        with self._writing(files.CHECKPOINTS):
            self.manager.wait_until_finished()

    def close(self) -> None:
        """Waits, then lets go of the files."""
        try:
            self.wait()
        finally:
            self.manager.close()

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        """Raises OSError, which names the file and the step to go on from, where something could not be written."""
        path = self.workdir / name
        try:
            yield
        except Exception as error:  # of a write that began earlier, and whatever the storage below Orbax raises
            step = self.manager.latest_step()
            goes = f"goes on from step {step}" if step is not None else "begins anew: nothing was saved yet"
            said = str(error).strip().splitlines() or [type(error).__name__]
            text = f"could not be written ({said[0][:200]}); with room for it the same command {goes}"
            raise OSError(errno.EIO, text, str(path)) from error


@functools.cache  # once a process
def _spare_closed_loops() -> None:
    """No traceback of arrays whose save failed already, which is said elsewhere.

    Where one of several arrays cannot be written, Orbax closes the loop to which TensorStore then reports the others,
    from threads of C++.
    """
    before = sys.unraisablehook

    def hook(what: Any) -> None:
        if not (what.exc_type is RuntimeError and str(what.exc_value) == "Event loop is closed"):
            before(what)

    sys.unraisablehook = hook


def _tree(path: Path) -> Any:
    """The tree of shapes of what was saved at a path."""
    with ocp.PyTreeCheckpointer() as reader:
        return getattr(reader.metadata(path).item_metadata, "tree", None)


def _changing(state: TrainState) -> dict[str, Any]:
    return {"step": state.step, "params": state.params, "opt_state": state.opt_state, "state": state.state}


def _unlike(saved: Any, wanted: Any, partial: bool = False) -> list[str]:
    """How the arrays of two trees differ, a line each; with `partial`, `saved` may have more. [] where one is None."""
    if saved is None:
        return []
    there, here = (
        {
            jax.tree_util.keystr(path, simple=True, separator="/"): tuple(x.shape)
            for path, x in jax.tree.leaves_with_path(t)
        }
        for t in (saved, wanted)
    )
    names = [name for name in {**here, **there} if name in here or not partial]
    return [
        f"{name} is {_shape(there.get(name))} there and {_shape(here.get(name))} here"
        for name in names
        if there.get(name) != here.get(name)
    ]


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"[{' '.join(map(str, shape))}]"


def _of_another(place: str, unlike: list[str]) -> str:
    """Nothing is wrong with such a checkpoint: whoever removed it would lose it."""
    more = f" (and {len(unlike) - 1} others)" if len(unlike) > 1 else ""
    return (
        f"{place} is of another network: {unlike[0]}{more}. It is whole, keep it: the data, the config or the code is "
        "not what the run began with"
    )
