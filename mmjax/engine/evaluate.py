"""Evaluation: variables x split x probe -> figures and predictions, exact under padding."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from mmjax import predictions as glossary
from mmjax.data import spec
from mmjax.engine import mesh as meshes
from mmjax.engine import probes
from mmjax.errors import UserError
from mmjax.task import Batch, Figures, Task, Variables, bind


def named(task: Task, constants: Mapping[str, Any]) -> Task:
    """The task with the names of its classes, those that the data set gives looked up in its constants.

    Raises:
      UserError: the data set does not name them.
    """
    found: dict[str, tuple[str, ...]] = {}
    for head, names in task.names.items():
        if isinstance(names, str) and f"{names}_names" not in constants:
            raise UserError(f"the data set does not name the classes of its field {names}, which the task needs")
        found[head] = spec.unspelt(np.asarray(constants[f"{names}_names"])) if isinstance(names, str) else tuple(names)
    return dataclasses.replace(task, names=found)


def without_few(predict: Any, variables: Any, batch: Batch, key: Any) -> dict[str, Any]:
    """The predictions of which the whole split is kept."""
    return {k: v for k, v in predict(variables, batch, key).items() if not glossary.few(k)}


def with_host(task: Task, predicted: Mapping[str, Any]) -> dict[str, Any]:
    """The predictions of a batch and what the host makes of them, without what only it wants."""
    found = {**predicted, **(task.on_host(predicted) if task.on_host else {})}
    return {name: value for name, value in found.items() if glossary.kept(name)}


def readable(name: str, value: np.ndarray) -> np.ndarray:
    """A prediction with its text as byte strings: text/... is made of UTF-8 letters, padded with zeros."""
    if not name.startswith("text/") or value.dtype != np.uint8:
        return value
    return np.ascontiguousarray(value).view(f"S{value.shape[-1]}")[..., 0]


def classed(predicted: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(head, right class [n], -1 where there is none, scores [n c]) of each head whose classes are the same for every
    example and whose truth is predicted beside it."""
    for name, scores in predicted.items():
        kind, _, head = name.partition("/")
        truth = predicted.get(f"label/{head}{glossary.TARGET}", predicted.get(f"scores/{head}{glossary.TARGET}"))
        if kind == "scores" and f"text/{head}" not in predicted and truth is not None:
            yield head, truth if truth.ndim == 1 else np.where(truth.any(-1), truth.argmax(-1), -1), scores


