"""A run with its weights in fewer bits; made wide again where they are read, so that all is computed in float32."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from jax import numpy as jnp

from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.task import Variables, bind

EXTRA = "pip install 'mmjax[light]'"


def bfloat16(run: restore.Restored) -> restore.Restored:
    """The run with its float32 weights kept as bfloat16: half the room."""
    wide = jax.tree.map(lambda x: x.dtype == jnp.float32, run.variables)
    variables = jax.tree.map(lambda x, own: jnp.asarray(x, jnp.bfloat16) if own else x, run.variables, wide)
    return _reading(run, variables, _from_bfloat16, tuple(jax.tree.leaves(wide)))


def int8(run: restore.Restored) -> restore.Restored:
    """The run with its kernels and tables kept as 8 bits, by qwix: a quarter of the room. Weights alone are rounded.

    Each channel of a kernel's last axis has a scale of its own. What has one axis, such as gains, stays.

    Raises:
      UserError: qwix is missing.
    """
    try:
        import qwix
    except ImportError:
        raise UserError(f"int8 weights need the package qwix: {EXTRA}") from None

    def rounded(x: Any) -> Any:
        if x.dtype != jnp.float32 or x.ndim < 2:
            return x
        return qwix.quantize(jnp.asarray(x), jnp.int8, channelwise_axes=(x.ndim - 1,))

    own = {
        place: jax.tree.map(rounded, run.variables[place]) for place in ("params", "frozen") if place in run.variables
    }
    return _reading(run, {**run.variables, **own}, _from_int8, ())


def _reading(
    run: restore.Restored, variables: Variables, widened: Callable[..., Variables], more: tuple[Any, ...]
) -> restore.Restored:
    """The run over other variables, which every function reads through `widened`."""
    task = dataclasses.replace(run.task, predict=bind(_of_widened, run.task.predict, widened, more))
    if writing := run.task.writing:
        start, step = (bind(_of_widened, function, widened, more) for function in (writing.start, writing.step))
        task = dataclasses.replace(task, writing=dataclasses.replace(writing, start=start, step=step))
    if speaking := run.task.speaking:
        own = {name: getattr(speaking, name) for name in ("start", "step", "end", "spoken", "judged")}
        wide: Any = {name: bind(_of_widened, function, widened, more) for name, function in own.items()}
        task = dataclasses.replace(task, speaking=dataclasses.replace(speaking, **wide))
    return dataclasses.replace(run, task=task, variables=variables)


def _of_widened(function: Any, widened: Any, more: tuple[Any, ...], variables: Variables, *arguments: Any) -> Any:
    return function(widened(variables, *more), *arguments)


def _from_bfloat16(variables: Variables, *wide: bool) -> Variables:
    leaves, structure = jax.tree.flatten(variables)
    leaves = [x.astype(jnp.float32) if own else x for x, own in zip(leaves, wide, strict=True)]
    found: Variables = jax.tree.unflatten(structure, leaves)
    return found


def _from_int8(variables: Variables) -> Variables:
    import qwix

    def kept(x: Any) -> bool:
        return isinstance(x, qwix.QArray)

    found: Variables = jax.tree.map(lambda x: qwix.dequantize(x) if kept(x) else x, variables, is_leaf=kept)
    return found


PRECISIONS: dict[str, Callable[[restore.Restored], restore.Restored]] = {
    "float32": lambda run: run,
    "bfloat16": bfloat16,
    "int8": int8,
}
