"""What an export costs in the figures that count: the run's own, over the export's answers instead of the run's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from mmjax import predictions as glossary
from mmjax.engine import evaluate, mesh
from mmjax.engine.restore import Restored
from mmjax.export.exported import in_batches
from mmjax.task import Figures, Task, bind


def beside(
    run: Restored, columns: Mapping[str, np.ndarray], answered: Mapping[str, np.ndarray], size: int
) -> dict[str, dict[str, float]]:
    """{figure: {"run": value, "export": value}} of those that the answers change or could change, headline first.

    A figure of `Task.metrics` is of the run's weights, which an export does not have; where classes are scored, how
    often the highest score is the right class stands for these, under the name <head>_right.

    Args:
      run: the exported run.
      columns: held-out examples, {field: array [n ...]}, references among them.
      answered: what the export says of them, {"kind/name": array [n ...]}, text as byte strings.
      size: examples that go in at once.
    """
    if all(glossary.few(name) for name in answered):  # pictures and sounds: no figure is made of these
        return {}
    own = _predicted(run, columns, size)
    changed = {name: value for name, value in answered.items() if name in own and own[name].shape == value.shape}
    references = {name: np.asarray(columns[name]) for name in run.task.references}
    if not changed:
        return {}
    want, got = (figures(run.task, predicted, references) for predicted in (own, {**own, **changed}))
    try:
        without = figures(run.task, {name: own[name] for name in own if name not in changed}, references)
    except Exception:  # it scored them with these answers a line above: whatever it says without, it needs them
        without = {}
    names = [name for name in want if name not in without]  # what is there without the answers is a control's
    return evaluate.in_order({name: {"run": want[name], "export": got[name]} for name in names}, run.task.headline)


def figures(task: Task, predicted: Mapping[str, np.ndarray], references: Mapping[str, np.ndarray]) -> Figures:
    """The figures of a whole split that can be made of its predictions, without baselines."""
    found = {}
    for head, label, scores in evaluate.classed(predicted):
        if (label >= 0).any():
            found[f"{head}_right"] = float(np.mean((scores.argmax(-1) == label)[label >= 0]))
    scored = task.score(predicted, references)
    return {**found, **{name: float(value) for name, value in scored.items() if "/" not in name}}


def _predicted(run: Restored, columns: Mapping[str, Any], size: int) -> dict[str, np.ndarray]:
    """The run's predictions, but those of which a page shows a few."""
    predict = jax.jit(bind(evaluate.without_few, run.task.predict))

    def runner(batch: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
        rows = len(next(iter(batch.values())))
        found = predict(run.variables, {**batch, "valid": np.ones(rows, bool)}, jax.random.key(seed))
        return {name: np.asarray(value) for name, value in found.items()}

    made = in_batches(runner, mesh.numeric(columns), size)
    return {name: evaluate.readable(name, value) for name, value in made.items()}


def told(found: Mapping[str, Mapping[str, float]], shown: int = 3) -> str:
    """The first figures in a line; "" where there is none."""
    return ", ".join(f"{name} {of['export']:.4g} (the run {of['run']:.4g})" for name, of in list(found.items())[:shown])
