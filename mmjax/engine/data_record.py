"""What a run knows of its data: fingerprints, saved when it begins and compared whenever it opens its data again.

`data.json` holds them by split and field, and what was accepted since; `data.npz` the names and each example's digest,
from which a difference is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmjax import workdir as files
from mmjax.data import fingerprints, spec
from mmjax.data.fingerprints import Print
from mmjax.engine import data_changes as changes
from mmjax.engine.data_changes import Record, Split
from mmjax.errors import UserError

CHOICES = ("refuse", "accept")


def of(source: Any, fields: Sequence[str]) -> Split:
    """What is to be known of a source that has these fields."""
    return Split(len(source), fingerprints.of(source, fields))


def digits(record: Record) -> str:
    """Hexadecimal digits of all that a record says."""
    prints = {
        f"{name} {field}": (own.content, own.meanings)
        for name, split in record.items()
        for field, own in split.fields.items()
    }
    return fingerprints.whole({name: split.examples for name, split in record.items()}, prints).content


def check(workdir: Path, now: Record, accept: bool) -> tuple[list[str], list[str]]:
    """Compares the data with what the run began with.

    Args:
      workdir: of a run that has saved something.
      now: what was opened.
      accept: whether the examples may have changed.

    Returns:
      (what changed, lines for the user).

    Raises:
      UserError: the examples changed and this was not accepted, or what they mean changed; it names the difference.
    """
    before = read(workdir)
    if before is None:
        return [], [
            f"note: {workdir} is from before runs kept fingerprints of their data: whether it has changed since cannot "
            "be told; from now on it can",
            *(
                f"note: the data differs from what the run was trained on: {line}"
                for line in _by_constants(files.read_arrays(workdir / files.CONSTANTS), now)
            ),
        ]
    meanings, examples = changes.differences(before, now)
    if meanings:
        raise UserError(
            f"--workdir={workdir}: its data does not mean what it meant when the run began: {'; '.join(meanings)}. "
            "Give the data as it was, or choose another --workdir"
        )
    if examples and not accept:
        raise UserError(
            f"--workdir={workdir}: its data has changed since the run began: {'; '.join(examples)}. Give the data as "
            "it was, choose another --workdir, or go on with --config.data_changed=accept"
        )
    return examples, [f"note: the data has changed, as accepted: {line}" for line in examples]


def compare(before: Record, kept: Mapping[str, Any], source: Any, fields: Sequence[str], split: str = "") -> list[str]:
    """How a source differs from the split of a run, whose constants are `kept` and fields `fields`, see `Restored`."""
    if split and before and split not in before:
        raise UserError(f"the run knows no split {split!r}: it has {', '.join(before)}")
    now = of(source, fields)
    meanings = changes.other_meanings(before, dict.fromkeys(before, now)) or _by_constants(kept, {split: now})
    if meanings:
        raise UserError(f"this data does not mean what the run's meant: {'; '.join(meanings)}")
    return changes.changed(split, before[split], now) if split in before else []


def check_folds(workdir: Path, now: Record, accept: bool) -> list[str]:
    """Compares the data of a fold that begins with that of the folds of its cross-validation that are there.

    Each fold has other splits of the same data: what its numbers mean is compared, and all splits together. Arguments
    and errors are those of `check`.

    Returns:
      Lines for the user.
    """
    known = [(fold, record) for fold in files.other_folds(workdir) if (record := read(fold)) is not None]
    for fold, before in known[:1]:
        if meanings := changes.other_meanings(before, now):
            raise UserError(
                f"--workdir={workdir.parent}: the data does not mean what it meant in {fold.name}: "
                f"{'; '.join(meanings)}. Give the data as it was, or choose another --workdir"
            )
        if changed := changes.changed_in_all(before, now):
            if not accept:
                raise UserError(
                    f"--workdir={workdir.parent}: the data has changed since {fold.name}, and the mean would be of "
                    f"both: {changed}. Give the data as it was, choose another --workdir, or go on with "
                    "--config.data_changed=accept"
                )
            return [f"note: the data has changed since {fold.name}, as accepted: {changed}"]
    return []


def _by_constants(kept: Mapping[str, Any], now: Record) -> list[str]:
    """What the names that a run always kept tell of its data."""
    lines: list[str] = []
    for split in now.values():
        for field, own in split.fields.items():
            spelt = kept.get(f"{field}_names", kept.get(f"{changes.stem(field)}_vocabulary"))
            if own.meanings and spelt is not None and (old := spec.unspelt(spelt)) != own.meanings:
                lines += changes.meant(field, old, own.meanings)
    return list(dict.fromkeys(lines))


# -- the files --------------------------------------------------------------------------------------------------------


def write(workdir: Path, now: Record, step: int = 0, changed: Iterable[str] = ()) -> None:
    """Saves what is known of the data; where it changed at `step`, what was known before stays in the record."""
    path = workdir / files.DATA
    old = files.read_json(path) or {}
    history = list(old.get("before", ())) if step else []
    if changed:
        history.append({"until_step": step, "changed": list(changed), "splits": old.get("splits", {})})
    arrays: dict[str, np.ndarray] = {}
    splits: dict[str, Any] = {}
    for name, split in now.items():
        fields = {}
        for field, own in split.fields.items():
            fields[field] = {"content": own.content}
            if own.meanings:
                fields[field]["meanings"] = changes.digits(own.meanings)
                letters = "\0".join(own.meanings).encode("utf-8", "surrogateescape")
                arrays[f"{name}/{field}/meanings"] = np.frombuffer(letters, np.uint8)
            if own.examples is not None:
                arrays[f"{name}/{field}/examples"] = own.examples
        splits[name] = {"examples": split.examples, "fields": fields}
    files.write_arrays(workdir / files.DATA_DETAILS, arrays)
    files.write_json(path, {"splits": splits, "before": history})


def read(workdir: Path) -> Record | None:
    """What a run knew of its data; None where it kept nothing."""
    raw = files.read_json(workdir / files.DATA)
    if raw is None:
        return None
    arrays = files.read_arrays(workdir / files.DATA_DETAILS)
    try:
        return {
            name: Split(int(own["examples"]), dict(_fields(name, own, arrays))) for name, own in raw["splits"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{workdir / files.DATA} is damaged: {type(error).__name__} {error}") from None


def _fields(split: str, raw: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Print]]:
    for field, own in raw["fields"].items():
        spelt = arrays.get(f"{split}/{field}/meanings")
        meanings = () if spelt is None else tuple(spelt.tobytes().decode("utf-8", "surrogateescape").split("\0"))
        if "meanings" in own and changes.digits(meanings) != own["meanings"]:
            meanings = (own["meanings"],)  # the names are missing, or of another moment
        examples = arrays.get(f"{split}/{field}/examples")
        if examples is not None and not own["content"].startswith(fingerprints.of_digests(examples).content):
            examples = None
        yield field, Print(own["content"], meanings, examples)
