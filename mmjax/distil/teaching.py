"""Distillation as a wrapper of a Task: its loss, and how far its answers are from another run's on the same batch.

What a system answers is `Task.distribution`, or the scores, embeddings or heatmaps of `Task.predict`: no system knows
of it. The teacher is frozen["distil"] while the student trains, and so stands in no checkpoint; a restored student does
without it. Only updates of parameters that these answers depend on are changed: a control is left alone.

The student answers as it does in an evaluation, without dropout, but is normalised by the batch as in its own loss: a
gradient that takes BatchNorm's statistics for constants fights with that of the loss (recognition with widths 16, 28,
44: a cross-entropy of 1.5 nats after 1,700 steps, against 0.9 without a teacher). Its frozen networks and its teacher
keep their running statistics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax.interpreters import partial_eval
from jaxtyping import Array

from mmjax import predictions
from mmjax import workdir as files
from mmjax.distil import formulas
from mmjax.distil.options import Distil
from mmjax.errors import OptionError, UserError
from mmjax.known.whole_run import WholeRun
from mmjax.models.blocks import norm
from mmjax.task import Batch, Constants, Figures, Task, Update, Variables, bind

KEY = "distil"  # of frozen
OPTION = "config.distil.workdir"
KINDS = {"logits": "scores", "embeddings": "embedding", "maps": "heatmap"}  # option: kind of prediction
LEAST = 1e-30  # of a probability whose logarithm is taken


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A run that teaches; hashable, and equal by value.

    Attributes:
      task: of its config.
      run: where its weights are.
    """

    task: Task
    run: WholeRun


def task(plain: Task, teacher: Teacher, distil: Distil) -> Task:
    """The task that learns from the teacher, too.

    Raises:
      OptionError: the teacher has other classes, or needs what the student's batches do not have.
    """
    if any(update.rows is not None for update in plain.updates):
        raise UserError("config.distil: a system that trains rows of tables has no answers to be taught")
    missing = [name for name in teacher.task.predicts_from or teacher.task.fields if name not in plain.fields]
    if missing:
        raise _wrong(teacher, f"needs {', '.join(missing)}, which this run does not read")
    for head in set(plain.names) & set(teacher.task.names):
        own, their = plain.names[head], teacher.task.names[head]
        if own != their:
            raise _wrong(teacher, f"has other classes of {head}: {_differing(own, their)}")
    return dataclasses.replace(
        plain,
        init=bind(_init, plain, teacher, distil),
        fill=bind(_fill, plain, teacher),
        # Features that were computed once leave no picture for the teacher.
        features=None,
        updates=tuple(
            Update(update.group, bind(_loss, plain, number, teacher, distil))
            for number, update in enumerate(plain.updates)
        ),
    )


def _wrong(teacher: Teacher, said: str) -> OptionError:
    return OptionError(OPTION, f"={teacher.run.path!r} {said}")


def _differing(own: Any, their: Any) -> str:
    if len(own) != len(their):
        return f"{len(their)} there and {len(own)} here"
    at = next((i for i, pair in enumerate(zip(own, their, strict=True)) if pair[0] != pair[1]), 0)
    return f"number {at} is {their[at]!r} there and {own[at]!r} here"


# -- what a task's functions become -----------------------------------------------------------------------------------


def _init(plain: Task, teacher: Teacher, distil: Distil, key: Array, batch: Batch) -> Variables:
    """The student's variables, and NaN where the teacher's weights belong."""
    variables = plain.init(key, batch)

    def empty(x: Any) -> Array:
        return jnp.full(x.shape, jnp.nan if jnp.issubdtype(x.dtype, jnp.floating) else 0, x.dtype)

    theirs = jax.tree.map(empty, teacher.run.shapes)
    told = [
        jax.eval_shape(lambda v, t=t: answers(t, v, batch, jax.random.key(0), distil.of), v)
        for t, v in ((teacher.task, theirs), (plain, variables))
    ]
    _check(teacher, distil, *told)
    return {**variables, "frozen": {**variables["frozen"], KEY: theirs}}


