"""The training step: every system's, and the only place where a gradient is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import optax
from flax import struct
from jax import lax
from jax import numpy as jnp

from mmjax.ops import collective
from mmjax.task import Batch, Figures, Task, Variables

Optimisers = Mapping[str, optax.GradientTransformation]


@struct.dataclass
class TrainState:
    """All that a run is: saved whole (but for `frozen`, which never changes) and enough to go on exactly."""

    step: jax.Array  # int32 []
    params: dict[str, Any]
    opt_state: dict[str, Any]
    state: Any
    frozen: Any

    @property
    def variables(self) -> Variables:
        """What the functions of a Task take."""
        return {"params": self.params, "state": self.state, "frozen": self.frozen}


def create(task: Task, optimisers: Optimisers, key: jax.Array, batch: Batch) -> TrainState:
    """A fresh state at step 0; `batch` gives the shapes."""
    variables = task.init(key, batch)
    params = dict(variables["params"])
    opt_state = {group: optimisers[group].init(params[group]) for group in params}
    return TrainState(jnp.int32(0), params, opt_state, variables["state"], variables["frozen"])


def train_step(
    task: Task, optimisers: Optimisers, train: TrainState, batch: Batch, key: jax.Array
) -> tuple[TrainState, Figures]:
    """Runs the task's updates in order, each on its own group, and returns the new state and the logs.

    The randomness of step n is fold_in(key, n), so a resumed run draws what the straight run would have drawn.
    Logs carry each group's loss and global gradient norm beside what the losses report.
    """
    step_key = jax.random.fold_in(key, train.step)
    params, opt_state, state = dict(train.params), dict(train.opt_state), train.state
    logs: Figures = {}
    for position, update in enumerate(task.updates):

        def loss(own, update=update, params=params, state=state, position=position):
            variables = {"params": {**params, update.group: own}, "state": state, "frozen": train.frozen}
            return update.loss(variables, batch, jax.random.fold_in(step_key, position))

        group = update.group
        (value, (state, reported)), gradient = jax.value_and_grad(loss, has_aux=True)(params[group])
        gradient = collective.mean(gradient)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes int counters with floats; our code never does
            change, new_opt_state = optimisers[group].update(gradient, opt_state[group], params[group])
        params = {**params, group: optax.apply_updates(params[group], change)}
        opt_state = {**opt_state, group: new_opt_state}
        logs |= {f"loss/{group}": value, f"grad_norm/{group}": optax.tree.norm(gradient), **reported}
    new = train.replace(step=train.step + 1, params=params, opt_state=opt_state, state=state)
    return new, collective.mean(logs)


def train_steps(
    task: Task, optimisers: Optimisers, train: TrainState, batches: Batch, key: jax.Array
) -> tuple[TrainState, Figures]:
    """Several steps in one dispatch: `batches` and the returned logs are stacked along a leading step axis."""

    def body(carry, batch):
        return train_step(task, optimisers, carry, batch, key)

    return lax.scan(body, train, batches)
