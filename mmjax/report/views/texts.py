"""Stored text as Python's."""

from __future__ import annotations


def plain(entry: object) -> str:
    """An entry of a text array, bytes of UTF-8 or a string, as a string."""
    return entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry)
