"""One to many: a picture has several captions and a question many pictures. Figures by how many an example has.

What has many right partners is harder to judge by one of them: a figure that falls with their number says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from mmjax.data import spec

LISTS = ("tags", "objects", "captions")  # fields that are read where the data set offers them
LEAST = 20  # examples of a row
SEARCHED = 100  # examples of a row of a figure that depends on how many others there are, such as R@1
EXACT = 5  # numbers up to it have rows of their own, larger ones share those up to the double


def numbers(columns: Mapping[str, Any], modalities: Mapping[str, Sequence[str]]) -> dict[str, Int[np.ndarray, " n"]]:
    """{what there may be several of: how many each example has}, without what all have the same number of.

    Args:
      columns: of all examples, {field: array [n ...]}.
      modalities: as of a Task.
    """
    found: dict[str, np.ndarray] = {}
    for field in columns:
        kind = spec.FIELDS.get(field)
        axes = kind.shape.split() if kind else []
        if f"{field}_length" in columns and axes[:1] == ["c"]:
            found[field.removesuffix("_tokens")] = np.sum(np.asarray(columns[f"{field}_length"]) > 0, 1)
        elif kind and kind.dtype == "int32" and axes == ["n"]:
            found[field] = np.sum(np.asarray(columns[field]) >= 0, 1)
        elif kind and kind.dtype == "str" and axes == ["c"]:
            found[field] = np.array([sum(text != "" for text in several) for several in columns[field]])
    for modality, fields in modalities.items():
        found[f"examples with the same {modality}"] = _sharing([np.asarray(columns[f]) for f in fields if f in columns])
    return {name: number for name, number in found.items() if len(number) and (number != number[0]).any()}


def _sharing(columns: Sequence[np.ndarray]) -> np.ndarray:
    """How many examples have the very same values, itself among them."""
    if not columns:
        return np.zeros(0, int)
    keys = [b"".join(np.ascontiguousarray(c[i]).tobytes() for c in columns) for i in range(len(columns[0]))]
    count: dict[bytes, int] = {}
    for key in keys:
        count[key] = count.get(key, 0) + 1
    return np.array([count[key] for key in keys])


def rows(number: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
    """{"3", or "6 to 10": which examples}, ascending, without rows of fewer than LEAST examples."""
    bounds = [(k, k) for k in range(EXACT + 1)]
    while bounds[-1][1] < number.max(initial=0):
        low = bounds[-1][1] + 1
        bounds.append((low, 2 * (low - 1)))
    found = {}
    for low, high in bounds:
        at = (number >= low) & (number <= high)
        if at.sum() >= LEAST:
            found[str(low) if low == high else f"{low} to {high}"] = at
    return found


def alike(rows: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """The same of as many examples each, drawn by lot, without rows of fewer than SEARCHED.

    Whoever is looked for among fewer is found more easily: R@1 of few examples and of many are not to be compared.
    """
    kept = {name: np.flatnonzero(at) for name, at in rows.items() if at.sum() >= SEARCHED}
    least = min(map(len, kept.values()), default=0)
    rng = np.random.default_rng(seed)
    found = {}
    for name, at in kept.items():
        found[name] = np.zeros(len(rows[name]), bool)
        found[name][rng.choice(at, least, replace=False)] = True
    return found
