"""How long a run trained, from its own record: steps per second, and minutes to a figure that all reach."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmjax import workdir as files


@dataclasses.dataclass(frozen=True)
class Record:
    """What metrics.jsonl says of one run's time, without compilation, evaluation and saving.

    Attributes:
      steps: how many have a speed.
      minutes: that they took.
      figure: of the validation split that chose its best step; "" where none did.
      falls: whether less of it is better.
      looks: (minutes of training, the figure), in their order.
    """

    steps: int
    minutes: float
    figure: str
    falls: bool
    looks: tuple[tuple[float, float], ...]


def read(workdir: Path, figure: str, mode: str) -> Record:
    """The record of a run; of steps that were taken twice, after a kill, the second time.

    Args:
      workdir: of the run.
      figure, mode: its config.best and config.best_mode.
    """
    speeds, seen = dict[int, float](), dict[int, float]()
    for line in _lines(workdir / files.METRICS):
        values = line["values"]
        if line["kind"] == "train" and values.get("steps_per_second"):
            speeds[line["step"]] = float(values["steps_per_second"])
        elif line["kind"] == "eval" and figure in values and math.isfinite(float(values[figure])):
            seen[line["step"]] = float(values[figure])
    before, minutes, at = 0, 0.0, {0: 0.0}
    for step in sorted(speeds):
        minutes += (step - before) / speeds[step] / 60
        at[step], before = minutes, step
    looks = [(max(took for own, took in at.items() if own <= step), seen[step]) for step in sorted(seen)]
    return Record(before, minutes, figure, mode == "min", tuple(looks))


def compared(records: Mapping[str, Record]) -> dict[str, dict[str, Any]]:
    """{run: its speed, and the minutes until it was as good as every one of them became at its best}.

    What a run's record does not say is left out.
    """
    bests = {name: _best(record) for name, record in records.items()}
    kinds = {(record.figure, record.falls) for record in records.values()}
    known = [best for best in bests.values() if best is not None]
    target = None
    if len(kinds) == 1 and len(known) == len(records):
        target = max(known) if next(iter(kinds))[1] else min(known)
    found = {}
    for name, record in records.items():
        own: dict[str, Any] = {}
        if record.minutes:
            own = {"steps": record.steps, "minutes": record.minutes}
            own["steps_per_second"] = record.steps / record.minutes / 60
        if record.minutes and target is not None:
            own |= {"figure": record.figure, "target": target, "minutes_to_target": _reached(record, target)}
        found[name] = own
    return found


def _best(record: Record) -> float | None:
    values = [value for _, value in record.looks]
    return (min if record.falls else max)(values, default=None)


def _reached(record: Record, target: float) -> float:
    return next(took for took, value in record.looks if (value <= target if record.falls else value >= target))


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a record: a kill may have torn one."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
