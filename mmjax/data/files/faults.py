"""What is left out of a data set, and why: counted, named, and told in lines that stay short."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Fault:
    """A file or record that was left out, or used in part: which, what is wrong in a few words, and more."""

    path: str
    kind: str
    detail: str = ""


class Unusable(Exception):
    """A media file that cannot be used: `kind` is one of a few words, `detail` says more."""

    def __init__(self, kind: str, detail: str):
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail = kind, detail

    def __reduce__(self) -> tuple[Any, ...]:  # an exception with two arguments does not pickle by itself
        return Unusable, (self.kind, self.detail)


def by_path(faults: Iterable[Fault]) -> list[Fault]:
    """In the order of their names: child processes find them in another one each time."""
    return sorted(faults, key=lambda fault: fault.path)


def listed(faults: Iterable[Fault]) -> list[str]:
    """One line per kind of fault, with the names of the first."""
    by_kind: dict[str, list[str]] = collections.defaultdict(list)
    for fault in faults:
        by_kind[fault.kind].append(fault.path)
    return [
        f"{len(paths):,} {kind} ({', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''})"
        for kind, paths in sorted(by_kind.items())
    ]


def by_suffix(ignored: Mapping[str, int]) -> str:
    """Files that nobody asked for, as "12 .txt, 3 without a suffix", the most frequent first; "" for none."""
    ordered = sorted(ignored.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {suffix or 'without a suffix'}" for suffix, count in ordered)
