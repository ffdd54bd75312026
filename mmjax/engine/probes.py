"""Modality probes: what is a figure worth without one of its modalities?

A probe is a function batch -> batch that destroys one field, or all fields of one modality, and leaves the rest. A
figure that does not fall under a probe was not earned by it (the course's first warning; Gat et al. 2021, "Perceptual
Score").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mmjax.errors import UserError
from mmjax.task import Batch

Probe = Callable[[Batch, int], Batch]


def make(text: str, modalities: Mapping[str, tuple[str, ...]] | None = None) -> Probe:
    """A probe from its name in a config: "blank:image", "shuffle:question"; or "blank:picture" of a modality.

    Args:
      text: its kind, and a field or a modality of the task. A name that is both is the modality.
      modalities: `Task.modalities`.

    Raises:
      UserError: the name is not of that form.
    """
    kind, _, name = text.partition(":")
    if kind not in _KINDS or not name:
        raise UserError(f"probe {text!r} is unknown: write blank:<field or modality> or shuffle:<field or modality>")
    fields = (modalities or {}).get(name, (name,))

    def probe(batch: Batch, seed: int) -> Batch:
        missing = [field for field in fields if field not in batch]
        if missing:
            raise UserError(f"probe {text!r}: the batch has no {missing[0]}; it has {', '.join(sorted(batch))}")
        return _KINDS[kind](batch, fields, seed)

    return probe


def blank(batch: Batch, fields: tuple[str, ...], seed: int) -> Batch:
    """Replaces fields by zeros (black, silence, padding) or, for text, by the empty string; lengths stay."""
    del seed
    values = {field: np.asarray(batch[field]) for field in fields if not field.endswith("_length")}
    empty = {k: np.full_like(v, "") if v.dtype.kind in "OU" else np.zeros_like(v) for k, v in values.items()}
    return {**batch, **empty}


def shuffle(batch: Batch, fields: tuple[str, ...], seed: int) -> Batch:
    """Gives every valid example another example's fields, all of one example: the same values, no link to the rest.

    A random cyclic shift of a random order: no example keeps its own (unless it is alone).
    """
    valid = np.flatnonzero(np.asarray(batch["valid"]))
    order = np.random.default_rng(seed).permutation(valid)
    moved = {}
    for name in (*fields, *(f"{field}_length" for field in fields)):
        if name in batch:
            moved[name] = np.array(batch[name])
            moved[name][order] = np.asarray(batch[name])[np.roll(order, 1)]
    return {**batch, **moved}


_KINDS = {"blank": blank, "shuffle": shuffle}
