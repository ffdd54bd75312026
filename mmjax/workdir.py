"""The files of a workdir, by name, and how JSON is written so that a kill never leaves half a file."""

from __future__ import annotations

import contextlib
import csv
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.errors import UserError

LOCK = ".lock"  # held by the process that runs here
CONFIG = "config.json"  # from here on the workdir belongs to this config
BATCH = "batch.json"  # {field: [dtype, batch, size, ...]}: the shapes that the networks were made for
CONSTANTS = "constants.npz"  # what belongs to the data set as a whole: vocabularies, names of classes
DATA = "data.json"  # fingerprints of the data, by split and field, and which changes of it were accepted
DATA_DETAILS = "data.npz"  # of these: names, and a digest of each example
MIXTURES = "mixtures"  # <split>.csv: which clips of a held-out split are mixed with each other
NAMES = "names.json"  # {head: names of its classes}
STATUS = "status.json"  # running, stopped, failed or done, and the command
METRICS = "metrics.jsonl"  # a line for each record of training and evaluation
RESULTS = "results.json"  # the final figures
AUDIT = "audit.json"  # which modality carries the figures: `mmjax audit`
AUDITED = "audit"  # runs that `mmjax audit` makes: of one modality alone, of other seeds
PREDICTIONS = "predictions"  # <split>.npz, and <split>.json with class names and sample rate
CHECKPOINTS = "checkpoints"  # <step>/ of Orbax: the newest two and the best
FROZEN = "frozen"  # weights that never change, of Orbax
FITTED = "fitted"  # <step>/ of Orbax: what was solved after that step
FEATURES = "features"  # <digest>/ of what a frozen network makes of the training split; may be removed at any time
TENSORBOARD = "tensorboard"
REPORT = "report.html"


def fold(workdir: Path, number: int) -> Path:
    """The workdir of one fold of a cross-validation, from 1."""
    return workdir / f"fold{number}"


def other_folds(workdir: Path) -> list[Path]:
    """The workdirs of a cross-validation beside that of one of its folds; [] where it is no fold's."""
    if not workdir.name.startswith("fold") or not (workdir.parent / LOCK).exists():
        return []
    return sorted(path for path in workdir.parent.glob("fold*") if path.name != workdir.name)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Names the file in an OSError from inside: a disk that fills up while a file is written does not say which."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically: a reader, or a kill, never meets half a file."""
    part = path.with_suffix(".part")
    with writing(path):
        part.write_text(json.dumps(content, indent=2, default=_plain) + "\n")
        part.replace(path)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows that have the same columns as CSV, atomically."""
    part = path.with_suffix(".part")
    with writing(path):
        with part.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        part.replace(path)


def read_json(path: Path) -> Any:
    """The content of a JSON file, or None if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as .npz, atomically."""
    part = path.with_suffix(".part")
    with writing(path):
        with part.open("wb") as file:
            np.savez_compressed(file, **dict(arrays))  # type: ignore[arg-type]
        part.replace(path)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file; {} where there is none. Raises UserError where it is damaged."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged: {error}") from None


def write_predictions(workdir: Path, split: str, predictions: Mapping[str, np.ndarray], about: dict[str, Any]) -> None:
    """Writes predictions/<split>.npz and, beside it, class names and sample rate as JSON."""
    folder = workdir / PREDICTIONS
    folder.mkdir(exist_ok=True)
    write_arrays(folder / f"{split}.npz", predictions)
    write_json(folder / f"{split}.json", about)
