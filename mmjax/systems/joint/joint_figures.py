"""What a joint embedding is asked for: who finds whom, which class and which tags a picture has, how the clouds lie."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from mmjax.losses import joint, probabilistic
from mmjax.metrics import joint_space, prior, tagging
from mmjax.ops import alike, captions
from mmjax.ops.vectors import unit
from mmjax.systems.joint.joint_networks import FIELDS, Networks, captioned, fields_of, first, many_hot
from mmjax.task import Batch, Figures, Variables
from mmjax.text import vocabulary

SHARP = 20.0  # what cosines are multiplied by to be shown as probabilities: no figure depends on it
# Points of length 1 [b d], of all captions [b c d]; uncertainties [b] or [b c], or None.
Seen = dict[str, tuple[Float[Array, "b ... d"], Float[Array, "b ..."] | None]]


def seen_of(networks: Networks, variables: Variables, batch: Batch) -> Seen:
    """The points of those sides that the batch has."""
    seen: Seen = {}
    for side in networks.names:
        if FIELDS[side][0] not in batch:
            continue
        fields = fields_of(batch, side)
        shape = fields[0].shape[:2] if side == "caption" else fields[0].shape[:1]
        if side == "caption":
            fields = [fields[0].reshape(-1, fields[0].shape[-1]), fields[1].reshape(-1)]  # b c t -> bc t
        points, spread, _ = networks.embed(variables, side, *fields)
        unsure = None if spread is None else probabilistic.uncertainty(spread).reshape(shape)
        seen[side] = unit(points).reshape(*shape, -1), unsure
    return seen


def _one(side: str, value: Any) -> Any:
    """Of all captions the first."""
    return value[:, 0] if side == "caption" and value is not None else value


def metrics(networks: Networks, variables: Variables, batch: Batch) -> dict[str, tuple[Array, Array]]:
    """Whom of the batch each example finds first; classes named by prompts and by the classifier of both sides."""
    seen, valid = seen_of(networks, variables, batch), batch["valid"]
    figures: dict[str, tuple[Array, Array]] = {}
    if "caption" in seen:
        valid = valid & captioned(batch)
    count = jnp.sum(valid, dtype=jnp.float32)
    own = jnp.arange(len(valid), dtype=jnp.int32)
    numbers = {side: alike.number_among(fields_of(batch, side)[0], valid) for side in seen if side != "caption"}
    if "caption" in seen:
        numbers["caption"] = captions.number_of(batch["captions_tokens"][:, 0], own)
    for one, two in itertools.combinations(seen, 2):
        same = jnp.stack([numbers[one], numbers[two]], 1)
        a, b = joint_space.comparable(*((_one(side, seen[side][0]), _one(side, seen[side][1])) for side in (one, two)))
        scores = a @ b.T
        for name, found in ((f"{one}_to_{two}", scores), (f"{two}_to_{one}", scores.T)):
            hit, chance = joint_space.first_of_batch(found, same, valid)
            figures[f"{name}_batch_r@1"] = jnp.sum(hit, where=valid, dtype=jnp.float32), count
            figures[f"{name}_batch_r@1/chance"] = jnp.sum(chance, where=valid), count
    return {**figures, **_class_figures(networks, variables, batch, seen)}


def _class_figures(
    networks: Networks, variables: Variables, batch: Batch, seen: Seen
) -> dict[str, tuple[Array, Array]]:
    """How often a side's class is right: by the names in the prompts and, of recipe, by the classifier."""
    if not networks.label:
        return {}
    truth, figures = first(batch[networks.label]), {}
    judged = batch["valid"] & (truth >= 0)
    count = jnp.sum(judged, dtype=jnp.float32)
    common = prior.majority(variables["state"]["priors"]["label"])
    guesses, shared = {}, variables["params"]["embedding"]["shared"]
    if "caption" in networks.names:
        classes = networks.named(variables, networks.label)
        guesses = {f"zero_shot_{s}": _one(s, seen[s][0]) @ classes.T for s in seen if s != "caption"}
    if "classifier" in shared:
        guesses |= {f"class_of_{side}": joint.classify(shared, _one(side, seen[side][0])) for side in seen}
    for name, guess in guesses.items():
        figures[name] = jnp.sum(jnp.argmax(guess, -1) == truth, where=judged, dtype=jnp.float32), count
        figures[f"{name}/majority"] = jnp.sum(common == truth, where=judged, dtype=jnp.float32), count
    return figures


def predict(networks: Networks, variables: Variables, batch: Batch, key: Key[Array, ""]) -> dict[str, Array]:
    """Pictures and sounds, the points of all sides that the batch has, and how well each class and tag fits."""
    del key
    seen, out = seen_of(networks, variables, batch), {}
    if "image" in seen:
        out["image/picture"] = batch["image"]
    if "waveform" in seen:
        out["audio/sound"] = batch["waveform"]
    for side, (points, unsure) in seen.items():
        out[f"embedding/{side}"] = points
        if unsure is not None:
            out[f"number/uncertainty_{side}"] = unsure
    if "caption" in seen:
        tokens = batch["captions_tokens"]
        numbers = captions.number_of(tokens, jnp.zeros((1, 1), jnp.int32))
        numbers = jnp.where(jnp.any(tokens == vocabulary.UNK, -1), joint_space.ALONE, numbers)
        out["number/caption_ids"] = jnp.where(batch["captions_tokens_length"] > 0, numbers, -1)
    shown = next((side for side in seen if side != "caption"), None)
    if shown is None or "caption" not in networks.names:
        return out
    for field in filter(None, (networks.label, networks.tags)):
        fits = seen[shown][0] @ networks.named(variables, field).T
        if field == networks.tags:
            known = variables["state"]["priors"]["tags"]["mean"]
            out["number/tag_scores"] = fits
            out["number/tag_frequency"] = jnp.broadcast_to(known[None], fits.shape)
            if field in batch:
                out["number/tag_truth"] = many_hot(batch[field], fits.shape[1]) > 0
        if field == networks.label:
            out[f"scores/{field}"] = jax.nn.softmax(SHARP * fits)
            if field in batch:
                out[f"label/{field}_target"] = first(batch[field])
    return out


def score(
    sides: tuple[str, ...], predictions: Mapping[str, np.ndarray], references: Mapping[str, np.ndarray]
) -> Figures:
    """Retrieval among all examples for every two sides and both ways, tags both ways, and how the clouds lie."""
    del references
    seen = {side: (predictions[f"embedding/{side}"], predictions.get(f"number/uncertainty_{side}")) for side in sides}
    figures = joint_space.figures(seen, predictions.get("number/caption_ids"))
    if predictions.get("number/tag_truth", np.zeros(1)).any():
        fits, truth, frequency = (predictions[f"number/tag_{name}"] for name in ("scores", "truth", "frequency"))
        figures |= tagging.both_ways(fits, truth, frequency[0])
    return figures
