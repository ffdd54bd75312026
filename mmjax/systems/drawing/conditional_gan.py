"""A picture of a class: a generator and a discriminator that are given which.

Mirza and Osindero 2014, "Conditional Generative Adversarial Nets", eq. 2, on convolutional networks: Radford et al.
2016 (DCGAN), with the class where GAN-CLS has its text. Theirs were perceptrons on vectors of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from mmjax.errors import UserError
from mmjax.judges import recogniser
from mmjax.metrics import named_classes, prior
from mmjax.systems.drawing import gallery, game_losses, judging
from mmjax.systems.drawing import game as games
from mmjax.systems.drawing.game import Game
from mmjax.systems.drawing.game_losses import Loss
from mmjax.systems.drawing.judging import Judges
from mmjax.task import Batch, Constants, Figures, Fit, Task, Variables, bind
from mmjax.text import asking, vocabulary

CODES = 4  # pictures of one class in the report


def build(config: ConfigDict) -> Task:
    """The task of a config with sections generator, discriminator and loss, and `size`, `code`, `classes`, `seen`."""
    names = recogniser.classes() if config.seen else ()
    if names and config.classes != len(names):
        raise UserError("config.seen: the classes must be those of our recognition network: set it to False")
    game = games.make(config, bind(condition, config.classes), config.size, config.classes)
    if game.rules.interpolate:
        raise UserError("config.loss.interpolate is of sentences: there is nothing between two classes; set it to 0")
    judges, notes = judging.chosen(config)
    return Task(
        fields=("image", "label", *(("boxes",) if game.placed else ())),
        init=bind(init, game, config.classes, config.size),
        updates=game_losses.updates(game, config.critic_steps, discriminator_loss),
        metrics=bind(metrics, game, judges, config.seen),
        predict=bind(predict, game, judges, config.seen),
        predicts_from=("label",),
        answers=("image/generated",),
        score=bind(score, judges),
        fit=Fit(bind(observe, judges), solve) if judges else None,
        modalities={"class": ("label",)},
        judges=judges,
        ask=bind(ask, names, config.classes),
        names={"class": names} if names else {},
        notes=notes,
        warn=game_losses.warn,
        headline=("*fid", "class_right"),
    )


def condition(classes: int, variables: Variables, batch: Batch) -> Float[Array, "b classes"]:
    """The class as a vector of 0 and 1."""
    del variables
    return jax.nn.one_hot(batch["label"], classes)


def init(game: Game, classes: int, size: int, key: Array, batch: Batch) -> Variables:
    """Fresh networks, the mean picture and the classes' shares."""
    game.check(batch, size)
    params, state = game.init(key, batch["image"], condition(classes, {}, batch))
    state |= {"mean": jnp.full((size, size, 3), 127.5, jnp.float32), "prior": prior.fresh(classes)}
    return {"params": params, "state": state, "frozen": {}}


def discriminator_loss(game: Game, variables: Variables, batch: Batch, key: Array) -> Loss:
    """The game's; the mean picture and the classes' shares follow for the baselines."""
    value, (state, logs) = game_losses.discriminator_loss(game, variables, batch, key)
    seen = jnp.mean(batch["image"].astype(jnp.float32), 0)
    known = prior.follow(state["prior"], game.condition(variables, batch))
    return value, ({**state, "mean": state["mean"] + 0.01 * (seen - state["mean"]), "prior": known}, logs)


def _draw(game: Game, variables: Variables, batch: Batch, key: Array, codes: int) -> UInt8[Array, "b codes h w 3"]:
    """Pictures of the examples' classes."""
    wanted = jnp.repeat(game.condition(variables, batch), codes, 0)
    drawn = game.sample(variables, jax.random.normal(key, (wanted.shape[0], game.code)), wanted)
    return drawn.reshape(-1, codes, *drawn.shape[1:])


def metrics(game: Game, judges: Judges, seen: bool, variables: Variables, batch: Batch) -> Figures:
    """Does the recognition network see the class? And the discriminator's verdict on drawn and on real pictures."""
    valid, real = batch["valid"], batch["image"]
    count = jnp.sum(valid, dtype=jnp.float32)
    drawn = _draw(game, variables, batch, jax.random.key(0), 1)[:, 0]
    wanted = game.condition(variables, batch)
    figures: Figures = {}
    if seen and (found := judging.layers(judges, variables, drawn, real)):
        scores = {which: layers["object"] for which, layers in zip(("drawn", "real"), found, strict=True)}
        figures = named_classes.with_baselines("class_right", {"label": scores}, {"label": wanted > 0}, valid, valid)
        majority = (batch["label"] == prior.majority(variables["state"]["prior"])) & valid
        figures["class_right/majority"] = (jnp.sum(majority, dtype=jnp.float32), count)
    params, state = variables["params"]["disc"], variables["state"]["disc"]
    both = games.scaled(jnp.concatenate([drawn, real]))
    logits = game.discriminate(params, state, both, [jnp.tile(wanted, (2, 1))])[0][0][0][:, 0]
    for name, rows in (("taken_for_real", logits[: len(real)]), ("taken_for_real/real_pictures", logits[len(real) :])):
        figures[name] = (jnp.sum(rows > 0, where=valid, dtype=jnp.float32), count)
    return figures


def predict(game: Game, judges: Judges, seen: bool, variables: Variables, batch: Batch, key: Array) -> dict[str, Array]:
    """Pictures of the classes by several codes; where there are real ones, also what the figures are made of."""
    several = _draw(game, variables, batch, key, CODES)
    out = {"image/generated": several[:, 0], "image/codes": gallery.strip(several)}
    if "image" not in batch:
        return out
    out["image/real"] = batch["image"]
    if seen and (found := judging.layers(judges, variables, several[:, 0])):
        out |= {"label/class": jnp.argmax(found[0]["object"], -1), "label/class_target": batch["label"]}
    return out | judging.compared(judges, variables, key, batch["image"], several[:, 0], several[:, 1])


def observe(judges: Judges, variables: Variables, batch: Batch) -> dict[str, Array]:
    """Features of real pictures."""
    return judging.features(judges, variables, batch["image"])


def solve(variables: Variables, observed: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """As they are."""
    del variables
    return dict(observed)


def score(judges: Judges, predictions: Mapping[str, np.ndarray], references: Mapping[str, Any]) -> Figures:
    """Distances of the judges' features, and diversity over codes."""
    del references
    return {**judging.figures(judges, predictions)}


def ask(
    names: tuple[str, ...], classes: int, text: str, variables: Variables, constants: Constants
) -> tuple[Batch, tuple[str, ...]]:
    """A class, by its name or number, as the batch of one example; `names` where the data set gives none."""
    del variables
    if "label_names" in constants:
        names = tuple(vocabulary.words_of(constants["label_names"]))
    return {"label": np.array([asking.class_of(text, names, classes)], np.int32)}, ()
