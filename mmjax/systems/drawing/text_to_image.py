"""Text to image: a generator and a discriminator that are given a sentence, as the vector of a text encoder.

Reed et al. 2016, "Generative Adversarial Text to Image Synthesis". The text encoder learns first in each step, beside
a network for pictures and by itself: no gradient of the game reaches it. A trained joint embedding may stand in its
place.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array
from ml_collections import ConfigDict

from mmjax.errors import UserError, section
from mmjax.judges import recogniser
from mmjax.systems.drawing import caption_figures, embedding, gallery, game_losses, judging, sentences, wrong_captions
from mmjax.systems.drawing import game as games
from mmjax.systems.drawing.game import Game
from mmjax.systems.drawing.judging import Judges
from mmjax.systems.drawing.sentences import Encoders
from mmjax.systems.drawing.wrong_captions import Exchange
from mmjax.task import Batch, Constants, Fit, Task, Update, Variables, bind
from mmjax.text import asking, vocabulary

CODES, STEPS = 4, 6  # pictures of one caption, and of one interpolation, in the report
Named = tuple[tuple[str, tuple[str, ...]], ...]  # (head, the names of its classes), ...


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, embedding, generator, discriminator, loss and names, and `code`."""
    with section("config.model", tokens="config.data.tokens.kind"):
        encoders = sentences.make(**config.model, tokens=config.data.tokens.kind)
    embedding.check(config.embedding.name)
    names = _names(config)
    many, exchange = wrong_captions.of(config)
    negatives = bind(wrong_captions.negatives, encoders, many) if many else None
    condition = bind(sentences.condition, encoders)
    game = games.make(config, condition, config.size, encoders.features, negatives)
    judges, notes = judging.chosen(config)
    heads = {head: len(classes) for head, classes in names}
    more = [field for field, wanted in (("colours", "colour" in heads), ("boxes", game.placed)) if wanted]
    measured = judges or "colour" in heads
    tokens = {"length": config.data.tokens.length, "align": "left", "rules": "unicode"}
    tokens |= {name: config.data.tokens[name] for name in tokens if name in config.data.tokens}
    return Task(
        fields=("image", "caption_tokens", "caption_tokens_length", *more),
        init=bind(init, game, encoders, names, exchange, config.size),
        fill=bind(fill, encoders, names, exchange),
        updates=(
            Update("text", bind(embedding.loss, encoders, negatives, **config.embedding)),
            *game_losses.updates(game, config.critic_steps),
        ),
        metrics=bind(caption_figures.metrics, game, encoders, judges),
        predict=bind(predict, game, encoders, judges),
        predicts_from=("caption_tokens", "caption_tokens_length"),
        answers=("image/generated",),
        score=bind(caption_figures.score, judges),
        fit=Fit(bind(caption_figures.observe, judges), bind(caption_figures.solve, heads.get("colour", 0)))
        if measured
        else None,
        modalities={"words": ("caption_tokens",)},
        judges=judges,
        ask=bind(ask, **tokens),
        notes=notes,
        warn=game_losses.warn,
        headline=("*fid", "r_precision", "*_right"),
    )


def _names(config: ConfigDict) -> Named:
    """config.names, of those heads that have any."""
    strange = [head for head in config.names if head not in caption_figures.HEADS]
    if strange:
        raise UserError(f"config.names.{strange[0]}: figures are known of {', '.join(caption_figures.HEADS)}")
    names = tuple((head, tuple(classes)) for head, classes in sorted(config.names.items()) if classes)
    if dict(names).get("object", recogniser.classes()) != recogniser.classes():
        raise UserError("config.names.object must be the classes of our recognition network, in its order, or ()")
    return names


