"""Reads what a run left in its workdir, however incomplete: what is missing is empty, what is broken becomes a line."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmjax import predictions as glossary
from mmjax import workdir
from mmjax.errors import UserError

_NON_FINITE = ("nan", "inf", "-inf")
_SPLITS = ("test", "validation", "valid", "val", "eval", "train")


@dataclasses.dataclass(frozen=True)
class Metrics:
    """metrics.jsonl.

    Attributes:
      curves: {kind: {name: {step: value}}}, kinds "train" and "eval"; steps in increasing order.
      skipped: lines that could not be read (a killed run cuts its last line off).
      first, last: Unix seconds of the first and the last line; None where no line tells.
    """

    curves: Mapping[str, Mapping[str, Mapping[int, float]]]
    skipped: int = 0
    first: float | None = None
    last: float | None = None


@dataclasses.dataclass(frozen=True)
class Predictions:
    """predictions/<split>.npz with its json.

    Attributes:
      split: its name; empty where there are no predictions.
      arrays: {"kind/name": array with a leading example axis}.
      names: {head: class names}.
      sample_rate: of every "audio/..." array, in Hz.
      others: the splits that are stored but not shown.
    """

    split: str = ""
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    sample_rate: int = 22_050
    others: tuple[str, ...] = ()

    def get(self, key: str) -> np.ndarray | None:
        """The array of a key that somebody looks for, or None. Raises KeyError for a key that the glossary lacks."""
        glossary.meaning(key)
        return self.arrays.get(key)

    def of(self, kind: str) -> dict[str, np.ndarray]:
        """The arrays of one kind, by name without the kind, each reference right after what it is the reference of."""
        names = [key.removeprefix(f"{kind}/") for key in self.arrays if key.startswith(f"{kind}/")]
        stems = [name.removesuffix(glossary.TARGET) for name in names]
        names.sort(key=lambda name: (stems.index(name.removesuffix(glossary.TARGET)), name.endswith(glossary.TARGET)))
        return {name: self.arrays[f"{kind}/{name}"] for name in names}


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that the page is made of; `problems` are lines for the reader about files that could not be read."""

    path: Path = Path()
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    metrics: Metrics = dataclasses.field(default_factory=lambda: Metrics({}))
    results: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    status: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    predictions: Predictions = dataclasses.field(default_factory=Predictions)
    audit: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read(folder: str | Path) -> Run:
    """Reads the workdir `folder`; raises UserError where it is not a folder, and for nothing else."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UserError(f"{folder} is not a folder: give the workdir of a run, such as runs/soundnet")
    problems: list[str] = []
    results = _mapping(path / workdir.RESULTS, problems)
    return Run(
        path=path,
        config=_mapping(path / workdir.CONFIG, problems),
        metrics=_metrics(path / workdir.METRICS, problems),
        results=results,
        status=_mapping(path / workdir.STATUS, problems),
        predictions=_predictions(path / workdir.PREDICTIONS, str(results.get("split", "")), problems),
        audit=_mapping(path / workdir.AUDIT, problems),
        problems=tuple(problems),
    )


def numbers(values: object) -> dict[str, float]:
    """The entries of a mapping that are numbers; NaN and infinities stay (also as "nan", for strict JSON has none)."""
    if not isinstance(values, Mapping):
        return {}
    spelt = {key: float(v) if v in _NON_FINITE else v for key, v in values.items() if isinstance(v, str | int | float)}
    kept = {str(k): v for k, v in spelt.items() if not isinstance(v, bool | str)}
    return {name: float(value) for name, value in kept.items() if abs(value) < 1e300 or value - value != 0}


def baseline_of(name: str, names: Collection[str]) -> str | None:
    """The figure that `name` is a trivial baseline of ("r@1/chance" of "r@1"), or None."""
    figure, slash, _ = name.rpartition("/")
    return figure if slash and figure in names and figure not in ("loss", "grad_norm") else None


def _mapping(path: Path, problems: list[str]) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.name} could not be read: {error}")
        return {}
    if not isinstance(content, dict):
        problems.append(f"{path.name} holds no JSON object")
        return {}
    return content


def _metrics(path: Path, problems: list[str]) -> Metrics:
    if not path.exists():
        return Metrics({})
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        problems.append(f"{path.name} could not be read: {error}")
        return Metrics({})
    curves: dict[str, dict[str, dict[int, float]]] = {}
    skipped, times = 0, []
    for line in filter(str.strip, lines):
        record = _record(line)
        if record is None:
            skipped += 1
            continue
        step, kind, time, values = record
        times += [time] if time else []
        for name, value in values.items():
            curves.setdefault(kind, {}).setdefault(name, {})[step] = value  # after a resume the later line wins
    if skipped:
        problems.append(
            f"{path.name}: {skipped} unreadable {'line' if skipped == 1 else 'lines'} left out (a run cut off?)"
        )
    ordered = {kind: {name: dict(sorted(c.items())) for name, c in named.items()} for kind, named in curves.items()}
    return Metrics(ordered, skipped, *((min(times), max(times)) if times else (None, None)))


def _record(line: str) -> tuple[int, str, float, dict[str, float]] | None:
    try:
        record = json.loads(line)
        time = record.get("time") or 0.0
        return int(record["step"]), str(record["kind"]), float(time), numbers(record["values"])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _predictions(folder: Path, wanted: str, problems: list[str]) -> Predictions:
    splits = sorted(path.stem for path in folder.glob("*.npz"))
    if not splits:
        return Predictions()
    order = (wanted, *_SPLITS)
    split = min(splits, key=lambda name: (order.index(name) if name in order else len(order), name))
    described = _mapping(folder / f"{split}.json", problems)
    names = described.get("names")
    names = names if isinstance(names, dict) else {}
    rate = numbers(described).get("sample_rate", 0.0)
    return Predictions(
        split=split,
        arrays=_arrays(folder / f"{split}.npz", problems),
        names={head: tuple(map(str, listed)) for head, listed in names.items() if isinstance(listed, list)},
        sample_rate=int(rate) if 0 < rate < 1e6 else Predictions.sample_rate,
        others=tuple(name for name in splits if name != split),
    )


def _arrays(path: Path, problems: list[str]) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            for key in stored.files:
                _load(stored, key, arrays, problems)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        problems.append(f"{workdir.PREDICTIONS}/{path.name} could not be read: {error}")
    return arrays


def _load(stored: Any, key: str, arrays: dict[str, np.ndarray], problems: list[str]) -> None:
    try:
        array = stored[key]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        problems.append(f"{workdir.PREDICTIONS}: {key} could not be read: {error}")
        return
    if array.ndim and len(array):
        arrays[key] = array