class Evaluator:
    """Holds the compiled metrics and predict of one task, so that each look costs no compilation.

    Args:
      task: whose figures.
      placement: puts batches on the devices; always the jitted form, whatever the training uses.
      judges: {name: weights} of the task's judges, on the host; they are on the devices from the first look on.
    """

    def __init__(self, task: Task, placement: meshes.Jitted, judges: Mapping[str, Any] | None = None):
        self.task, self.placement, self.judges = task, placement, judges or {}
        self._metrics = jax.jit(task.metrics, out_shardings=placement.replicated)
        self._predict = jax.jit(task.predict, out_shardings=placement.replicated)
        self._unseen = jax.jit(bind(without_few, task.predict), out_shardings=placement.replicated)
        self._observe = jax.jit(task.fit.observe, out_shardings=placement.replicated) if task.fit else None

    def shapes(self, variables: Any, batch: Batch, size: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """What metrics and predict give of batches like this one with `size` rows; they are not traced again for it."""
        whole, split = self.placement.replicated, self.placement.rows()
        judges = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), self.judges)
        variables = {**variables, "judges": judges} if self.judges else variables
        seen = self._seen(batch).items()
        rows = {k: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype, sharding=split) for k, x in seen}
        key = jax.random.key(0)
        return self._metrics.eval_shape(variables, rows), self._predict.eval_shape(variables, rows, key)

    @functools.cached_property
    def _placed_judges(self) -> Any:
        return self.placement.lay(self.judges)

    def _judged(self, variables: Variables) -> Variables:
        """The variables, and beside them the judges' weights where there are any."""
        return {**variables, "judges": self._placed_judges} if self.judges else variables

    def metrics(self, variables: Any, batches: Iterable[Batch]) -> Figures:
        """Sums of the jitted metrics over a split, divided once."""
        sums: Figures = {}
        variables = self._judged(variables)
        for host in batches:
            self._add(sums, variables, self.placement.put(self._seen(host)))
        return in_order(_divide(sums), self.task.headline)

    def fitted(self, variables: Any, batches: Iterable[Batch]) -> tuple[Any, int]:
        """What the task's `Fit` solves on these batches, and on how many examples."""
        assert self.task.fit is not None
        variables = self._judged(variables)
        observed: dict[str, list[np.ndarray]] = {}
        seen = 0
        for host in batches:
            batch = self.placement.put(self._seen(host))
            valid = meshes.gather(batch["valid"])
            for name, value in meshes.gather(self._observe(variables, batch)).items():
                observed.setdefault(name, []).append(value[valid])
            seen += int(valid.sum())
        return self.task.fit.solve(variables, {name: np.concatenate(rows) for name, rows in observed.items()}), seen

    def full(
        self, variables: Any, batches: Iterable[Batch], probe: probes.Probe | None = None, gallery: int = 24
    ) -> tuple[Figures, dict[str, np.ndarray], int]:
        """Metrics, whole-split scores and predictions.

        Args:
          variables: of the task.
          batches: host batches with `valid`.
          probe: applied to each batch first.
          gallery: examples whose pictures and sounds are kept.

        Returns:
          ({name: value}, {"kind/name": array [examples ...]}, number of examples).
        """
        variables = self._judged(variables)
        sums: Figures = {}
        predictions: dict[str, list[np.ndarray]] = {}
        references: dict[str, list[np.ndarray]] = {}
        seen = 0
        for position, clean in enumerate(batches):
            batch = self.placement.put(self._seen(probe(clean, position) if probe else clean))
            self._add(sums, variables, batch)
            valid = meshes.gather(batch["valid"])
            # Pictures and sounds that nobody will see are not even computed.
            shown = seen < max(gallery, 1) or self.task.on_host is not None
            predict = self._predict if shown else self._unseen
            guessed = meshes.gather(predict(variables, batch, jax.random.key(position)))
            guessed = with_host(self.task, guessed)
            for name, value in guessed.items():
                rows = readable(name, value)[valid]
                predictions.setdefault(name, []).append(rows[: max(gallery - seen, 0)] if glossary.few(name) else rows)
            for name, value in self._references(clean).items():
                references.setdefault(name, []).append(value[valid])
            if "index" in clean:
                at = meshes.gather(self.placement.put({"index": np.asarray(clean["index"])}))["index"]
                predictions.setdefault("number/index", []).append(at[valid])
            seen += int(valid.sum())
        joined = {name: np.concatenate(rows) for name, rows in predictions.items()}
        truth = {name: np.concatenate(rows) for name, rows in references.items()}
        figures = in_order({**_divide(sums), **self.task.score(joined, truth)}, self.task.headline)
        return figures, {**_shown(truth, gallery), **joined}, seen

    def _seen(self, batch: Batch) -> Batch:
        """The batch without what only names its examples: the figures on any split are of one compiled program."""
        return {name: value for name, value in batch.items() if name != "index" or name in self.task.fields}

    def _references(self, clean: Batch) -> dict[str, np.ndarray]:
        """The truth of all processes' rows, in the order of the predictions; text is there on one process only."""
        wanted = {name: np.asarray(clean[name]) for name in self.task.references}
        if jax.process_count() == 1:
            return wanted
        return meshes.gather(self.placement.put(wanted))

    def _add(self, sums: Figures, variables: Any, batch: Batch) -> None:
        for name, pair in meshes.gather(self._metrics(variables, batch)).items():
            sums[name] = np.add(sums.get(name, 0.0), np.float64(pair))


def _shown(truth: Mapping[str, np.ndarray], gallery: int) -> dict[str, np.ndarray]:
    """Text references of the gallery's examples, for the report to lay beside what was predicted; several as lines."""
    shown = {}
    for name, rows in truth.items():
        if spec.FIELDS[name].dtype == "str" and len(rows[:gallery]):
            lines = [row if isinstance(row, str) else "\n".join(map(str, row)) for row in rows[:gallery]]
            shown[f"text/{name}_target"] = np.array(lines, str)
    return shown


def _divide(sums: Figures) -> Figures:
    return {name: float(total / count) if count else float("nan") for name, (total, count) in sums.items()}


def in_order(figures: Figures, headline: Sequence[str]) -> Figures:
    """The figures of `headline` first, the others after them by name; each before its baselines."""

    def place(name: str) -> tuple[int, str]:
        figure = name.split("/", 1)[0]
        return next((i for i, one in enumerate(headline) if fnmatch.fnmatchcase(figure, one)), len(headline)), figure

    return dict(sorted(figures.items(), key=lambda item: place(item[0])))


def table(figures: Figures) -> list[tuple[str, float, list[tuple[str, float]]]]:
    """[(figure, value, [(baseline, value), ...]), ...] in the figures' order."""
    return [
        (name, value, [(b.split("/", 1)[1], figures[b]) for b in figures if b.startswith(f"{name}/")])
        for name, value in figures.items()
        if "/" not in name
    ]


def line(figures: Figures) -> str:
    """The table in one line: "object_agreement 0.8 (majority 0.1)  ..."."""
    parts = []
    for name, value, baselines in table(figures):
        beside = ", ".join(f"{what} {number:.4g}" for what, number in baselines)
        parts.append(f"{name} {value:.4g}" + (f" ({beside})" if beside else ""))
    return "  ".join(parts)


def show(figures: Figures) -> str:
    """The table as text, each figure beside its trivial baselines."""
    lines = [f"{'figure':<28}{'value':>10}   trivial baseline"]
    for name, value, baselines in table(figures):
        beside = ", ".join(f"{what} {number:.4g}" for what, number in baselines)
        lines.append(f"{name:<28}{value:>10.4g}   {beside}")
    return "\n".join(lines)
