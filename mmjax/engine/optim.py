"""Optimisers by name, from one config section each."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax
from flax.core import FrozenDict, freeze
from jax import numpy as jnp

from mmjax.errors import UserError
from mmjax.task import Task

METHODS = ("adam", "adamw", "sgd", "rmsprop", "adagrad", "lamb")
FORMS = ("torch", "optax")


def make(
    name: str,
    learning_rate: float,
    steps: int,
    warmup: int = 0,
    decay: str = "none",
    clip: float = 0.0,
    weight_decay: float = 0.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    momentum: float = 0.0,
    decay_rate: float = 1.0,
    clamp: float = 0.0,
    parts: Mapping[str, float] | None = None,
    form: str = "torch",
) -> optax.GradientTransformation:
    """An optax transformation: clip, direction, weight decay, schedule. Each method takes what it knows of the rest.

    Its steps are those of torch.optim's class of that name (of SGD without dampening), but for the parameters that
    `weight_decay` leaves out; lamb's are those of You et al. (2020), algorithm 2, with phi the identity.

    Args:
      name: adam, adamw, sgd, rmsprop, adagrad or lamb.
      learning_rate: its peak.
      steps: length of the run, for the schedule.
      warmup: steps of linear rise from zero.
      decay: "none", "cosine" or "linear" (to zero at `steps`), or "exponential" (by `decay_rate` each step).
      clip: bound on the global gradient norm; 0 = none.
      weight_decay: decoupled (Loshchilov & Hutter 2019), on matrices and kernels only, never on gains or biases.
        For "adam" it is added to the gradient instead, as L2 regularisation, as in the older papers.
      b1: decay of the mean gradient (adam, adamw, lamb).
      b2: decay of its square (adam, adamw, lamb, rmsprop).
      eps: added to its root (all but sgd); see `form`.
      momentum: of sgd.
      decay_rate: factor of each step for decay="exponential".
      clamp: bound on the size of each gradient entry, after `clip`; 0 = none.
      parts: factors of the learning rate of parts of the group, by their names ({"encoder": 0.1}); of all others 1.
        With 1 a part need not be there: a config may name one that a setting freezes.
      form: of rmsprop and adagrad. "torch": eps stands beside the root, g / (sqrt(v) + eps), and adagrad's sum begins
        at 0, as in Torch 7 and PyTorch. "optax": eps stands under it, g / sqrt(v + eps), so that 1e-8 bounds the root
        from below by 1e-4, and adagrad's sum begins at 0.1; runs of before there was a choice were so.
    """
    if name not in METHODS:
        raise UserError(f"optim.name {name!r} is unknown: choose one of {', '.join(METHODS)}")
    if form not in FORMS:
        raise UserError(f"optim.form {form!r} is unknown: choose one of {', '.join(FORMS)}")
    penalty = [optax.add_decayed_weights(weight_decay, mask=_matrices)] if weight_decay else []
    direction = {
        "adam": [*penalty, optax.scale_by_adam(b1, b2, eps)],
        "adamw": [optax.scale_by_adam(b1, b2, eps), *penalty],
        "lamb": [optax.scale_by_adam(b1, b2, eps), *penalty, optax.scale_by_trust_ratio()],
        "sgd": [*penalty, optax.trace(momentum) if momentum else optax.identity()],
        "rmsprop": [*penalty, optax.scale_by_rms(b2, eps, eps_in_sqrt=form == "optax")],
        "adagrad": [*penalty, optax.scale_by_rss(eps=eps) if form == "optax" else scale_by_sum_of_squares(eps)],
    }[name]
    bounds = [optax.clip_by_global_norm(clip)] if clip else []
    bounds += [optax.clip(clamp)] if clamp else []
    rate = optax.scale_by_learning_rate(schedule(learning_rate, steps, warmup, decay, decay_rate))
    scales = [scale_parts(parts)] if parts and any(factor != 1 for factor in parts.values()) else []
    return optax.chain(*bounds, *direction, rate, *scales)


def scale_by_sum_of_squares(eps: float) -> optax.GradientTransformation:
    """Adagrad's direction as Torch has it: g / (sqrt(s) + eps), where s is the sum of all g^2 so far."""

    def init(params):
        return optax.ScaleByRssState(sum_of_squares=jax.tree.map(jnp.zeros_like, params))

    def update(updates, state, params=None):
        del params
        total = jax.tree.map(lambda g, s: s + jnp.square(g), updates, state.sum_of_squares)
        scaled = jax.tree.map(lambda g, s: g / (jnp.sqrt(s) + jnp.asarray(eps, s.dtype)), updates, total)
        return scaled, optax.ScaleByRssState(sum_of_squares=total)

    return optax.GradientTransformation(init, update)


def scale_parts(factors: Mapping[str, float]) -> optax.GradientTransformation:
    """Multiplies the change of named parts of a group, as the last of a chain: their own learning rate."""

    def init(params):
        unknown = [name for name, factor in factors.items() if name not in params and factor != 1]
        if unknown:
            raise UserError(f"config.optim's parts: {unknown[0]!r} is no part of the group; it has {', '.join(params)}")
        return optax.EmptyState()

    def update(updates, state, params=None):
        del params
        known = {name: jnp.float32(factors.get(name, 1.0)) for name in updates}
        scaled = {name: jax.tree.map(functools.partial(jnp.multiply, known[name]), updates[name]) for name in updates}
        return scaled, state

    return optax.GradientTransformation(init, update)


