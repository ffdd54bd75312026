"""What each modality of a batch says by itself: the batch without the others, and how sure the system then is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.balance import formulas
from mmjax.ops import collective
from mmjax.task import Batch, Task, Variables


def owner_of(plain: Task, batch: Batch) -> dict[str, str]:
    """{field of the batch: its modality}; features that were computed once are of their field's."""
    found = {}
    for modality, fields in plain.modalities.items():
        for name in batch:
            made = plain.features is not None and plain.features.field in fields
            if name in fields or (made and name.startswith(f"{plain.features.field}_")):  # type: ignore[union-attr]
                found[name] = modality
    return found


def without(plain: Task, batch: Batch, gone: Mapping[str, Any]) -> dict[str, Any]:
    """The batch with modalities blank, where `gone[modality]`, bool [b] or [], says so; lengths stay."""
    owner = owner_of(plain, batch)
    found = dict(batch)
    for name in (name for name in batch if owner.get(name) in gone and not name.endswith("_length")):
        mask = jnp.asarray(gone[owner[name]])
        mask = mask.reshape(mask.shape + (1,) * (jnp.ndim(batch[name]) - mask.ndim))
        found[name] = jnp.where(mask, jnp.zeros_like(batch[name]), batch[name])
    return found


def alone(plain: Task, batch: Batch, modality: str) -> dict[str, Any]:
    """The batch with every other modality blank."""
    return without(plain, batch, {m: jnp.bool_(True) for m in plain.modalities if m != modality})


def unimodal(
    plain: Task, variables: Variables, batch: Batch, modality: str
) -> tuple[Int[Array, " b"], Float[Array, "b c"]]:
    """The right class and what one modality says by itself: `Task.unimodal`, or the system with the others blank."""
    if plain.unimodal is not None:
        label, logits = plain.unimodal(variables, batch, modality)
    else:
        assert plain.distribution is not None
        label, told = plain.distribution(variables, alone(plain, batch, modality))
        logits = told[""]
    return label, logits


def certainties(plain: Task, variables: Variables, batch: Batch) -> Float[Array, " m"]:
    """The sum over the batch of the probability of the right class, by each modality alone; no gradient."""
    found = []
    for modality in plain.modalities:
        label, logits = unimodal(plain, variables, batch, modality)
        found.append(collective.mean(formulas.certainty(logits, label, label >= 0)))
    return jax.lax.stop_gradient(jnp.stack(found))
