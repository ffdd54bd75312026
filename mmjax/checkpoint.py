"""Checkpoints: Orbax behind five functions.

Saved asynchronously and atomically under workdir/checkpoints/<step>: the newest two and the best. `frozen` never
changes, so it is written once, to workdir/frozen. A checkpoint names no device: it restores onto any number.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint import checkpoint_managers

from mmjax.errors import UserError
from mmjax.step import TrainState


class Checkpoints:
    """The checkpoints of one workdir.

    Args:
      workdir: where they live.
      best: the validation figure that ranks them; "" keeps only the newest.
      best_mode: "max" or "min".
    """

    def __init__(self, workdir: Path, best: str = "", best_mode: str = "max"):
        if best_mode not in ("max", "min"):
            raise UserError(f"config.best_mode is {best_mode!r}: choose 'max' or 'min'")
        self.workdir, self.best = workdir, best
        keep = [checkpoint_managers.LatestN(2)]
        if best:
            rank = checkpoint_managers.BestN(
                get_metric_fn=lambda figures: figures[best],
                reverse=best_mode == "min",
                n=1,
                keep_checkpoints_without_metrics=False,
            )
            keep.append(rank)
        # best_fn with max_to_keep would delete the newest checkpoint when it is not among the best.
        options = ocp.CheckpointManagerOptions(
            preservation_policy=checkpoint_managers.AnyPreservationPolicy(keep),
            # Orbax still wants best_fn to answer best_step().
            best_fn=(lambda figures: figures[best]) if best else None,
            best_mode=best_mode,
            cleanup_tmp_directories=True,
        )
        self.manager = ocp.CheckpointManager(epath.Path(workdir.absolute()) / "checkpoints", options=options)

    def latest(self) -> int | None:
        """The newest complete step, or None."""
        return self.manager.latest_step()

    def save(self, step: int, state: TrainState, figures: dict[str, float] | None = None) -> None:
        """Starts writing `state`; a step that is there already is left alone."""
        metrics = {self.best: float(figures[self.best])} if self.best and figures else None
        self.manager.save(step, args=ocp.args.StandardSave(_changing(state)), metrics=metrics, force=True)

    def save_frozen(self, frozen: Any) -> None:
        """Writes the weights that never change, once."""
        path = epath.Path(self.workdir.absolute()) / "frozen"
        if jax.tree.leaves(frozen) and not path.exists():
            with ocp.StandardCheckpointer() as saver:
                saver.save(path, frozen)

    def restore(self, state: TrainState, step: int | str | None = None) -> TrainState:
        """The saved values in the structure, dtypes and sharding of `state`.

        Args:
          state: a freshly made state of the same system, already placed on its devices.
          step: a step, "best", or None for the newest.

        Raises:
          UserError: there is no such checkpoint, or it belongs to another network.
        """
        step = self.step_of(step)
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, _changing(state))
        try:
            saved = self.manager.restore(step, args=ocp.args.StandardRestore(target))
        except (ValueError, KeyError) as error:
            raise UserError(
                f"{self.workdir}/checkpoints/{step} does not fit this network: {str(error).splitlines()[0]}"
            ) from None
        return dataclasses.replace(state, **saved)

    def step_of(self, step: int | str | None) -> int:
        """Resolves None (newest) and "best" to a step that exists."""
        steps, newest = self.manager.all_steps(), self.latest()
        if newest is None:
            raise UserError(f"{self.workdir} has no checkpoint: the run saved nothing yet")
        if step == "best":
            step = self.manager.best_step() if self.best else None
        step = newest if step is None else int(step)
        if step not in steps:
            raise UserError(f"{self.workdir} has no checkpoint of step {step}: it has {', '.join(map(str, steps))}")
        return step

    def preempted(self, step: int) -> bool:
        """Whether any of several processes was told to stop; all of them agree on the step."""
        return jax.process_count() > 1 and self.manager.reached_preemption(step)

    def wait(self) -> None:
        """Until everything is on disk."""
        self.manager.wait_until_finished()

    def close(self) -> None:
        """Waits, then lets go of the files."""
        self.manager.wait_until_finished()
        self.manager.close()


def _changing(state: TrainState) -> dict[str, Any]:
    return {"step": state.step, "params": state.params, "opt_state": state.opt_state, "state": state.state}
