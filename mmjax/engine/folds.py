"""Cross-validation: the whole run once for each fold of the data, and the mean of the figures beside each fold's own.

Each fold is a run like any other, in workdir/fold1, fold2, ...: it can be interrupted, goes on where it stopped, and
has a report of its own. The data set decides what a fold is; it takes the option `fold`, from 1.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from mmjax import predictions, report
from mmjax import workdir as files
from mmjax.engine import evaluate
from mmjax.task import Figures

Run = Callable[[ConfigDict, Path, str], Figures | None]
NOTE = (
    "mean of {count} folds; every fold is a run with a report and a checkpoint of its own, in fold1, fold2, ...; the "
    "curves, the time and the examples below are fold1's, the confusions those of all folds"
)


def run(one: Run, config: ConfigDict, workdir: Path, command: str = "") -> Figures | None:
    """Runs every fold that is not done, then writes the mean, all folds' predictions and one report.

    Args:
      one: runs one config in one workdir: `loop.run`.
      config: with eval.folds above 0.
      workdir: of the whole; the folds' are in it.
      command: what the user typed.

    Returns:
      The figures' means over the folds, or None when a signal stopped a fold.
    """
    found = []
    for fold in range(1, config.eval.folds + 1):
        if jax.process_index() == 0:
            print(f"\nfold {fold} of {config.eval.folds}", flush=True)
        figures = one(of_fold(config, fold), files.fold(workdir, fold), command)
        if figures is None:
            return None
        found.append(figures)
    means = {name: float(np.mean([figures[name] for figures in found])) for name in found[0]}
    if jax.process_index() == 0:
        _write(config, workdir, command, found, means)
    return means


def of_fold(config: ConfigDict, fold: int) -> ConfigDict:
    """The config of one fold's run."""
    own = config.copy_and_resolve_references()
    with own.unlocked():
        own.data.fold, own.eval.folds = fold, 0
    return own


def _write(config: ConfigDict, workdir: Path, command: str, found: list[Figures], means: Figures) -> None:
    results = [files.read_json(files.fold(workdir, i) / files.RESULTS) for i in range(1, len(found) + 1)]
    about = {
        **results[0],
        "examples": sum(result["examples"] for result in results),
        "values": means,
        "probes": {name: _means([r["probes"][name] for r in results]) for name in results[0]["probes"]},
        "folds": found,
        "notes": [*results[0].get("notes", ()), NOTE.format(count=len(found))],
        "eval": config.eval.to_json(),
    }
    files.write_json(workdir / files.CONFIG, config.to_dict())
    files.write_json(workdir / files.RESULTS, about)
    status = {"state": "done", "step": about["step"], "steps": config.steps, "command": command}
    files.write_json(workdir / files.STATUS, status)
    shutil.copyfile(files.fold(workdir, 1) / files.METRICS, workdir / files.METRICS)  # the curves of one stand for all
    files.write_predictions(workdir, config.test_split, *_predictions(config, workdir, len(found)))
    print(f"\n{show(found, means)}\n\nreport: {report.write(workdir)}", flush=True)


def _means(values: list[Figures]) -> Figures:
    return {name: float(np.mean([value[name] for value in values])) for name in values[0]}


def _predictions(config: ConfigDict, workdir: Path, folds: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """All folds' predictions, one after the other; pictures and sounds of the first, so that rows go together."""
    joined: dict[str, list[np.ndarray]] = {}
    for fold in range(1, folds + 1):
        with np.load(files.fold(workdir, fold) / files.PREDICTIONS / f"{config.test_split}.npz") as file:
            for name, array in file.items():
                if fold == 1 or not predictions.few(name):
                    joined.setdefault(name, []).append(array)
    told = [files.fold(workdir, fold) / files.PREDICTIONS / f"{config.test_split}.json" for fold in range(1, folds + 1)]
    every = [files.read_json(path) for path in told]
    about = every[0]
    if all("ids" in one for one in every):
        about["ids"] = {name: [x for one in every for x in one["ids"][name]] for name in about["ids"]}
    return {name: np.concatenate(arrays) for name, arrays in joined.items()}, about


def show(found: list[Figures], means: Figures) -> str:
    """The table of the means, and below it each figure's value in every fold."""
    lines = [f"mean of {len(found)} folds", evaluate.show(means), "", f"{'figure':<28}each fold"]
    for name, _, _ in evaluate.table(means):
        lines.append(f"{name:<28}" + " ".join(f"{figures[name]:8.4g}" for figures in found))
    return "\n".join(lines)
