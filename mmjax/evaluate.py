"""Evaluation: variables x split x probe -> figures and predictions, exact under padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from mmjax import mesh as meshes
from mmjax.task import Batch, Figures, Task

GALLERY_KINDS = ("image", "audio", "heatmap")


class Evaluator:
    """Holds the compiled metrics and predict of one task, so that each look costs no compilation.

    Args:
      task: whose figures.
      placement: puts batches on the devices; always the jitted form, whatever the training uses.
    """

    def __init__(self, task: Task, placement: meshes.Jitted):
        self.task, self.placement = task, placement
        self._metrics = jax.jit(task.metrics, out_shardings=placement.replicated)
        self._predict = jax.jit(task.predict, out_shardings=placement.replicated)

    def metrics(self, variables: Any, batches: Iterable[Batch], probe: Callable | None = None) -> Figures:
        """Sums of the jitted metrics over a split, divided once."""
        return self._pass(variables, batches, probe, predict=False, gallery=0)[0]

    def full(
        self, variables: Any, batches: Iterable[Batch], probe: Callable | None = None, gallery: int = 24
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
        figures, predictions, references, seen = self._pass(variables, batches, probe, predict=True, gallery=gallery)
        return {**figures, **self.task.score(predictions, references)}, predictions, seen

    def _pass(self, variables, batches, probe, predict, gallery):
        sums: dict[str, np.ndarray] = {}
        kept: dict[str, list] = {}
        references: dict[str, list] = {name: [] for name in self.task.references}
        seen = 0
        for position, host in enumerate(batches):
            host = probe(host, position) if probe else host
            batch = self.placement.put(host)
            figures = jax.tree.map(np.float64, meshes.gather(self._metrics(variables, batch)))
            sums = {k: np.add(sums.get(k, 0.0), v) for k, v in figures.items()}
            if not predict:
                continue
            valid = meshes.gather(batch["valid"])
            guesses = meshes.gather(self._predict(variables, batch, jax.random.key(position)))
            for name, value in guesses.items():
                few = name.split("/")[0] in GALLERY_KINDS
                rows = value[valid][: max(gallery - seen, 0)] if few else value[valid]
                kept.setdefault(name, []).append(rows)
            for name, rows in references.items():
                rows.append(_everywhere(host[name])[valid])
            seen += int(valid.sum())
        means = {name: float(total / count) if count else float("nan") for name, (total, count) in sums.items()}
        joined = {name: np.concatenate(rows) for name, rows in kept.items()}
        return means, joined, {name: np.concatenate(rows) for name, rows in references.items()}, seen


def _everywhere(rows: Any) -> np.ndarray:
    """This process's rows of a host column -> all processes' rows."""
    rows = np.asarray(rows)
    if jax.process_count() == 1:
        return rows
    if rows.dtype.kind in "OU":
        from mmjax.errors import UserError

        raise UserError("text references are gathered on one process only: evaluate on one host")
    return meshes.gather(rows)


def table(figures: Figures) -> list[tuple[str, float, list[tuple[str, float]]]]:
    """[(figure, value, [(baseline, value), ...]), ...] in the figures' order."""
    return [
        (name, value, [(b.split("/", 1)[1], figures[b]) for b in figures if b.startswith(f"{name}/")])
        for name, value in figures.items()
        if "/" not in name
    ]


def show(figures: Figures) -> str:
    """The table as text, each figure beside its trivial baselines."""
    lines = [f"{'figure':<28}{'value':>10}   trivial baseline"]
    for name, value, baselines in table(figures):
        beside = ", ".join(f"{what} {number:.4g}" for what, number in baselines)
        lines.append(f"{name:<28}{value:>10.4g}   {beside}")
    return "\n".join(lines)
