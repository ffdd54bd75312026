"""One pass over examples in memory: figures example by example where they are means, predictions and logits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.engine import evaluate, mesh
from mmjax.metrics.information import trust
from mmjax.task import Batch, Task, Variables, bind

LARGEST = 128  # examples of a batch: one of n is asked for its figures n times, which costs more with its square
BLOCKS = 10  # of a figure that no sum gives
# Who is whose equal: what is put in the place of a modality, one thing for all, must not make all of them equals.
EQUALS = ("number/caption_ids",)


@dataclasses.dataclass(frozen=True)
class Look:
    """What one pass saw.

    Attributes:
      each: {figure: (total, count)}, [n] each, without baselines: with one example at a time counted.
      batches: {figure: (total, count)}, [batches] each.
      predictions: {"kind/name": array [n ...]}, without those of which few are kept.
      label: the right class of each example, -1 where there is none; [0] where no distribution is given.
      logits: {who: [n c]}, see `Task.distribution`.
      head: of the predictions that these are; "" where the system says itself what its answer is.
    """

    each: Mapping[str, tuple[np.ndarray, np.ndarray]]
    batches: Mapping[str, tuple[np.ndarray, np.ndarray]]
    predictions: Mapping[str, np.ndarray]
    label: np.ndarray
    logits: Mapping[str, np.ndarray]
    head: str = ""

    def with_equals_of(self, intact: Look) -> Look:
        """The same figures, but for those of batches, where nobody is anybody's equal who was not before."""
        kept = {name: intact.predictions[name] for name in EQUALS if name in intact.predictions}
        each, batches = (
            {name: value for name, value in figures.items() if intact.additive(name)}
            for figures in (self.each, self.batches)
        )
        return dataclasses.replace(self, each=each, batches=batches, predictions={**self.predictions, **kept})

    def only(self, at: np.ndarray) -> Look:
        """The look of some examples, bool [n]; what batches had is left out."""
        each = {name: (total[at], count[at]) for name, (total, count) in self.each.items()}
        predicted = {name: value[at] for name, value in self.predictions.items()}
        return dataclasses.replace(self, each=each, batches={}, predictions=predicted)

    def additive(self, figure: str) -> bool:
        """Whether the figure of all is that of its examples one by one, and so a mean over them."""
        sums = [(np.sum(self.each[figure][i]), np.sum(self.batches[figure][i])) for i in (0, 1)]
        return all(np.isclose(one, all_, rtol=1e-4, atol=1e-6) for one, all_ in sums)


def gathered(batches: Iterable[Batch], fields: Iterable[str]) -> dict[str, Any]:
    """The valid rows of all batches, {field: array [n ...]}."""
    wanted = [*fields]
    rows: dict[str, list[Any]] = {}
    for batch in batches:
        valid = np.asarray(batch["valid"])
        for name in batch:
            if name in wanted or name.removesuffix("_length") in wanted:
                rows.setdefault(name, []).append(np.asarray(batch[name])[valid])
    return {name: np.concatenate(several) for name, several in rows.items()}


def length(columns: Mapping[str, Any]) -> int:
    """How many examples there are."""
    return len(next(iter(columns.values())))


class Looker:
    """Holds the compiled program of one system.

    Args:
      task, variables: of the system.
      size: examples of a batch.
    """

    def __init__(self, task: Task, variables: Variables, size: int):
        self.task, self.variables, self.size = task, variables, min(size, LARGEST)
        self._see = jax.jit(bind(_seen, task, None))

    def expect(self, intact: Look) -> None:
        """From here on no figure is asked for example by example that is not their mean: n times its work for nothing.

        Args:
          intact: the look with everything in its place, which decides.
        """
        additive = tuple(name for name in intact.each if intact.additive(name))
        if len(additive) < len(intact.each):
            self._see = jax.jit(bind(_seen, self.task, additive))

    def __call__(self, columns: Mapping[str, Any]) -> Look:
        """A pass over all examples, in order."""
        n, found = length(columns), list[Any]()
        numeric = mesh.numeric(columns)
        for number, start in enumerate(range(0, n, self.size)):
            at = np.arange(start, start + self.size)
            batch = {name: value[np.minimum(at, n - 1)] for name, value in numeric.items()}
            seen = self._see(self.variables, {**batch, "valid": at < n}, jax.random.key(number))
            found.append(jax.device_get(seen))
        rows: Any = jax.tree.map(
            lambda *several: np.concatenate(several)[:n], *((each, p, d) for each, _, p, d in found)
        )
        batches: Any = jax.tree.map(
            lambda *several: np.array(several, np.float64), *(whole for _, whole, _, _ in found)
        )
        each, predicted, (label, logits) = rows
        predicted = {name: evaluate.readable(name, value) for name, value in predicted.items()}
        head = ""
        if not logits:
            head, label, logits = _of_scores(predicted)
        return Look(each, batches, predicted, label, logits, head)