def _check(teacher: Teacher, distil: Distil, their: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raises UserError where there is nothing to learn, or not the same."""
    if not own:
        raise UserError(f"config.distil.of {distil.of!r}: the system answers with none: choose another")
    for name, value in own.items():
        if name not in their:
            raise _wrong(teacher, f"does not answer with {name or 'a distribution'}")
        there, here = their[name].shape[1:], value.shape[1:]
        if distil.of == "embeddings":
            continue  # of any dimension
        if there != here:
            what = "classes" if distil.of == "logits" else "numbers"
            sizes = (" x ".join(map(str, shape)) for shape in (there, here))
            raise _wrong(
                teacher, f"has other {what} of {name or 'the answer'}: {next(sizes)} there, {next(sizes)} here"
            )


def _fill(plain: Task, teacher: Teacher, variables: Variables, constants: Constants) -> Variables:
    """The student's values, and the teacher's weights. Raises OptionError where its numbers mean something else."""
    theirs = files.read_arrays(Path(teacher.run.path).expanduser() / files.CONSTANTS)
    for name in set(theirs) & set(constants):
        if not np.array_equal(theirs[name], np.asarray(constants[name])):
            raise _wrong(teacher, f"has another {name}: it was trained on other data, or on data cut otherwise")
    filled = plain.fill(_own(variables), constants)
    return {**filled, "frozen": {**filled["frozen"], KEY: teacher.run.load()}}


def _own(variables: Variables) -> Variables:
    return {**variables, "frozen": {name: value for name, value in variables["frozen"].items() if name != KEY}}


def _loss(
    plain: Task, number: int, teacher: Teacher, distil: Distil, variables: Variables, batch: Batch, key: Array
) -> tuple[Array, tuple[Any, Figures]]:
    """The system's own loss, and the weight times how far its answers are from the teacher's."""
    update, own = plain.updates[number], _own(variables)
    value, (state, logs) = update.loss(own, batch, key)
    drawn = jax.random.fold_in(key, 1)  # the system's own draws stay what they are
    if update.group not in groups(plain, own, batch, distil.of):
        return value, (state, logs)
    with norm.statistics_of_batch():
        student = answers(plain, own, batch, drawn, distil.of)
    theirs = answers(teacher.task, variables["frozen"][KEY], batch, drawn, distil.of)
    terms = _terms(distil, jax.lax.stop_gradient({name: theirs[name] for name in student}), student)
    return value + distil.weight * sum(terms.values()), (state, {**logs, **_named(terms)})


def _named(terms: Mapping[str, Array]) -> Figures:
    return {f"{KEY}/{name or 'answer'}": jax.lax.stop_gradient(term) for name, term in terms.items()}


def _terms(distil: Distil, teacher: Mapping[str, Array], student: Mapping[str, Array]) -> dict[str, Array]:
    """{name: how far the student is from the teacher, the mean over the batch}."""
    if distil.of == "embeddings":
        return formulas.of_similarities(teacher, student)
    if distil.of == "maps":
        return {name: formulas.of_maps(teacher[name], value) for name, value in student.items()}
    return {
        name: jnp.mean(formulas.at_temperature(teacher[name], value, distil.temperature))
        for name, value in student.items()
    }


def answers(task: Task, variables: Variables, batch: Batch, key: Array, of: str) -> dict[str, Array]:
    """What a system answers of a kind: {"": logits [b c]} or {head: log-probabilities [b c]}; {name: points [b d]}, of
    an example's several the first; {name: map [b ...]}."""
    if of == "logits" and task.distribution is not None:
        return {"": task.distribution(variables, batch)[1][""]}
    found = task.predict(variables, batch, key)
    named = {name.partition("/")[2]: x for name, x in found.items() if name.partition("/")[0] == KINDS[of]}
    named = {name: x for name, x in named.items() if not name.endswith(predictions.TARGET)}
    if of == "embeddings":
        return {name: x[:, 0] if x.ndim == 3 else x for name, x in named.items()}
    if of == "maps":
        return named
    # Not the scores of an n-best list, which are of other classes in each row.
    return {name: jnp.log(jnp.maximum(x, LEAST)) for name, x in named.items() if f"text/{name}" not in found}


def groups(task: Task, variables: Variables, batch: Batch, of: str) -> frozenset[str]:
    """The groups of parameters that the answers depend on, read off their trace."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), x.dtype), dict(variables["params"]))
    traced = jax.make_jaxpr(
        lambda params: answers(task, {**variables, "params": params}, batch, jax.random.key(0), of)
    )(shapes)
    _, used = partial_eval.dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    leaves = jax.tree_util.tree_leaves_with_path(shapes)
    return frozenset(at[0].key for (at, _), own in zip(leaves, used, strict=True) if own)
