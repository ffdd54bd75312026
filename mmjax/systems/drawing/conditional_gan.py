"""A picture of a class: a generator and a discriminator that are told which.

Mirza and Osindero 2014, "Conditional Generative Adversarial Nets", eq. 2, on convolutional networks: Radford et al.
2016 (DCGAN), with the class where GAN-CLS has its text. Theirs were perceptrons on vectors of pixels.
"""

from __future__ import annotations

import functools

import jax
from jax import numpy as jnp
from ml_collections import ConfigDict

from mmjax.errors import UserError
from mmjax.judges import drawn_pictures
from mmjax.metrics import prior
from mmjax.systems.drawing import adversarial
from mmjax.task import Fit, Task, Update


def build(config: ConfigDict) -> Task:
    """The task of a config with sections generator, discriminator and loss, and `size`, `code`, `classes`, `seen`."""
    looks = drawn_pictures.eyes(config.get("inception", ""))
    judge = looks.judge
    if config.seen and config.classes != len(judge.names["object"]):
        raise UserError("config.seen: the classes must be those of our recognition network: set it to False")
    game = adversarial.make(config, functools.partial(told, config.classes), config.size, config.classes)
    if game.rules.interpolate:
        raise UserError("config.loss.interpolate is of sentences: there is nothing between two classes; set it to 0")
    return Task(
        fields=("image", "label", *(("boxes",) if game.placed else ())),
        init=functools.partial(init, game, looks, config.classes, config.size),
        updates=(
            *(Update("disc", functools.partial(discriminator_loss, game)),) * config.critic_steps,
            Update("gen", functools.partial(adversarial.generator_loss, game)),
        ),
        metrics=functools.partial(metrics, game, judge, config.seen),
        predict=functools.partial(predict, game, looks),
        predicts_from=("label",),
        score=score,
        fit=Fit(functools.partial(observe, looks), solve),
        warn=adversarial.warn,
    )


def told(classes, variables, batch):
    """The class as a vector [b classes] of 0 and 1."""
    del variables
    return jax.nn.one_hot(batch["label"], classes)


def init(game, looks, classes, size, key, batch):
    """Fresh networks; what measures them is frozen."""
    if batch["image"].shape[1:3] != (size, size):
        raise UserError(f"config.size is {size}, but the data's pictures are {batch['image'].shape[1]} pixels wide")
    adversarial.check_boxes(game, batch)
    params, state = adversarial.init(game, key, batch["image"], told(classes, None, batch))
    state |= {"mean": jnp.full((size, size, 3), 127.5, jnp.float32), "prior": prior.fresh(classes)}
    return {"params": params, "state": state, "frozen": looks.frozen()}


def discriminator_loss(game, variables, batch, key):
    """The game's; the mean picture and the classes' shares follow for the baselines."""
    value, (state, logs) = adversarial.discriminator_loss(game, variables, batch, key)
    seen = jnp.mean(batch["image"].astype(jnp.float32), 0)
    known = prior.follow(state["prior"], game.tell(variables, batch))
    return value, ({**state, "mean": state["mean"] + 0.01 * (seen - state["mean"]), "prior": known}, logs)


def _draw(game, variables, batch, key, codes=1):
    """Pictures of the examples' classes, uint8 [b codes h w 3]."""
    words = jnp.repeat(game.tell(variables, batch), codes, 0)
    drawn = game.sample(variables, jax.random.normal(key, (len(words), game.code)), words)
    return adversarial.shown(drawn).reshape(-1, codes, *drawn.shape[1:])


def metrics(game, judge, seen, variables, batch):
    """Does the recognition network see the class? And the discriminator's verdict on drawn and on real pictures."""
    valid, frozen = batch["valid"], variables["frozen"]
    drawn = _draw(game, variables, batch, jax.random.key(0))[:, 0]
    words = game.tell(variables, batch)
    figures = {}
    if seen:
        pictures = {"drawn": drawn, "real": batch["image"]}
        scores = {k: drawn_pictures.see(judge, frozen["recogniser"], x)["object"] for k, x in pictures.items()}
        figures = drawn_pictures.beside("class_right", {"label": scores}, {"label": words > 0}, valid, valid)
        majority = (batch["label"] == prior.majority(variables["state"]["prior"])) & valid
        count = jnp.sum(valid, dtype=jnp.float32)
        figures["class_right/majority"] = (jnp.sum(majority, dtype=jnp.float32), count)
    params, state = variables["params"]["disc"], variables["state"]["disc"]
    for name, picture in (("taken_for_real", drawn), ("taken_for_real/real_pictures", batch["image"])):
        logits = game.judge(params, state, adversarial.scaled(picture), [words])[0][0][0][:, 0]
        figures[name] = (jnp.sum(logits > 0, where=valid, dtype=jnp.float32), jnp.sum(valid, dtype=jnp.float32))
    return figures


def predict(game, looks, variables, batch, key):
    """Pictures of the classes by several codes; where there are real ones, also what the figures are made of."""
    several = _draw(game, variables, batch, key, codes=4)
    out = {"image/generated": several[:, 0], "image/codes": drawn_pictures.strip(several)}
    if "image" not in batch:
        return out
    out["image/real"] = batch["image"]
    return out | looks.compared(variables, key, batch["image"], several[:, 0], several[:, 1])


def observe(looks, variables, batch):
    """Features of real pictures."""
    return looks.features(variables["frozen"], batch["image"])


def solve(variables, observed):
    """As they are."""
    del variables
    return dict(observed)


def score(predictions, references):
    """Distances of recognition features, and diversity over codes."""
    del references
    return {**drawn_pictures.distances(predictions), **drawn_pictures.diversity(predictions)}
