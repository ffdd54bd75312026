"""Optimisers by name, from one config section each."""

from __future__ import annotations

from typing import Any

import jax
import optax

from mmjax.errors import UserError

_MAKERS = {
    "adam": optax.scale_by_adam,
    "adamw": optax.scale_by_adam,
    "sgd": lambda momentum=0.0, nesterov=False: optax.trace(momentum, nesterov) if momentum else optax.identity(),
    "rmsprop": optax.scale_by_rms,
    "adagrad": optax.scale_by_rss,
    "lamb": lambda **options: optax.chain(optax.scale_by_adam(**options), optax.scale_by_trust_ratio()),
}


def make(
    name: str,
    learning_rate: float,
    steps: int,
    warmup: int = 0,
    decay: str = "none",
    clip: float = 0.0,
    weight_decay: float = 0.0,
    **options: Any,
) -> optax.GradientTransformation:
    """An optax transformation: clip, direction, weight decay, schedule.

    Args:
      name: adam, adamw, sgd, rmsprop, adagrad or lamb.
      learning_rate: its peak.
      steps: length of the run, for the schedule.
      warmup: steps of linear rise from zero.
      decay: "none", "cosine" or "linear" (to zero at `steps`).
      clip: bound on the global gradient norm; 0 = none.
      weight_decay: decoupled (Loshchilov & Hutter 2019), on matrices and kernels only, never on gains or biases.
        For "adam" it is added to the gradient instead, as L2 regularisation, as in the older papers.
      **options: of the method itself (b1, b2, eps, momentum, ...).
    """
    if name not in _MAKERS:
        raise UserError(f"optim.name {name!r} is unknown: choose one of {', '.join(_MAKERS)}")
    try:
        direction = _MAKERS[name](**options)
    except TypeError as error:
        raise UserError(f"optim: {name} does not take these options: {error}") from None
    penalty = [optax.add_decayed_weights(weight_decay, mask=_matrices)] if weight_decay else []
    parts = [optax.clip_by_global_norm(clip)] if clip else []
    parts += [*penalty, direction] if name == "adam" else [direction, *penalty]
    parts.append(optax.scale_by_learning_rate(schedule(learning_rate, steps, warmup, decay)))
    return optax.chain(*parts)


def schedule(peak: float, steps: int, warmup: int = 0, decay: str = "none") -> optax.Schedule:
    """Learning rate by step: linear rise over `warmup`, then constant, cosine or linear to zero at `steps`."""
    rest = max(steps - warmup, 1)
    shapes = {
        "none": optax.constant_schedule(peak),
        "cosine": optax.cosine_decay_schedule(peak, rest),
        "linear": optax.linear_schedule(peak, 0.0, rest),
    }
    if decay not in shapes:
        raise UserError(f"optim.decay {decay!r} is unknown: choose one of {', '.join(shapes)}")
    if not warmup:
        return shapes[decay]
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), shapes[decay]], [warmup])


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda x: x.ndim > 1, params)
