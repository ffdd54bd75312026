"""Fingerprints of data, so that a run knows its data again: what a field of a split holds, and what its numbers mean.

A source offers `prints`, {field: Print}; `of` makes them of one that does not. They are of what the examples are, not
of where they lie: files that were copied, or touched, have the fingerprints that they had.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mmjax.data import spec

PROBES = 16  # examples that are read of a source without fingerprints
NOT_CONTENT = ("index",)  # the position of an example says nothing of it


@dataclasses.dataclass(frozen=True, eq=False)
class Print:
    """The fingerprint of one field of one split.

    Attributes:
      content: hexadecimal digits that change with the field of any example, and with the order of the examples.
      meanings: what the field's numbers mean, in order: names of classes, words. () where they mean themselves.
      examples: uint64 [n], a digest of each example's field; None where examples are not told apart.
    """

    content: str
    meanings: tuple[str, ...] = ()
    examples: np.ndarray | None = None


def whole(*parts: Any, meanings: Iterable[str] = ()) -> Print:
    """The fingerprint of a field that is told by JSON-serialisable parts: of what was downloaded, or is generated."""
    return Print(_hex(json.dumps(parts, sort_keys=True, default=str).encode()), tuple(meanings))


def each(values: Iterable[Any], meanings: Iterable[str] = ()) -> Print:
    """The fingerprint of a field by its value in each example, see `digest`."""
    return of_digests(np.fromiter(map(digest, values), np.uint64), meanings)


def of_digests(examples: np.ndarray, meanings: Iterable[str] = ()) -> Print:
    """The fingerprint of a field of which each example's digest is known."""
    return Print(_hex(np.ascontiguousarray(examples).tobytes()), tuple(meanings), examples)


def digest(value: Any) -> int:
    """64 bits of a text, bytes, a number, an array, or a list of them; a text and its UTF-8 bytes have the same."""
    state = hashlib.blake2b(digest_size=8)
    _feed(state, value)
    return int.from_bytes(state.digest(), "little")


def _feed(state: Any, value: Any) -> None:
    if isinstance(value, str | bytes):
        raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        state.update(b"text %d:" % len(raw))
        state.update(raw)
    elif isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        state.update(b"list %d:" % len(value))
        for part in value:
            _feed(state, part)
    else:
        array = np.ascontiguousarray(value)
        state.update(f"{array.dtype.str} {np.shape(value)}:".encode())
        state.update(array.data)


def _hex(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=8).hexdigest()


def names(source: Any, field: str) -> tuple[str, ...]:
    """The names of the classes of a field, where a source has them among its constants."""
    spelt = getattr(source, "constants", {}).get(f"{field}_names")
    return () if spelt is None else spec.unspelt(np.asarray(spelt))


def of(source: Any, fields: Sequence[str]) -> dict[str, Print]:
    """The fingerprint of each of the fields: the source's own, or else its length and PROBES of its examples."""
    asked = [field for field in fields if field not in NOT_CONTENT and not field.endswith("_length")]
    offered = dict(getattr(source, "prints", {}))
    found = {field: offered[field] for field in asked if field in offered}
    if lacking := [field for field in asked if field not in offered]:
        size = len(source)
        some = min(PROBES, size)
        probes = [source[position * size // some] for position in range(some)]
        for field in lacking:
            if all(field in example for example in probes):
                seen = [digest(example[field]) for example in probes]
                found[field] = whole(size, seen, meanings=names(source, field))
    return found