def _seen(task: Task, additive: tuple[str, ...] | None, variables: Variables, batch: Batch, key: Any) -> Any:
    """Figures of each example and of the batch, predictions and distribution: what all need is computed once.

    `additive`: which figures are wanted of each example; None for all.
    """
    own = jnp.eye(len(batch["valid"]), dtype=bool) & batch["valid"][:, None]

    def figures(valid: Any) -> dict[str, Any]:
        """No baselines: some are of other examples' inputs, which would be paired anew for each one."""
        found = task.metrics(variables, {**batch, "valid": valid})
        return {name: pair for name, pair in found.items() if "/" not in name}

    if additive is None:
        # One trace for both: the whole batch is one row more.
        rows = jax.vmap(figures)(jnp.concatenate([own, batch["valid"][None]]))
        each, whole = (jax.tree.map(lambda x, at=at: x[at], rows) for at in (slice(-1), -1))
    else:
        each = jax.vmap(lambda valid: {k: v for k, v in figures(valid).items() if k in additive})(own)
        whole = figures(batch["valid"])
    told: Any = (jnp.zeros_like(batch["valid"], jnp.int32), {})
    if task.distribution is not None:
        told = task.distribution(variables, batch)
    return each, whole, evaluate.without_few(task.predict, variables, batch, key), told


def _of_scores(predicted: Mapping[str, np.ndarray]) -> tuple[str, np.ndarray, dict[str, np.ndarray]]:
    """The first head whose classes are the same for every example and whose truth is known, its truth and logits."""
    for head, label, scores in evaluate.classed(predicted):
        return head, label, {"": np.log(np.maximum(scores, 1e-30))}
    return "", np.zeros(0, np.int32), {}


def units(task: Task, look: Look, columns: Mapping[str, Any], intact: Look) -> dict[str, tuple[str, np.ndarray]]:
    """{figure: (what a unit is, units)}: their mean is the figure; "example", "batch" or "block" of examples.

    Args:
      task: of the system.
      look: whose figures.
      columns: what it saw, for the references of `Task.score`.
      intact: the look with everything in its place, which decides what a unit is, so that it is the same in all.
    """
    n = length(columns)
    references = {name: np.asarray(columns[name]) for name in task.references}
    by_example = {name for name in look.each if intact.additive(name)}
    found = {name: ("example", trust.of_ratio(*look.each[name])) for name in look.each if name in by_example}
    of_batches = [name for name in look.batches if name not in by_example]
    found |= {name: ("batch", trust.of_ratio(*look.batches[name])) for name in of_batches}

    def score(at: np.ndarray) -> dict[str, float]:
        some = ({name: value[at] for name, value in kept.items()} for kept in (look.predictions, references))
        return dict(task.score(*some))

    names = [name for name in score(np.arange(n)) if "/" not in name and name not in by_example]
    if names:

        def several(at: np.ndarray) -> np.ndarray:
            values = score(at)
            return np.array([values.get(name, np.nan) for name in names], float)

        scored = trust.of_blocks(several, n, BLOCKS)
        found |= {name: ("block", scored[:, i]) for i, name in enumerate(names)}
    return {name: (kind, values) for name, (kind, values) in found.items() if np.isfinite(values).all()}
