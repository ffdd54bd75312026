"""Runs that an audit makes: the system's own network with one modality alone, and the same system from other seeds.

Each is a run like any other, in WORKDIR/audit/...: it can be interrupted, goes on where it stopped, and is done once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from mmjax import workdir as files
from mmjax.engine import loop, restore
from mmjax.errors import UserError


def alone(config: ConfigDict, folder: Path, modality: str, rates: Sequence[float]) -> tuple[restore.Restored, float]:
    """The network trained with every other modality blank: of all rates the best by the validation split.

    Args:
      config: of the system's own run.
      folder: its workdir.
      modality: that it sees.
      rates: factors of the config's learning rates that are tried.

    Returns:
      (the run, its factor).

    Raises:
      UserError: the run has a remedy of its own, or a signal stopped one of these.
    """
    if config.balance.name != "none":
        raise UserError(f"--retrain: the run has the remedy {config.balance.name!r}: one side has nothing to balance")
    found = {}
    for rate in rates:
        own = _changed(config, rate)
        with own.unlocked():
            own.balance.name, own.balance.modality = "only", modality
            own.distil.workdir = own.prune = ""  # who saw all would tell of the others
        place = folder / files.AUDITED / f"{modality}_x{rate:g}"
        _run(own, place)
        found[rate] = _best(place, config) if len(rates) > 1 else 0.0
    rate = max(found, key=lambda rate: found[rate])
    return restore.restore(folder / files.AUDITED / f"{modality}_x{rate:g}"), rate


def seeds(config: ConfigDict, folder: Path, count: int) -> list[Path]:
    """Workdirs of the same run from `count` - 1 other seeds; the first seed's is the run itself."""
    places = []
    for number in range(1, count):
        own = _changed(config, 1.0)
        with own.unlocked():
            own.seed = config.seed + number
        places.append(folder / files.AUDITED / f"seed{own.seed}")
        _run(own, places[-1])
    return places


def _changed(config: ConfigDict, rate: float) -> ConfigDict:
    own = config.copy_and_resolve_references()
    with own.unlocked():
        own.eval.probes, own.data_changed = (), "refuse"
        for section in own.optim.values():
            section.learning_rate = section.learning_rate * rate
    return own


def _run(config: ConfigDict, place: Path) -> None:
    if loop.run(config, place, f"mmjax audit ({place.name})") is None:
        raise UserError(f"{place} was stopped by a signal: the same command goes on")


def _best(place: Path, config: ConfigDict) -> float:
    """The last validation figure that chooses the best step, the larger the better."""
    rows = [json.loads(line) for line in (place / files.METRICS).read_text().splitlines()]
    values = [row["values"][config.best] for row in rows if row["kind"] == "eval" and config.best in row["values"]]
    if not values:
        raise UserError("--rates: the run has no validation figure to choose one by: config.best and eval.every")
    return float(values[-1]) * (1 if config.best_mode == "max" else -1)
