"""What is exported of a run: a function of arrays for each way in which the run can be asked, weights inside."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters import partial_eval

from mmjax import predictions
from mmjax.data import spec
from mmjax.engine.restore import Restored
from mmjax.ops import platform
from mmjax.task import Batch, Task, Variables, bind

START, STEP = "start", "step"  # of an answer that is written token by token, and the names of what goes in and out
END = "end"  # of one that is spoken step by step
MEMORY, STATE, NEXT, TOKEN, LOGITS = "memory/", "state/", "next/", "token", "logits"
KEPT, GATE, WRITTEN, FRAMES = "kept/", "gate", "written", "frames"
REAL = "real"  # of a program: for a runtime that has no complex numbers
MEANINGS = {
    MEMORY: "what stays while an answer is written",
    STATE: "what changes, before the step",
    NEXT: "the same behind it: the next step's state",
    TOKEN: "the token before, at first <start>",
    LOGITS: "of the next token: logarithms of shares, up to a constant",
    KEPT: "which units dropout keeps in this step, 1, and which it drops, 0; drawn anew for each step",
    GATE: "how probably this step is the last",
    WRITTEN: "what the steps wrote, one behind the other, zeros behind each end",
    FRAMES: "how many of these are real",
}


@dataclasses.dataclass(frozen=True)
class Part:
    """A function that is exported.

    Attributes:
      name: of the file, after the export's own; "" of the answers of a run that is asked in one way.
      inputs: {field: (dtype, shape of one example)}.
      function: ({field: array [b ...]}, key) -> {"kind/name": array [b ...]}, the answers of `Task.answers`, as the run
        computes them here; of START, STEP and END the arrays of `Task.writing` or `Task.speaking`, under names of
        MEANINGS.
      anywhere: the same for any platform, which is what is exported.
      program: the same of weights that are given: (whether for any platform, variables, batch, key).
      real: the same for a runtime that has no complex numbers; None = as anywhere.
    """

    name: str
    inputs: Mapping[str, tuple[str, tuple[int, ...]]]
    function: Callable[[Batch, Any], dict[str, Any]]
    anywhere: Callable[[Batch, Any], dict[str, Any]]
    program: Callable[..., dict[str, Any]] | None = None
    real: Callable[[Batch, Any], dict[str, Any]] | None = None


def of(run: Restored) -> tuple[Part, ...]:
    """The parts of a run: one, or one for each side that can be asked alone, as in a joint space; then `apart`."""
    sets = [fields for fields in (run.task.predicts_from or run.task.fields, *run.task.also_from) if fields]
    parts = []
    for fields in sets:
        own = [field for field in fields if not field.endswith("_length")]
        own += run.task.speaking.otherwise if run.task.speaking else ()
        inputs = {name: _shape(run, name) for name in _with_lengths(run.task, own)}
        program = bind(_answers, run.task.predict, run.task.answers, own[0])
        parts.append(_part(run, "_".join(own) if len(sets) > 1 else "", inputs, program))
    if run.task.speaking:
        return (*parts, *_spoken(run, parts[0]))
    return (*parts, *_apart(run, parts[0])) if run.task.writing else tuple(parts)


def apart(every: Sequence[Part]) -> tuple[Part, ...]:
    """Those of an answer that is taken apart: START and STEP, and END where it is spoken; () where none is."""
    return tuple(part for part in every if part.name in (START, STEP, END))


def _part(run: Restored, name: str, inputs: Mapping[str, tuple[str, tuple[int, ...]]], program: Any) -> Part:
    here, anywhere, real = (_function(run, bind(program, choice)) for choice in (False, True, REAL))
    return Part(name, inputs, here, anywhere, program, real)


def _form(anywhere: bool | str) -> Any:
    """As what a program is traced: False here, True for any platform, REAL without complex numbers."""
    return platform.any_platform(real=anywhere == REAL) if anywhere else contextlib.nullcontext()


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
    predict: Any,
    declared: tuple[str, ...],
    first: str,
    anywhere: bool | str,
    variables: Variables,
    batch: Batch,
    key: Any,
) -> dict[str, Any]:
    with _form(anywhere):
        found = predict(variables, {**batch, "valid": jnp.ones(batch[first].shape[0], bool)}, key)
    return {name: found[name] for name in predictions.answers(list(found), declared)}


def _apart(run: Restored, whole: Part) -> tuple[Part, Part]:
    """The two functions that an answer is written with, over the names of MEANINGS."""
    assert run.task.writing is not None
    start = _part(run, START, whole.inputs, bind(_start, run.task.writing.start, next(iter(whole.inputs))))
    begun = jax.eval_shape(start.function, abstract(start, 1), jax.random.key(0))
    inputs = {name: (str(value.dtype), value.shape[1:]) for name, value in begun.items()}
    return start, _part(run, STEP, {**inputs, TOKEN: ("int32", ())}, bind(_step, run.task.writing.step))


def _spoken(run: Restored, whole: Part) -> tuple[Part, Part, Part]:
    """The three functions that an answer is spoken with."""
    speaking = run.task.speaking
    assert speaking is not None
    start = _part(run, START, whole.inputs, bind(_start, speaking.start, next(iter(whole.inputs))))
    begun = jax.eval_shape(start.function, abstract(start, 1), jax.random.key(0))
    inputs = {name: (str(value.dtype), value.shape[1:]) for name, value in begun.items()}
    (size,) = begun[f"{STATE}frame"].shape[1:]
    kept = {f"{KEPT}{name}": ("float32", (units,)) for name, (units, _) in speaking.shares.items()}
    step = _part(run, STEP, {**inputs, **kept}, bind(_spoken_step, speaking.step))
    written = (speaking.steps * size // speaking.bands, speaking.bands)
    ends = {WRITTEN: ("float32", written), FRAMES: ("int32", ())}
    return start, step, _part(run, END, ends, bind(_end, speaking.end))


def _start(
    start: Any, first: str, anywhere: bool | str, variables: Variables, batch: Batch, key: Any
) -> dict[str, Any]:
    del key  # nothing is drawn
    with _form(anywhere):
        memory, state = start(variables, {**batch, "valid": jnp.ones(batch[first].shape[0], bool)})
    return {**_named(MEMORY, memory), **_named(STATE, state)}


def _step(step: Any, anywhere: bool | str, variables: Variables, batch: Batch, key: Any) -> dict[str, Any]:
    del key
    with _form(anywhere):
        state, logits = step(variables, _of(MEMORY, batch), _of(STATE, batch), batch[TOKEN])
    return {LOGITS: logits, **_named(NEXT, state)}


def _spoken_step(step: Any, anywhere: bool | str, variables: Variables, batch: Batch, key: Any) -> dict[str, Any]:
    del key  # what is dropped goes in
    with _form(anywhere):
        state, gate = step(variables, _of(MEMORY, batch), _of(STATE, batch), _of(KEPT, batch))
    return {GATE: gate, **_named(NEXT, state)}


def _end(end: Any, anywhere: bool | str, variables: Variables, batch: Batch, key: Any) -> dict[str, Any]:
    del key
    with _form(anywhere):
        found: dict[str, Any] = end(variables, batch[WRITTEN], batch[FRAMES])
    return found


def _of(kind: str, batch: Batch) -> dict[str, Any]:
    return {name.removeprefix(kind): value for name, value in batch.items() if name.startswith(kind)}


def _named(kind: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{kind}{name}": value for name, value in arrays.items()}


def at_first(columns: Mapping[str, np.ndarray], made: Mapping[str, Any], first: int) -> dict[str, Any]:
    """Columns with what START made of them and, for each, the token that every answer begins with."""
    arrays = {name: np.asarray(value) for name, value in made.items()}
    return {**columns, **arrays, TOKEN: np.full(len(next(iter(arrays.values()))), first, np.int32)}


def examples(part: Part, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The part's inputs out of a batch of a data set; rows of another length than training's are cut or filled up with
    zeros."""
    found = {}
    for name, (_, shape) in part.inputs.items():
        value = np.asarray(columns[name])[(slice(None), *map(slice, shape))]
        found[name] = np.pad(value, [(0, 0), *((0, n - had) for n, had in zip(shape, value.shape[1:], strict=True))])
    return found


def meaning(field: str) -> str:
    """What the glossary says of what goes in or comes out."""
    kind, slash, _ = field.partition("/")
    if kind + slash in MEANINGS:
        return MEANINGS[kind + slash]
    if slash:
        return predictions.split(field)[0].meaning
    return spec.FIELDS[field].meaning if field in spec.FIELDS else ""


def abstract(part: Part, batch: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """The inputs without values; `batch` is a number, or a symbolic one of jax.export."""
    return {name: jax.ShapeDtypeStruct((batch, *shape), dtype) for name, (dtype, shape) in part.inputs.items()}


def live(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, traced without what its answers do not need: weights that only other answers read, controls that
    draw, operators that a format lacks."""

    def answer(*given: Any) -> Any:
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), given)
        whole, made = jax.make_jaxpr(function, return_shape=True)(*shapes)
        kept, _ = partial_eval.dce_jaxpr(whole.jaxpr, [True] * len(whole.jaxpr.outvars), instantiate=True)
        found = jaxpr_as_fun(ClosedJaxpr(kept, whole.consts))(*jax.tree.leaves(given))
        return jax.tree.unflatten(jax.tree.structure(made), found)

    return answer


def first_line(error: Exception) -> str:
    """What another library raises, in one line of a message."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
