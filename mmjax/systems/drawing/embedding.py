"""The joint embedding of pictures and sentences that is trained beside the game: its loss."""

from __future__ import annotations

from typing import Any

from jax import numpy as jnp
from jaxtyping import Array

from mmjax.errors import UserError
from mmjax.losses import contrastive, metric
from mmjax.ops import alike, captions, collective
from mmjax.ops.vectors import unit
from mmjax.systems.drawing import wrong_captions
from mmjax.systems.drawing.game import Negatives
from mmjax.systems.drawing.game_losses import Loss
from mmjax.systems.drawing.sentences import Encoders
from mmjax.task import Batch, Variables

LOSSES = ("contrastive", "triplet")


def check(name: str) -> None:
    """Raises UserError unless `loss` knows the name."""
    if name not in LOSSES:
        raise UserError(f"config.embedding.name is {name!r}: choose {' or '.join(map(repr, LOSSES))}")


def loss(
    encoders: Encoders,
    negatives: Negatives | None,
    variables: Variables,
    batch: Batch,
    key: Array,
    *,
    name: str,
    scale: float,
    margin: float,
) -> Loss:
    """The joint embedding's: which sentence belongs to which picture of the batch.

    Args:
      name: "contrastive", CLIP's loss at cosines times `scale`; or "triplet", the symmetric structured joint embedding
        of Reed et al. 2016 (CVPR), eq. 3: hinges over the batch on inner products, and their mean; it has no negatives.
      negatives: wrong captions beside those of other pictures, or None.
      scale, margin: see there; a margin of 1 in the official code.
    """
    seen, after = encoders.pictures(variables, batch["image"], train=True)
    texts = encoders.texts(variables, batch["caption_tokens"], batch["caption_tokens_length"])
    # Equal captions match, and so do captions of one picture.
    worded = captions.number_of(batch["caption_tokens"], collective.numbers(len(seen)))
    group = jnp.stack([worded, alike.number_of(batch["image"])], 1)
    if name == "contrastive":
        more: dict[str, Any] = {}
        if negatives is not None:
            made, more["foiled"] = negatives(variables, batch, collective.local_key(key))
            more["foils"] = unit(made)
        value = contrastive.clip(unit(seen), unit(texts), jnp.float32(scale), group, **more)
    else:
        value = metric.triplet(seen, texts, margin, "sum", group) / (len(seen) * collective.total(1))
    mean = jnp.mean(batch["image"].astype(jnp.float32), 0)
    old = variables["state"]
    new = {**old, "picture": after, "mean": old["mean"] + 0.01 * (mean - old["mean"])}
    if negatives is not None:
        new["together"] = wrong_captions.follow(variables, batch)
    return jnp.mean(value), (new, {})