def init(game: Game, encoders: Encoders, names: Named, exchange: Exchange, size: int, key: Array, batch: Batch) -> Any:
    """Fresh networks; frozen are the words of what can be named or exchanged, which `fill` looks up."""
    game.check(batch, size)
    of_text, of_picture, of_game = jax.random.split(key, 3)
    params, statistics, frozen = encoders.init(of_text, of_picture, batch)
    frozen["named"] = {head: jnp.full(len(classes), -1, jnp.int32) for head, classes in names}
    frozen |= {name: jnp.asarray(batch[name]) for name in ("caption_vocabulary", "caption_model") if name in batch}
    variables = {"params": {"text": params}, "state": {"picture": statistics}, "frozen": frozen}
    players, state = game.init(of_game, batch["image"], game.condition(variables, batch))
    state |= {"picture": statistics, "mean": jnp.full((size, size, 3), 127.5, jnp.float32)}
    if exchange:
        frozen["exchange"], state["together"] = wrong_captions.init(exchange)
    return {"params": {"text": params, **players}, "state": state, "frozen": frozen}


def fill(encoders: Encoders, names: Named, exchange: Exchange, variables: Variables, constants: Constants) -> Variables:
    """What is looked up in the vocabulary, and a text encoder from elsewhere."""
    spelled = constants["caption_vocabulary"]
    frozen = {**variables["frozen"], **encoders.fill(spelled)}
    frozen["named"] = {head: vocabulary.numbers_of(classes, spelled) for head, classes in names}
    if exchange:
        frozen["exchange"] = wrong_captions.fill(exchange, spelled)
    return {**variables, "frozen": frozen}


def predict(
    game: Game, encoders: Encoders, judges: Judges, variables: Variables, batch: Batch, key: Array
) -> dict[str, Array]:
    """A picture of each caption, several, and the ways between two captions and between two codes.

    Where the batch has pictures, as in all but notebooks, also those, and what the figures over the split are made of.
    """
    condition = game.condition(variables, batch)
    codes = jax.random.normal(key, (condition.shape[0], CODES + 1, game.code))
    drawn = gallery.several(game, variables, codes[:, :CODES], jnp.repeat(condition[:, None], CODES, 1))
    first, steady = codes[:, :1], jnp.repeat(condition[:, None], STEPS, 1)
    share = jnp.linspace(0.0, 1.0, STEPS).reshape(1, -1, 1)
    between = gallery.straight(condition, jnp.roll(condition, -1, 0), share)
    turned = gallery.along_the_sphere(first, codes[:, CODES:], share)
    # Apart from the pictures above, without which no figure is made: these are for the report's few examples alone.
    ways = gallery.several(
        game,
        variables,
        jnp.concatenate([jnp.repeat(first, STEPS, 1), turned], 1),
        jnp.concatenate([between, steady], 1),
    )
    out = {
        "image/generated": drawn[:, 0],
        "image/codes": gallery.strip(drawn),
        "image/between_captions": gallery.strip(ways[:, :STEPS]),
        "image/between_codes": gallery.strip(ways[:, STEPS:]),
        "text/caption_target": variables["frozen"]["caption_vocabulary"][batch["caption_tokens"]],
    }
    if "image" not in batch:
        return out
    own, theirs = sentences.both_points(encoders, variables, drawn[:, 0], batch["image"])
    out |= {
        "image/real": batch["image"],
        "number/tokens": batch["caption_tokens"],
        "number/text": encoders.texts(variables, batch["caption_tokens"], batch["caption_tokens_length"]),
        "number/joint_drawn": own,
        "number/joint_real": theirs,
    }
    return out | judging.compared(judges, variables, key, batch["image"], drawn[:, 0], drawn[:, 1])


def ask(
    text: str, variables: Variables, constants: Constants, *, length: int, align: str, rules: str
) -> tuple[Batch, tuple[str, ...]]:
    """A sentence as the batch of one example."""
    del constants  # those of runs from before they were kept are in `frozen`
    frozen = variables["frozen"]
    spelled, model = np.asarray(frozen["caption_vocabulary"]), frozen.get("caption_model")
    tokens, notes = asking.sentence(text, spelled, model, length, align, rules)
    count = np.array([np.sum(tokens != vocabulary.PAD)], np.int32)
    return {"caption_tokens": tokens[None], "caption_tokens_length": count}, notes
