"""The training step: every system's, and the only place where a gradient is taken."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import optax
from flax import struct
from jax import lax
from jax import numpy as jnp

from mmjax.ops import collective
from mmjax.task import Batch, Figures, Task, Update, Variables

Optimisers = Mapping[str, Any]  # an optax.GradientTransformation, or an optim.RowOptimiser for updates with `rows`


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
    logs: Figures = {}
    for position, update in enumerate(task.updates):
        apply = dense_update if update.rows is None else rows_update
        own = jax.random.fold_in(step_key, position)
        train, reported = apply(update, optimisers[update.group], train, batch, own)
        logs |= reported
    return dataclasses.replace(train, step=train.step + 1), collective.mean(logs)


def dense_update(
    update: Update, optimiser: Any, train: TrainState, batch: Batch, key: jax.Array
) -> tuple[TrainState, Figures]:
    """One update on all parameters of a group."""
    group = update.group

    def loss(own):
        return update.loss({**train.variables, "params": {**train.params, group: own}}, batch, key)

    (value, (state, reported)), gradient = jax.value_and_grad(loss, has_aux=True)(train.params[group])
    gradient = collective.mean(gradient)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes int counters with floats; our code never does
        change, opt_state = optimiser.update(gradient, train.opt_state[group], train.params[group])
    new = dataclasses.replace(
        train,
        params={**train.params, group: optax.apply_updates(train.params[group], change)},
        opt_state={**train.opt_state, group: opt_state},
        state=state,
    )
    return new, {f"loss/{group}": value, f"grad_norm/{group}": optax.tree.norm(gradient), **reported}


def rows_update(
    update: Update, optimiser: Any, train: TrainState, batch: Batch, key: jax.Array
) -> tuple[TrainState, Figures]:
    """One update on rows of tables: a scan over micro-batches, each of which sees the rows that the former left.

    Every device adds the row gradients of all devices to its tables, so that copies stay equal. Logs are means over
    the micro-batches; `grad_norm` is left out, for it would cost as much as the update of the rows.
    """
    assert update.rows is not None
    group, tables, rows_of = update.group, train.params[update.group], update.rows
    micro = rows_of.cut(batch)
    many = len(next(iter(micro.values())))

    def body(carry, numbered):
        tables, opt_state, state = carry
        number, part = numbered
        variables = {"params": {**train.params, group: tables}, "state": state, "frozen": train.frozen}
        own = jax.random.fold_in(key, number)
        indices, part = rows_of.pick(variables, part, collective.local_key(own))
        rows = {name: tables[name].at[at].get(mode="promise_in_bounds") for name, at in indices.items()}

        def loss(rows):
            return update.loss({**variables, "params": {**train.params, group: rows}}, part, own)

        (value, (state, reported)), gradient = jax.value_and_grad(loss, has_aux=True)(rows)
        indices, gradient = collective.everywhere((indices, gradient))
        at = train.step.astype(jnp.float32) + number.astype(jnp.float32) / many
        tables, opt_state = optimiser.update(tables, opt_state, indices, gradient, at)
        return (tables, opt_state, state), {f"loss/{group}": value, **reported}

    carry = (tables, train.opt_state[group], train.state)
    (tables, opt_state, state), logs = lax.scan(body, carry, (jnp.arange(many), micro))
    new = dataclasses.replace(
        train,
        params={**train.params, group: tables},
        opt_state={**train.opt_state, group: opt_state},
        state=state,
    )
    return new, jax.tree.map(jnp.mean, logs)


def train_steps(
    task: Task, optimisers: Optimisers, train: TrainState, batches: Batch, key: jax.Array
) -> tuple[TrainState, Figures]:
    """Several steps in one dispatch: `batches` and the returned logs are stacked along a leading step axis.

    Written out on a CPU, where XLA computes a convolution's gradient inside a loop 17 times slower than outside.
    """

    def body(carry, batch):
        return train_step(task, optimisers, carry, batch, key)

    return lax.scan(body, train, batches, unroll=jax.default_backend() == "cpu")
