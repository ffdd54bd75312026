"""Predictions as rows of a table: what a network says in arrays, in the words and numbers that a user reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.text import vocabulary

Row = dict[str, Any]
Answer = tuple[Row, dict[str, np.ndarray]]  # what is said in words, and pictures, sounds and embeddings by their keys
Named = Mapping[str, Sequence[str]]
DIGITS = 4  # of a probability or cosine
MEDIA = ("image", "audio", "video", "embedding", "heatmap")  # what has no room in a row
LISTS = ("neighbours",)  # text/<name> that is several texts and not the words of one


def of(found: Mapping[str, np.ndarray], names: Named, rows: int, top: int = 1) -> list[Answer]:
    """The answers of the first rows of a batch.

    Args:
      found: {"kind/name": array [b ...]}, text as byte strings.
      names: {head: names of its classes}.
      rows: how many of b count.
      top: classes, or answers, that are given of each head, the likeliest first.

    Returns:
      Rows {column: text or number}, of a head `x`, `x_score`, `x_2`, `x_2_score`, ..., with their media; of a heatmap
      over a picture its largest value, `x_peak`, and where that is, `x_x` and `x_y` in 0..1 from the upper left.
    """
    columns: list[Row] = [{} for _ in range(rows)]
    for key, array in found.items():
        kind, _, name = key.partition("/")
        if kind == "scores":
            words = found.get(f"text/{name}")
            for i, row in enumerate(columns):
                row |= best(name, array[i], names.get(name, ()) if words is None else words[i], top)
        elif kind == "label":
            for i, row in enumerate(columns):
                row[name] = _name(names.get(name, ()), int(array[i]))
        elif kind == "number" and array.ndim == 1 and array.dtype.kind == "f":
            for i, row in enumerate(columns):
                row[name] = round(float(array[i]), DIGITS)
        elif kind == "heatmap":
            for i, row in enumerate(columns):
                row |= _peak(name, array[i])
        elif kind == "text" and f"scores/{name}" not in found:
            for i, row in enumerate(columns):
                row[name] = _said(name, array[i])
    media = {key: array for key, array in found.items() if key.partition("/")[0] in MEDIA}
    return [(row, {key: array[i] for key, array in media.items()}) for i, row in enumerate(columns)]


def best(name: str, scores: np.ndarray, names: Sequence[Any], top: int) -> Row:
    """The columns of the `top` highest scores of one example."""
    row: Row = {}
    for rank, at in enumerate(np.argsort(-scores, kind="stable")[:top], 1):
        column = name if rank == 1 else f"{name}_{rank}"
        row |= {column: _name(names, int(at)), f"{column}_score": round(float(scores[at]), DIGITS)}
    return row


def _peak(name: str, heat: np.ndarray) -> Row:
    down, along = np.unravel_index(int(np.argmax(heat)), heat.shape)
    places = {"x": (along + 0.5) / heat.shape[1], "y": (down + 0.5) / heat.shape[0], "peak": heat[down, along]}
    return {f"{name}_{key}": round(float(value), DIGITS) for key, value in places.items()}


def _name(names: Sequence[Any], number: int) -> str:
    """The name of a class, its number where it has none, "" where there is no class."""
    if not 0 <= number < len(names):
        return str(number) if number >= 0 else ""
    return _letters(names[number])


def _letters(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _said(name: str, value: Any) -> str | list[str]:
    """A text, the words of one put together, or several."""
    if np.ndim(value) == 0:
        return _letters(value)
    return [_letters(one) for one in value if one] if name in LISTS else vocabulary.join(value)
