"""Modality probes: what is a figure worth without one of its modalities?

A probe is a function batch -> batch that destroys one field and leaves the rest. A figure that does not fall under
a probe was not earned by that field (the course's first warning; Gat et al. 2021, "Perceptual Score").
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmjax.errors import UserError
from mmjax.task import Batch

Probe = Callable[[Batch, int], Batch]


def make(text: str) -> Probe:
    """A probe from its name in a config: "blank:image", "shuffle:question".

    Raises:
      UserError: the name is not of that form.
    """
    kind, _, field = text.partition(":")
    if kind not in _KINDS or not field:
        raise UserError(f"probe {text!r} is unknown: write blank:<field> or shuffle:<field>")

    def probe(batch: Batch, seed: int) -> Batch:
        if field not in batch:
            raise UserError(f"probe {text!r}: the batch has no {field}; it has {', '.join(sorted(batch))}")
        return _KINDS[kind](batch, field, seed)

    return probe


def blank(batch: Batch, field: str, seed: int) -> Batch:
    """Replaces a field by zeros (black, silence) or, for text, by the empty string."""
    del seed
    value = np.asarray(batch[field])
    nothing = np.full_like(value, "") if value.dtype.kind in "OU" else np.zeros_like(value)
    return {**batch, field: nothing}


def shuffle(batch: Batch, field: str, seed: int) -> Batch:
    """Gives every valid example another example's field: the same values, no link to the rest.

    A random cyclic shift of a random order: no example keeps its own (unless it is alone).
    """
    valid = np.flatnonzero(np.asarray(batch["valid"]))
    order = np.random.default_rng(seed).permutation(valid)
    moved = {}
    for name in (field, f"{field}_length"):
        if name in batch:
            moved[name] = np.array(batch[name])
            moved[name][order] = np.asarray(batch[name])[np.roll(order, 1)]
    return {**batch, **moved}


_KINDS = {"blank": blank, "shuffle": shuffle}
