"""What people say of words: pairs with a judged similarity, analogies; and the words that a reader wants to see."""

from __future__ import annotations

import difflib
import pathlib
import re
from collections.abc import Iterable, Sequence

import numpy as np

from mmjax.data.tokens.counting import Encoded
from mmjax.errors import UserError
from mmjax.text import tokenise

SHOWN = 2000  # words that a report can show at most

# Pairs of one kind (1) and of two kinds (0), of the words of the embedded text; see `kinds`.
WORD_KINDS: dict[str, tuple[str, ...]] = {
    "colour": ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink"),
    "thing": ("bell", "bird", "car", "clock", "dog", "drum", "flute", "guitar", "kettle", "phone", "robot", "train"),
    "sound": ("rings", "sings", "honks", "ticks", "barks", "booms", "pipes", "twangs", "whistles", "buzzes", "bleeps"),
    "scene": ("beach", "city", "forest", "kitchen", "meadow", "night", "snow", "water"),
    "place": ("left", "right", "middle"),
    "number": ("one", "two", "three"),
    "python type": ("list", "tuple", "dictionary", "string", "integer", "float"),
    "error": ("typeerror", "valueerror", "keyerror", "indexerror", "attributeerror"),
    "statement": ("while", "try", "except", "finally", "raise", "yield"),
    "part of a program": ("class", "function", "method", "module", "package"),
    "address": ("host", "port", "socket", "server", "client"),
    "file": ("file", "directory", "path", "filename"),
}


def kinds() -> list[tuple[str, str, float]]:
    """Every pair of the words of WORD_KINDS: 1 where both are of one kind, 0 otherwise."""
    words = [(word, kind) for kind, members in WORD_KINDS.items() for word in members]
    return [(a, b, float(x == y)) for i, (a, x) in enumerate(words) for b, y in words[i + 1 :]]


def shown(encoded: Encoded, first: Sequence[str]) -> np.ndarray:
    """The words to show, int32 [n]: `first`, then the most frequent others. Raises UserError for an unknown word."""
    numbers = _numbers(encoded, first)
    for word, number in zip(first, numbers):
        if number < 0:
            raise UserError(f"config.data.shown: {word!r} is not in the vocabulary{_like(word, encoded)}")
    rest = np.setdiff1d(np.arange(min(len(encoded.words), SHOWN)), numbers)
    return np.concatenate([np.array(numbers, np.int32), rest]).astype(np.int32)


def _numbers(encoded: Encoded, words: Iterable[str]) -> list[int]:
    """The number of each word as it stands, or else composed, or else in lower case; -1 for one that is unknown."""
    words = list(words)
    found = [encoded.numbers(words)]
    for form in (tokenise.composed, tokenise.lower):
        found.append(encoded.numbers(map(form, words)))
    return [next((number for number in several if number >= 0), -1) for several in zip(*found)]


def _like(word: str, encoded: Encoded) -> str:
    close = difflib.get_close_matches(word, encoded.words[:50_000], 3)
    return f"; did you mean {', '.join(close)}?" if close else f" of {len(encoded.words):,} words"


def pairs(encoded: Encoded, paths: Sequence[str]) -> dict[str, np.ndarray]:
    """{"pairs/<file>": int32 [n 2], "judged/<file>": float32 [n]}; words that are unknown are -1."""
    out = {}
    for path in paths:
        rows = kinds() if path == "" else _pair_file(path)
        name = pathlib.Path(path).stem if path else "kinds"
        first, second = (_numbers(encoded, (row[i] for row in rows)) for i in (0, 1))
        out[f"pairs/{name}"] = np.stack([first, second], 1).astype(np.int32)
        out[f"judged/{name}"] = np.array([row[2] for row in rows], np.float32)
    return out


def _pair_file(path: str) -> list[tuple[str, str, float]]:
    """Lines of two words and a value, as WordSim-353, SimLex-999, SimVerb-3500, MEN and Rare Words are published.

    Columns are set apart by tabs, commas, semicolons or spaces; one column, the part of speech, may stand before the
    value, and more behind it. Comments begin with #, the first lines without a number are headings. MEN's lemmas
    (sun-n) lose their tags.
    """
    lines = [_columns(line) for line in _lines(path, "pairs")]
    # A heading may have numbers, those of the judges: the last line says where the value is.
    at = 3 if lines and _value(lines[-1], 2) is None and _value(lines[-1], 3) is not None else 2
    rows = []
    for number, columns in enumerate(lines, 1):
        value = _value(columns, at)
        if value is not None:
            rows.append((columns[0], columns[1], value))
        elif rows or number > 3:
            told = " ".join(columns)[:60]
            raise UserError(f"{path}, line {number}: {told!r} is not 'word, word, number'")
    if not rows:
        raise UserError(f"{path} has no lines 'word<tab>word<tab>number'")
    if all(_TAGGED.fullmatch(word) for row in rows for word in row[:2]):
        rows = [(first[:-2], second[:-2], value) for first, second, value in rows]
    return rows


_TAGGED = re.compile(r".+-[nvjr]")


def _columns(line: str) -> list[str]:
    for parts in (line.split("\t"), re.split(r"[\t,;]", line)):
        if len(columns := [part.strip() for part in parts if part.strip()]) >= 3:
            return columns
    return line.split()


def _value(columns: Sequence[str], at: int) -> float | None:
    try:
        return float(columns[at])
    except (IndexError, ValueError):
        return None


def questions(encoded: Encoded, paths: Sequence[str]) -> dict[str, np.ndarray]:
    """{"questions/<file>": int32 [n 4]}; words that are unknown are -1."""
    out = {}
    for path in paths:
        rows = []
        for number, line in enumerate(_lines(path, "questions"), 1):
            if line.startswith(":"):
                continue  # the heading of a section
            four = line.split()
            if len(four) != 4:
                raise UserError(f"{path}, line {number}: {line[:60]!r} is not four words")
            rows.append(four)
        if not rows:
            raise UserError(f"{path} has no lines of four words")
        flat = _numbers(encoded, (word for row in rows for word in row))
        out[f"questions/{pathlib.Path(path).stem}"] = np.array(flat, np.int32).reshape(-1, 4)
    return out


def _lines(path: str, field: str) -> list[str]:
    try:
        text = pathlib.Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"config.data.{field}: {path} cannot be read: {reason}") from None
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
