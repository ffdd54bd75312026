"""What is put in the place of a modality that is taken away. It changes the answer, so all of them are asked.

* blank: nothing: black, silence, padding (`engine.probes.blank`);
* mean: what the validation split shows on the average; of words and classes the commonest at each place;
* other: another example's, so that everything is as it ever is, but for what belongs together;
* class: another example's of the same class, which takes away what is more than the class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from mmjax.data import spec
from mmjax.engine import probes

Columns = Mapping[str, Any]  # {field: array [n ...]} of all examples of a split
KINDS = {
    "other": "another example's",
    "class": "another example's of the same class",
    "mean": "the mean",
    "blank": "blank",
}
ONE = ("mean", "blank")  # the same for all examples


def groups(fields: Sequence[str], modalities: Mapping[str, Sequence[str]]) -> list[str]:
    """The fields that tell the class of an example: a number each, and no part of what goes in."""
    given = {field for several in modalities.values() for field in several}
    whole = (f for f in fields if f in spec.FIELDS and f not in given and f != "index")
    return [f for f in whole if (spec.FIELDS[f].dtype, spec.FIELDS[f].shape) == ("int32", "")]


def donors(label: Int[np.ndarray, " n"], seed: int) -> Int[np.ndarray, " n"]:
    """For each example another one of its class, drawn at random: each gives once.

    Those that are alone in their class are given each other's.
    """
    order = np.random.default_rng(seed).permutation(len(label))
    names, own, count = np.unique(label, return_inverse=True, return_counts=True)
    own = np.where(count[own] > 1, own, len(names))
    order = order[np.argsort(own[order], kind="stable")]
    found = np.empty(len(label), int)
    for some in np.split(order, np.flatnonzero(np.diff(own[order])) + 1):
        found[some] = np.roll(some, 1)
    return found


def mean(values: np.ndarray) -> np.ndarray:
    """One row for all [1 ...]: the mean of pictures and sounds, the commonest number at each place of anything else."""
    if values.dtype.kind == "f" or values.dtype in (np.uint8, np.int16):
        middle = values.mean(0, keepdims=True, dtype=np.float64)
        return (middle if values.dtype.kind == "f" else np.round(middle)).astype(values.dtype)
    flat = values.reshape(len(values), -1)
    common = [found[np.argmax(count)] for found, count in (np.unique(c, return_counts=True) for c in flat.T)]
    return np.array(common, values.dtype).reshape(1, *values.shape[1:])


def replaced(
    columns: Columns, fields: Sequence[str], kind: str, known: Columns, group: str = "", seed: int = 0
) -> dict[str, Any]:
    """The examples with the fields of one modality replaced; all else is the same object.

    Args:
      columns: of the split that is audited.
      fields: of the modality.
      kind: of KINDS.
      known: columns of the split that means are taken from.
      group: the field that tells the class, for "class".
      seed: of what is drawn.
    """
    if kind == "blank":
        return dict(probes.blank(columns, tuple(fields), seed))
    several = [name for field in fields for name in (field, f"{field}_length") if name in columns]
    if kind == "mean":
        n = len(columns[several[0]])
        return {**columns, **{name: np.repeat(mean(np.asarray(known[name])), n, 0) for name in several}}
    n = len(columns[several[0]])
    at = donors(np.asarray(columns[group]) if kind == "class" else np.zeros(n, int), seed)
    return {**columns, **{name: np.asarray(columns[name])[at] for name in several}}
