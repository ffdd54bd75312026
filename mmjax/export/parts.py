"""What is exported of a run: a function of arrays for each way in which the run can be asked, weights inside."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from mmjax import predictions
from mmjax.data import spec
from mmjax.engine.restore import Restored
from mmjax.ops import platform
from mmjax.task import Batch, Task, Variables, bind


@dataclasses.dataclass(frozen=True)
class Part:
    """A function that is exported.

    Attributes:
      name: of the file, after the export's own; "" where the run has this part alone.
      inputs: {field: (dtype, shape of one example)}.
      function: ({field: array [b ...]}, key) -> {"kind/name": array [b ...]}, the answers of `Task.answers`, as the run
        computes them here.
      anywhere: the same for any platform, which is what is exported.
      program: the same of weights that are given: (whether for any platform, variables, batch, key).
    """

    name: str
    inputs: Mapping[str, tuple[str, tuple[int, ...]]]
    function: Callable[[Batch, Any], dict[str, Any]]
    anywhere: Callable[[Batch, Any], dict[str, Any]]
    program: Callable[..., dict[str, Any]] | None = None


def of(run: Restored) -> tuple[Part, ...]:
    """The parts of a run: one, or one for each side that can be asked alone, as in a joint space."""
    sets = [fields for fields in (run.task.predicts_from or run.task.fields, *run.task.also_from) if fields]
    parts = []
    for fields in sets:
        own = [field for field in fields if not field.endswith("_length")]
        inputs = {name: _shape(run, name) for name in _with_lengths(run.task, own)}
        program = bind(_answers, run.task.predict, run.task.answers, own[0])
        here, anywhere = (_function(run, bind(program, choice)) for choice in (False, True))
        parts.append(Part("_".join(own) if len(sets) > 1 else "", inputs, here, anywhere, program))
    return tuple(parts)


def _with_lengths(task: Task, fields: list[str]) -> list[str]:
    lengths = [f"{field}_length" for field in fields]
    return [*fields, *(length for length in lengths if length in task.fields)]


def _shape(run: Restored, field: str) -> tuple[str, tuple[int, ...]]:
    dtype, _, *shape = run.shapes[field]
    return str(np.dtype(dtype)), tuple(shape)


def _function(run: Restored, program: Callable[..., Any]) -> Callable[[Batch, Any], dict[str, Any]]:
    # The weights are arguments of what is traced: no system is written for any but traced ones.
    traced = jax.jit(program)
    return lambda batch, key: traced(run.variables, batch, key)


def _answers(
    predict: Any, declared: tuple[str, ...], first: str, anywhere: bool, variables: Variables, batch: Batch, key: Any
) -> dict[str, Any]:
    with platform.any_platform() if anywhere else contextlib.nullcontext():
        found = predict(variables, {**batch, "valid": jnp.ones(batch[first].shape[0], bool)}, key)
    return {name: found[name] for name in predictions.answers(list(found), declared)}


def examples(part: Part, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The part's inputs out of a batch of a data set; rows of another length than training's are cut or filled up with
    zeros."""
    found = {}
    for name, (_, shape) in part.inputs.items():
        value = np.asarray(columns[name])[(slice(None), *map(slice, shape))]
        found[name] = np.pad(value, [(0, 0), *((0, n - had) for n, had in zip(shape, value.shape[1:], strict=True))])
    return found


def meaning(field: str) -> str:
    """What the glossary says of an input."""
    known = spec.FIELDS.get(field)
    return known.meaning if known is not None else ""


def abstract(part: Part, batch: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """The inputs without values; `batch` is a number, or a symbolic one of jax.export."""
    return {name: jax.ShapeDtypeStruct((batch, *shape), dtype) for name, (dtype, shape) in part.inputs.items()}


def first_line(error: Exception) -> str:
    """What another library raises, in one line of a message."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
