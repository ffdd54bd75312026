"""Symbols that are spoken, typed by a user: letters, or names of units with spaces between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mmjax.errors import UserError

SHOWN = 60  # names in a message


def spelt(names: Iterable[str]) -> np.ndarray:
    """Names as an array for the `constants` of a source ("label_names"): UTF-8, uint8 [n letters], zeros at the end."""
    spelling = np.array([name.encode() for name in names])
    return spelling.view(np.uint8).reshape(len(spelling), -1)


def names(spelled: np.ndarray) -> tuple[str, ...]:
    """The names in uint8 [n letters], zeros at the end; () where all are empty: such symbols have numbers only."""
    spelled = np.ascontiguousarray(spelled)
    found = tuple(bytes(row).rstrip(b"\0").decode("utf-8", "replace") for row in spelled)
    return found if any(found) else ()


def numbers(text: str, names: Sequence[str], count: int) -> list[int]:
    """The numbers of what was typed.

    Args:
      text: where every name is one letter, text in any case, whose unknown letters are refused; else names or numbers
        of symbols, with spaces between.
      names: of the symbols; () where they have none.
      count: of the symbols.

    Raises:
      UserError: nothing was typed, or something that is no symbol, with what there is.
    """
    known = {name: number for number, name in enumerate(names)}
    letters = bool(names) and all(len(name) == 1 for name in names)
    if letters and not any(letter in known for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        text = text.lower()
    parts = list(text) if letters else text.split()
    found = []
    for part in parts:
        number = known.get(part, int(part) if not letters and part.isdecimal() and part.isascii() else -1)
        if not 0 <= number < count:
            offered = f": {' '.join(names[:SHOWN])}" if names else f": numbers, 0 to {count - 1}"
            raise UserError(f"{part!r} is no symbol of this run; it has {count}{offered}")
        found.append(number)
    if not found:
        raise UserError("nothing to say: type at least one symbol")
    return found
