"""What a run knows of its data: fingerprints, saved when it begins and compared whenever it opens its data again.

`data.json` holds them by split and field, and what was accepted since; `data.npz` the names and each example's digest,
from which a difference is named.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmjax import workdir as files
from mmjax.data import fingerprints, spec
from mmjax.data.fingerprints import Print
from mmjax.errors import UserError

CHOICES = ("refuse", "accept")
SHOWN = 3  # of the names and numbers that differ


@dataclasses.dataclass(frozen=True)
class Split:
    """One split as a run saw it: how many examples, and {field: fingerprint}."""

    examples: int
    fields: Mapping[str, Print]


Record = Mapping[str, Split]  # by the name of the split


def of(source: Any, fields: Sequence[str]) -> Split:
    """What is to be known of a source that has these fields."""
    return Split(len(source), fingerprints.of(source, fields))


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
                for line in _by_constants(workdir, now)
            ),
        ]
    meanings, examples = differences(before, now)
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


def compare(before: Record, source: Any, split: str = "") -> list[str]:
    """How a source differs from the split of a run; any split will do for what its numbers mean, see `Restored`."""
    if split and before and split not in before:
        raise UserError(f"the run knows no split {split!r}: it has {', '.join(before)}")
    now = of(source, tuple(dict.fromkeys(field for there in before.values() for field in there.fields)))
    meanings = [line for name, there in before.items() for line in differences({name: there}, {name: now})[0]]
    if meanings:
        raise UserError(f"this data does not mean what the run's meant: {'; '.join(dict.fromkeys(meanings))}")
    return _changed(split, before[split], now) if split in before else []


def _by_constants(workdir: Path, now: Record) -> list[str]:
    """What the names that a run always kept tell of its data."""
    kept, lines = files.read_arrays(workdir / files.CONSTANTS), []
    for split in now.values():
        for field, own in split.fields.items():
            spelt = kept.get(f"{field}_names", kept.get(f"{_stem(field)}_vocabulary"))
            if own.meanings and spelt is not None and (old := spec.unspelt(spelt)) != own.meanings:
                lines += _meant(field, old, own.meanings)
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
                fields[field]["meanings"] = _hex(own.meanings)
                arrays[f"{name}/{field}/meanings"] = np.frombuffer(
                    "\0".join(own.meanings).encode("utf-8", "surrogateescape"), np.uint8
                )
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
        if _hex(meanings) != own.get("meanings", _hex(())):  # the details are missing, or of another moment
            meanings = (own["meanings"],)
        yield field, Print(own["content"], meanings, arrays.get(f"{split}/{field}/examples"))


def _hex(meanings: Iterable[str]) -> str:
    return fingerprints.whole(list(meanings)).content


# -- what differs -----------------------------------------------------------------------------------------------------


def differences(old: Record, new: Record) -> tuple[list[str], list[str]]:
    """(what means something else, which examples changed), in words; only splits and fields that both have."""
    meanings: list[str] = []
    examples: list[str] = []
    for name in (name for name in new if name in old):
        there, here = old[name], new[name]
        for field in (field for field in here.fields if field in there.fields):
            was, now = there.fields[field].meanings, here.fields[field].meanings
            if was != now and was != (_hex(now),):
                meanings += _meant(field, was, now)
        examples += _changed(name, there, here)
    if examples and (moved := _moved(old, new)):
        same, lines = moved
        (meanings if same else examples).extend(lines)
    return list(dict.fromkeys(meanings)), examples


def _stem(field: str) -> str:
    return {"captions_tokens": "caption"}.get(field, field.removesuffix("_tokens").removesuffix("_label"))


def _meant(field: str, old: Sequence[str], new: Sequence[str]) -> list[str]:
    """How the meanings of a field's numbers differ: "label 2 was 'dog', is 'cat'"."""
    words = field == "tokens" or field.endswith("_tokens")
    stem = "" if field == "tokens" else f"{_stem(field)} "
    one, several = ("word", "words") if words else ("class", "classes")
    where, number = (f"in the {stem}vocabulary", f"{stem}word") if words else (f"of {field}", field)
    lines = []
    if len(old) != len(new) or not words:
        come, gone = [x for x in new if x not in set(old)], [x for x in old if x not in set(new)]
        pairs = ((come, "more"), (gone, "fewer")) if len(come) != len(gone) else ()
        lines = [f"{len(x)} {one if len(x) == 1 else several} {how} {where}: {_listed(x)}" for x, how in pairs if x]
    other = [i for i, (was, now) in enumerate(zip(old, new, strict=False)) if was != now]
    shown = ", ".join(f"{number} {i} was {old[i]!r}, is {new[i]!r}" for i in other[:SHOWN])
    rest = f" (and {len(other) - SHOWN:,} others)" if len(other) > SHOWN else ""
    return [*lines, *([shown + rest] if other else ())]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")


def _changed(name: str, old: Split, new: Split) -> list[str]:
    """How the examples of a split differ, in at most one line."""
    fields = [f for f in new.fields if f in old.fields and new.fields[f].content != old.fields[f].content]
    more = new.examples - old.examples
    parts = [f"{_counted(abs(more))} {'more' if more > 0 else 'fewer'}"] if more else []
    others: dict[str, list[str]] = {}
    for field in fields:
        was, now = old.fields[field].examples, new.fields[field].examples
        if was is None or now is None:
            how = "" if more else "other content"
        else:
            come, gone = (sum(x.values()) for x in (_counter(now) - _counter(was), _counter(was) - _counter(now)))
            how = f"other in {_counted(min(come, gone))}" if min(come, gone) else "" if more else "in another order"
        others.setdefault(how, []).append(field)
    parts += [f"{', '.join(own)} {how}" for how, own in others.items() if how]
    return [f"{name}: {'; '.join(parts)}"] if parts else []


def _counted(number: int) -> str:
    return f"{number:,} example{'' if number == 1 else 's'}"


def _counter(values: np.ndarray) -> Counter[int]:
    return Counter(values.tolist())


def _moved(old: Record, new: Record) -> tuple[bool, list[str]] | None:
    """(whether all splits together hold what they held, which examples are in another split); None if none is."""
    names = [name for name in new if name in old]
    held = [record[name].fields for record in (old, new) for name in names]
    known = [{field for field, own in fields.items() if own.examples is not None} for fields in held]
    common = sorted(set.intersection(*known)) if known else []
    if not common:
        return None
    # An example is what all its fields say of it together.
    there, here = ({name: _rows(record[name], common) for name in names} for record in (old, new))
    lines = []
    for one in names:
        for other in names:
            left, come = there[one] - here[one], here[other] - there[other]
            if one != other and (count := sum((left & come).values())):
                lines.append(f"{_counted(count)} of {one} {'is' if count == 1 else 'are'} in {other} now")
    return (_total(there) == _total(here), lines) if lines else None


def _rows(split: Split, fields: Sequence[str]) -> Counter[Any]:
    columns = [own for field in fields if (own := split.fields[field].examples) is not None]
    return Counter(zip(*(column.tolist() for column in columns), strict=True))


def _total(parts: Mapping[str, Counter[Any]]) -> Counter[Any]:
    return sum(parts.values(), Counter())