def schedule(peak: float, steps: int, warmup: int = 0, decay: str = "none", decay_rate: float = 1.0) -> optax.Schedule:
    """Learning rate by step: linear rise over `warmup`, then constant, to zero at `steps` by a cosine or a line, or
    `decay_rate` times the last step's ("exponential")."""
    rest = max(steps - warmup, 1)
    shapes = {
        "none": optax.constant_schedule(peak),
        "cosine": optax.cosine_decay_schedule(peak, rest),
        "linear": optax.linear_schedule(peak, 0.0, rest),
        "exponential": functools.partial(_exponential, peak, decay_rate),
    }
    if decay not in shapes:
        raise UserError(f"optim.decay {decay!r} is unknown: choose one of {', '.join(shapes)}")
    if decay == "exponential" and decay_rate <= 0:
        raise UserError(f"optim.decay_rate is {decay_rate}: it must be above 0")
    if not warmup:
        return shapes[decay]
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), shapes[decay]], [warmup])


def _exponential(peak: float, rate: float, step: Any) -> Any:
    """peak x rate^step. Of a rate that is close to 1 float32 knows the logarithm, and not the rate itself."""
    return peak * jnp.exp(jnp.asarray(step, jnp.float32) * math.log(rate))


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda x: x.ndim > 1, params)


class RowOptimiser(NamedTuple):
    """Changes rows of tables in place of an optax transformation, for updates with `rows`.

    Attributes:
      init: tables -> state.
      update: (tables, state, {table: indices [...]}, {table: gradients [... d]}, step) -> (tables, state); a row that
        is named several times changes by the sum. `step` is float32: its fraction is the part of the step that is done.
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any, Any, Any], tuple[Any, Any]]


def make_rows(
    name: str, learning_rate: float, steps: int, warmup: int = 0, decay: str = "none", eps: float = 1e-10
) -> RowOptimiser:
    """A row optimiser: its time and its memory beside the tables do not grow with their width.

    Args:
      name: "sgd", or "adagrad": one sum of squares a row (of the mean square of its gradient's entries), [v], from 0.
        PyTorch's has one sum an entry, and squares the sum of a row's gradients where a batch names it several times;
        here each of them is squared by itself.
      learning_rate: its peak.
      steps, warmup, decay: see `schedule`.
      eps: added to adagrad's root, beside it.
    """
    if name not in ("sgd", "adagrad"):
        raise UserError(f"optim.name {name!r} is not for rows of tables: choose sgd or adagrad")
    rate = schedule(learning_rate, steps, warmup, decay)
    adaptive = name == "adagrad"

    def init(tables):
        return {"squares": {k: jnp.zeros(len(v), jnp.float32) for k, v in tables.items()}} if adaptive else {}

    def update(tables, state, indices, gradients, step):
        with jax.numpy_dtype_promotion("standard"):  # optax's schedules mix Python numbers and arrays
            factor = -jnp.asarray(rate(step), jnp.float32)
        if not adaptive:
            return {k: _add(v, indices[k], factor * gradients[k]) for k, v in tables.items()}, state
        squares = {k: _add(v, indices[k], jnp.mean(gradients[k] ** 2, -1)) for k, v in state["squares"].items()}
        new = {}
        for k, table in tables.items():
            root = jnp.sqrt(squares[k].at[indices[k]].get(mode="promise_in_bounds")) + jnp.float32(eps)
            new[k] = _add(table, indices[k], factor * gradients[k] / root[..., None])
        return new, {"squares": squares}

    return RowOptimiser(init, update)


def of(task: Task, sections: Mapping[str, Any], steps: int) -> FrozenDict[str, Any]:
    """The optimisers of a task, {group: optimiser}, the same objects for the same sections, so that what is compiled
    with them can be shared. Raises UserError if a group has no section.
    """
    missing = {update.group for update in task.updates} - set(sections)
    if missing:
        raise UserError(f"config.optim has no section for {', '.join(missing)}: it has {', '.join(sections)}")
    rows = {update.group for update in task.updates if update.rows is not None}
    made = {}
    for group, section in sections.items():
        options = {**_plain(section), "steps": steps}
        if group in rows:
            options.pop("form", None)  # which runs from before are given: a row optimiser has had one
        try:
            made[group] = _same(make_rows if group in rows else make, freeze(options))
        except TypeError as error:
            raise UserError(f"config.optim.{group}: {str(error).split(' ', 1)[-1]}") from None
    return FrozenDict(made)


def _plain(section: Any) -> dict[str, Any]:
    return {k: _plain(v) if hasattr(v, "items") else v for k, v in section.items()}


@functools.lru_cache(maxsize=64)
def _same(make_one: Callable[..., Any], options: FrozenDict[str, Any]) -> Any:
    return make_one(**options)


def _add(table: Any, indices: Any, change: Any) -> Any:
    return table.at[indices].add(change, mode="promise_in_bounds")
