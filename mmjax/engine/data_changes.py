"""How the data of a run differs from what it was, in words: what its numbers mean, and its examples."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.data import fingerprints
from mmjax.data.fingerprints import Print

SHOWN = 3  # of the names and numbers that differ


@dataclasses.dataclass(frozen=True)
class Split:
    """One split as a run saw it: how many examples, and {field: fingerprint}."""

    examples: int
    fields: Mapping[str, Print]


Record = Mapping[str, Split]  # by the name of the split


def differences(old: Record, new: Record) -> tuple[list[str], list[str]]:
    """(what means something else, which examples changed), in words; only splits and fields that both have."""
    meanings = other_meanings(old, new)
    examples = [line for name in new if name in old for line in changed(name, old[name], new[name])]
    if examples and (moved := _moved(old, new)):
        same, lines = moved
        (meanings if same else examples).extend(lines)
    return meanings, examples


def other_meanings(old: Record, new: Record) -> list[str]:
    """Which numbers mean something else, of fields that have meanings in both."""
    lines: list[str] = []
    for there, here in ((old[name], new[name]) for name in new if name in old):
        for field in (field for field in here.fields if field in there.fields):
            was, now = there.fields[field].meanings, here.fields[field].meanings
            if was and now and was != now and was != (digits(now),):
                lines += meant(field, was, now)
    return list(dict.fromkeys(lines))


def stem(field: str) -> str:
    """ "caption_tokens" and "captions_tokens" -> "caption", "answer_label" -> "answer"."""
    return {"captions_tokens": "caption"}.get(field, field.removesuffix("_tokens").removesuffix("_label"))


def meant(field: str, old: Sequence[str], new: Sequence[str]) -> list[str]:
    """How the meanings of a field's numbers differ: "label 2 was 'dog', is 'cat'"."""
    words = field == "tokens" or field.endswith("_tokens")
    own = "" if field == "tokens" else f"{stem(field)} "
    one, several = ("word", "words") if words else ("class", "classes")
    where, number = (f"in the {own}vocabulary", f"{own}word") if words else (f"of {field}", field)
    lines = []
    if len(old) != len(new):
        there, here = set(old), set(new)
        come, gone = [x for x in new if x not in there], [x for x in old if x not in here]
        pairs = ((come, "more"), (gone, "fewer"))
        lines = [f"{len(x):,} {one if len(x) == 1 else several} {how} {where}: {_listed(x)}" for x, how in pairs if x]
    other = [i for i, (was, now) in enumerate(zip(old, new, strict=False)) if was != now]
    shown = ", ".join(f"{number} {i} was {old[i]!r}, is {new[i]!r}" for i in other[:SHOWN])
    rest = f" (and {len(other) - SHOWN:,} others)" if len(other) > SHOWN else ""
    return [*lines, *([shown + rest] if other else ())]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")


def changed(name: str, old: Split, new: Split) -> list[str]:
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
    common = _told_apart({name: old[name] for name in names}, {name: new[name] for name in names})
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


def _told_apart(*records: Record) -> list[str]:
    """The fields that tell the examples of every split apart."""
    held = [split.fields for record in records for split in record.values()]
    known = [{field for field, own in fields.items() if own.examples is not None} for fields in held]
    return sorted(set.intersection(*known)) if known else []


def _rows(split: Split, fields: Sequence[str]) -> Counter[Any]:
    columns = [own for field in fields if (own := split.fields[field].examples) is not None]
    return Counter(zip(*(column.tolist() for column in columns), strict=True))


def _total(parts: Mapping[str, Counter[Any]]) -> Counter[Any]:
    return sum(parts.values(), Counter())


def changed_in_all(old: Record, new: Record) -> str:
    """How all splits together differ, where their examples are told apart; "" where they do not."""
    common = _told_apart(old, new)
    if not common:
        return ""
    there, here = (_total({name: _rows(split, common) for name, split in record.items()}) for record in (old, new))
    come, gone = sum((here - there).values()), sum((there - here).values())
    parts = [f"{_counted(count)} {how}" for count, how in ((come, "new"), (gone, "gone")) if count]
    return " and ".join(parts)


def digits(meanings: Iterable[str]) -> str:
    """Hexadecimal digits of what the numbers of a field mean."""
    return fingerprints.whole(list(meanings)).content
