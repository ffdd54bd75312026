"""The training step: every system's, and the only place where a gradient is taken."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import optax
from flax import struct
from jax import lax
from jax import numpy as jnp

from mmjax.ops import collective
from mmjax.task import Batch, Figures, Task, Update, Variables

MEASURED = 64  # of the micro-batches of an update on rows, one in so many reports its loss
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
    means = collective.mean(logs)
    logs = {k: v[0] / jnp.maximum(v[1], 1e-9) if isinstance(v, tuple) else v for k, v in means.items()}
    return dataclasses.replace(train, step=train.step + 1), logs


def dense_update(
    update: Update, optimiser: Any, train: TrainState, batch: Batch, key: jax.Array
) -> tuple[TrainState, Figures]:
    """One update on all parameters of a group."""
    group = update.group

    def loss(own):
        return update.loss({**train.variables, "params": {**train.params, group: own}}, batch, key)

    (value, (state, reported)), gradient = jax.value_and_grad(loss, has_aux=True)(train.params[group])
    gradient = collective.mean(gradient)
    told = {"task_state": state, "key": jax.random.fold_in(key, 1)}  # read by who asks for it: see `balance.modulate`
    with jax.numpy_dtype_promotion("standard"):  # optax mixes int counters with floats; our code never does
        change, opt_state = optax.with_extra_args_support(optimiser).update(
            gradient, train.opt_state[group], train.params[group], **told
        )
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

    Either every device adds the row gradients of all devices to its tables, so that copies stay equal; or, with
    `replicas`, each of these trains its own copy on its share of the batch and all are reconciled at the end.
    """
    assert update.rows is not None
    group, replicas = update.group, update.rows.replicas
    old = (train.params[group], train.opt_state[group])
    if replicas == 1:
        (tables, opt_state, state), logs = _scan_rows(update, optimiser, train, batch, key, shared=True)
    else:

        def run(train, number, part):
            own = jax.random.fold_in(key, number)
            new, logs = _scan_rows(update, optimiser, train, part, own, shared=False)
            before = (train.params[group], train.opt_state[group])
            return *jax.tree.map(jnp.subtract, new[:2], before), (new[2], logs)

        *changes, (state, logs) = collective.apart(run, train, batch, replicas)
        tables, opt_state = jax.tree.map(jnp.add, old, tuple(changes))
    new = dataclasses.replace(
        train,
        params={**train.params, group: tables},
        opt_state={**train.opt_state, group: opt_state},
        state=state,
    )
    return new, logs


def _scan_rows(
    update: Update, optimiser: Any, train: TrainState, batch: Batch, key: jax.Array, shared: bool
) -> tuple[tuple[Any, Any, Any], Figures]:
    """((tables, opt_state, state), logs) after all micro-batches; `shared`: with the rows of all devices.

    Logs are means over every MEASURED-th micro-batch, of a (total, count) of both, so that padding does not count: the
    gradient does not need the loss's value, whose logarithms would take a third of the time. `grad_norm` is left out,
    for it would cost as much as the update of the rows.
    """
    assert update.rows is not None
    group, rows_of = update.group, update.rows
    of_cut, of_rest = jax.random.split(key)
    micro = rows_of.cut(train.variables, batch, collective.local_key(of_cut) if shared else of_cut)
    many = len(next(iter(micro.values())))

    def body(carry, numbered):
        tables, opt_state, state = carry
        number, part = numbered
        variables = {"params": {**train.params, group: tables}, "state": state, "frozen": train.frozen}
        own = jax.random.fold_in(of_rest, number)
        indices, part = rows_of.pick(variables, part, collective.local_key(own) if shared else own)
        rows = {name: tables[name].at[at].get(mode="promise_in_bounds") for name, at in indices.items()}

        def loss(rows):
            return update.loss({**variables, "params": {**train.params, group: rows}}, part, own)

        def measured():
            value, (_, reported) = loss(rows)
            return {f"loss/{group}": value, **reported}

        gradient, (state, _) = jax.grad(loss, has_aux=True)(rows)
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(measured))
        if shared and not collective.alone():  # a sum over devices in one branch only could wait for ever
            logs = jax.tree.map(functools.partial(jnp.where, number % MEASURED == 0), measured(), nothing)
        else:
            logs = lax.cond(number % MEASURED == 0, measured, lambda: nothing)
        if shared:
            indices, gradient = collective.everywhere((indices, gradient))
        at = train.step.astype(jnp.float32) + number.astype(jnp.float32) / many
        tables, opt_state = optimiser.update(tables, opt_state, indices, gradient, at)
        return (tables, opt_state, state), logs

    carry = (train.params[group], train.opt_state[group], train.state)
    carry, logs = lax.scan(body, carry, (jnp.arange(many), micro))
    return carry, jax.tree.map(lambda x: jnp.sum(x, 0) / -(-many // MEASURED), logs)


def train_steps(
    task: Task, optimisers: Optimisers, train: TrainState, batches: Batch, key: jax.Array
) -> tuple[TrainState, Figures]:
    """Several steps in one dispatch: `batches` and the returned logs are stacked along a leading step axis.

    Written out on a CPU, where XLA computes a convolution's gradient inside a loop 17 times slower than outside.
    """

    def body(carry, batch):
        return train_step(task, optimisers, carry, batch, key)

    return lax.scan(body, train, batches, unroll=jax.default_backend() == "cpu")
