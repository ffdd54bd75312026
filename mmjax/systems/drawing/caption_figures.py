"""Text to image in figures: do pictures show what their captions say, and how near do they come to real ones?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.metrics import colours, generation, named_classes
from mmjax.ops.vectors import unit
from mmjax.systems.drawing import judging, sentences
from mmjax.systems.drawing.game import Game
from mmjax.systems.drawing.judging import Judges
from mmjax.systems.drawing.sentences import Encoders
from mmjax.task import Batch, Figures, Variables

HEADS = {"object": "class", "colour": "colour"}  # of config.names, and what their figures are called


def metrics(game: Game, encoders: Encoders, judges: Judges, variables: Variables, batch: Batch) -> Figures:
    """What the recognition network sees of what the caption names, and the joint embedding's cosines."""
    frozen, valid, real = variables["frozen"], batch["valid"], batch["image"]
    condition = game.condition(variables, batch)
    drawn = game.sample(variables, jax.random.normal(jax.random.key(0), (len(condition), game.code)), condition)
    texts = unit(encoders.texts(variables, batch["caption_tokens"], batch["caption_tokens_length"]))
    own, theirs = (unit(x) for x in sentences.both_points(encoders, variables, drawn, real))
    both = valid & jnp.roll(valid, 1, 0)
    cosines = {
        "similarity": (jnp.sum(own * texts, -1), valid),
        "similarity/shuffled_captions": (jnp.sum(own * jnp.roll(texts, 1, 0), -1), both),
        "similarity/real_pictures": (jnp.sum(theirs * texts, -1), valid),
    }
    figures = {k: (jnp.sum(v, where=w), jnp.sum(w, dtype=jnp.float32)) for k, (v, w) in cosines.items()}
    scores: dict[str, dict[str, Float[Array, "b c"]]] = {}
    if "object" in frozen["named"] and (seen := judging.layers(judges, variables, drawn, real)):
        scores["object"] = {which: layers["object"] for which, layers in zip(("drawn", "real"), seen, strict=True)}
    if "colour" in frozen["named"] and "fitted" in variables:
        planes = variables["fitted"]["colour"]
        scores["colour"] = {k: colours.scores(planes, x) for k, x in (("drawn", drawn), ("real", real))}
    return figures | _shown(scores, frozen["named"], batch, valid)


def _shown(scores: Any, words: Mapping[str, Array], batch: Batch, valid: Bool[Array, " b"]) -> Figures:
    """Whether pictures show what their captions name: of each head, and of both."""
    tokens = (batch["caption_tokens"], batch["caption_tokens_length"])
    wanted = {head: named_classes.named(*tokens, words[head]) for head in scores}
    counted = {head: jnp.any(rows, 1) for head, rows in wanted.items()}
    figures: Figures = {}
    for head in scores:
        one = ({head: scores[head]}, {head: wanted[head]}, counted[head], valid)
        figures |= named_classes.with_baselines(f"{HEADS[head]}_right", *one)
    if len(scores) == 2:
        where = counted["object"] & counted["colour"]
        figures |= named_classes.with_baselines("both_right", scores, wanted, where, valid)
    return figures


def observe(judges: Judges, variables: Variables, batch: Batch) -> dict[str, Array]:
    """What is measured with: colours of real pictures where they are known, and features of them."""
    found = judging.features(judges, variables, batch["image"])
    if "colours" in batch:
        found |= {"histogram": colours.histogram(batch["image"]), "colours": batch["colours"]}
    return found


def solve(classes: int, variables: Variables, observed: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The classifier of colours where there are `classes` of them, and the features as they are."""
    del variables
    fitted: dict[str, Any] = {k: rows for k, rows in observed.items() if k not in ("histogram", "colours")}
    if classes:
        fitted["colour"] = colours.fit(observed["histogram"], observed["colours"], classes)
    return fitted


def score(judges: Judges, predictions: Mapping[str, np.ndarray], references: Mapping[str, Any]) -> Figures:
    """R-precision by the joint embedding of this run, distances of the judges' features, diversity over codes."""
    del references
    figures: Figures = judging.figures(judges, predictions)
    tokens, text = predictions["number/tokens"], predictions["number/text"]
    same = np.all(tokens[:, None] == tokens[None], -1)
    if len(tokens) > 1:
        drawn, real = predictions["number/joint_drawn"], predictions["number/joint_real"]
        figures["r_precision"] = generation.retrieval_precision(drawn, text, same)
        figures["r_precision/chance"] = generation.chance_precision(same)
        figures["r_precision/real_pictures"] = generation.retrieval_precision(real, text, same)
    return figures
