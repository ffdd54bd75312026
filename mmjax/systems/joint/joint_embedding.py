"""Joint embedding: pictures, sentences and sounds as points of one space, so that each finds the others.

Two or three sides of an example, `config.sides`, are led into one space by a tower and a head each, and a loss over
all pairs of the batch (`config.method`) brings those together that belong together:

triplet      VSE and VSE++ (Kiros et al. 2014; Faghri et al. 2018): all negatives, or the hardest
contrastive  Hadsell et al. 2006: matching pairs are pulled, others pushed beyond a margin
devise       Frome et al. 2013: pictures among the frozen word vectors of their labels
recipe       Salvador et al. 2017: the cosine loss, and one classifier for both sides (semantic regularisation)
gaussian     PCME++ (Chun 2024): a Gaussian each, matched by the closed form of their distance
clip         Radford et al. 2021: cross-entropy over the batch with a learned temperature
siglip       Zhai et al. 2023: a sigmoid for every pair

Every variant tells how well each side finds the other, how pictures are tagged, and how the two clouds lie.
"""

from __future__ import annotations

import itertools
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Key
from ml_collections import ConfigDict

from mmjax.errors import OptionError, UserError, section
from mmjax.known import prompts, towers
from mmjax.losses import joint
from mmjax.metrics import prior
from mmjax.models.joint import clip
from mmjax.ops import alike as contents
from mmjax.ops import captions, collective
from mmjax.systems.joint import joint_figures
from mmjax.systems.joint.joint_networks import (
    FIELDS,
    MODALITIES,
    Networks,
    captioned,
    fields_of,
    first,
    many_hot,
    once,
    own,
)
from mmjax.task import Batch, Bound, Constants, Figures, Task, Update, Variables, bind


def build(config: ConfigDict) -> Task:
    """The task of a config with sections image, caption and waveform (those of config.sides), model and loss, and the
    fields sides, method, label, tags, prompts and weights."""
    sides, label = tuple(config.sides), config.label
    if not 2 <= len(set(sides)) == len(sides) or set(sides) - set(FIELDS):
        raise UserError(f"config.sides is {sides}: choose two or three of {', '.join(FIELDS)}")
    with section("config.loss", method="config.method"):
        method = joint.make(config.method, config.loss)
    _check(config)
    tags = config.tags if "caption" in sides else ""
    made = tuple((side, towers.make(config, side)) for side in sides)
    networks = Networks(made, label, tags, tuple(config.prompts), config.method == "devise")
    length = config.data.tokens.length if "caption" in sides else 0
    rules = config.data.tokens.get("rules", "unicode") if "caption" in sides else ""
    return Task(
        fields=(*itertools.chain(*(FIELDS[side] for side in sides)), *filter(None, dict.fromkeys((label, tags)))),
        modalities={MODALITIES[side]: FIELDS[side][:1] for side in sides},
        init=bind(init, networks, method, config.model.dimension, length),
        fill=bind(fill, networks, length, rules, config.weights),
        needs=tuple(bind(towers.Side.check, side) for _, side in made),
        updates=(Update("embedding", bind(loss, networks, bind(method.loss, **config.loss))),),
        features=once(networks),
        metrics=bind(joint_figures.metrics, networks),
        predict=bind(joint_figures.predict, networks),
        predicts_from=FIELDS[sides[0]],  # the other sides are embedded where they are there
        also_from=tuple(FIELDS[side] for side in sides[1:]),
        answers=(*((f"scores/{label}",) if label else ()), *(f"embedding/{side}" for side in sides)),
        score=bind(joint_figures.score, sides),
        references=("captions",) if "caption" in sides else (),
        names={name: field for name, field in ((label, label), ("tags", tags)) if field},
        headline=("image_to_caption_r@1", "caption_to_image_r@1", "*_to_*_r@1", "zero_shot_*"),
        contrastive=config.method != "devise",  # which leads pictures to words that never move
    )


def _check(config: ConfigDict) -> None:
    """Raises OptionError for options of several sections that do not go together."""
    method, sides, dimension = config.method, tuple(config.sides), config.model.dimension
    if method in ("devise", "recipe") and not config.label:
        raise OptionError("config.method", f"{method!r} needs the classes of a field: set config.label")
    if method == "recipe" and not dimension:
        raise OptionError("config.model.dimension", "is 0: the classifier of both sides needs the space's width")
    if method == "devise" and sides != ("image", "caption"):
        raise OptionError("config.method", "'devise' leads pictures among words: set config.sides to image and caption")
    if method == "devise" and dimension != config.caption.embed:
        among = f"pictures come among words of config.caption.embed, {config.caption.embed}"
        raise OptionError("config.model.dimension", f"is {dimension}: {among}")
    transformer = "caption" in sides and config.caption.network == "transformer"
    if transformer and config.data.tokens.length >= config.caption.context:
        longest = f"with <start> more than config.caption.context, {config.caption.context}"
        raise OptionError("config.data.tokens.length", f"is {config.data.tokens.length}: {longest}")
    published = transformer and set(sides) == {"image", "caption"} and config.image.name in clip.IMAGE_NETWORKS
    if config.weights and not published:
        raise OptionError("config.weights", "is for CLIP's two towers: start from configs/clip.py")


# -- values ------------------------------------------------------------------------------------------------------------


def init(
    networks: Networks, method: joint.Method, width: int, length: int, key: Key[Array, ""], batch: Batch
) -> Variables:
    """Fresh towers and heads, and in `frozen` room for the sentences of the prompts, beside their vocabulary."""
    params: dict[str, Any] = {}
    state: dict[str, Any] = {}
    frozen: dict[str, Any] = {}
    for number, (name, side) in enumerate(networks.sides):
        fields = fields_of(batch, name)
        if name == "caption":
            side = side.sized(len(batch["caption_vocabulary"]))
            fields = [fields[0][:, 0], fields[1][:, 0]]
        with section(f"config.{name}"):
            made = side.init(jax.random.fold_in(key, number), *fields)
        params[name] = {"tower": made["tower"]["params"], "head": made["head"]["params"]}
        state[name], frozen[name] = made["tower"]["state"], made["tower"]["frozen"]
    classes = {field: len(batch[f"{field}_names"]) for field in networks.roles.values()}
    of_shared = jax.random.fold_in(key, len(networks.sides))
    params["shared"] = method.params(width, classes.get(networks.label, 0), of_shared)
    fixed: dict[str, Any] = {"towers": frozen}
    if "caption" in networks.names:
        fixed |= {name: batch[name] for name in ("caption_vocabulary", "caption_model") if name in batch}
        sentences = len(networks.prompts)
        fixed["prompts"] = {field: prompts.blank(count, sentences, length) for field, count in classes.items()}
    priors = {role: prior.fresh(classes[field]) for role, field in networks.roles.items()}
    changing = {"towers": state, "steps": jnp.float32(0), "priors": priors}
    return {"params": {"embedding": params}, "state": changing, "frozen": fixed}


def fill(
    networks: Networks, length: int, rules: str, weights: str, variables: Variables, constants: Constants
) -> Variables:
    """Published weights and word vectors in the place of fresh ones, and the sentences of the prompts."""
    params = dict(variables["params"]["embedding"])
    state, frozen = dict(variables["state"]["towers"]), dict(variables["frozen"]["towers"])
    for name, side in networks.sides:
        with section(f"config.{name}"):
            parts = side.tower.fill(own(variables, name)["tower"], constants.get("caption_vocabulary"))
        params[name] = {**params[name], "tower": parts["params"]}
        state[name], frozen[name] = parts["state"], parts["frozen"]
    if weights:
        known = towers.scalars(weights)
        params["shared"] = {name: known.get(name, value) for name, value in params["shared"].items()}
    fixed = {**variables["frozen"], "towers": frozen}
    if "prompts" in fixed:
        fixed["prompts"] = {
            field: prompts.tokens(networks.prompts, constants, field, length, rules) for field in fixed["prompts"]
        }
    return {"params": {"embedding": params}, "state": {**variables["state"], "towers": state}, "frozen": fixed}


# -- training ----------------------------------------------------------------------------------------------------------


def loss(
    networks: Networks, method: Bound, variables: Variables, batch: Batch, key: Key[Array, ""]
) -> tuple[Float[Array, ""], tuple[dict[str, Any], Figures]]:
    """The mean over the batch of a method's values, added up over all pairs of sides.

    Of several captions of an example one is drawn at each visit. Captions of equal words match each other's pictures,
    and so does what is said of a picture that stands twice in the batch: they are no negatives.
    """
    of_draw, of_method = jax.random.split(key)
    points: dict[str, Any] = {}
    spreads: dict[str, Any] = {}
    states: dict[str, Any] = {}
    alike: dict[str, Any] = {}  # equal numbers of what is the same on a side
    for side in networks.names:
        if f"{side}_features" in batch:  # computed once, see `Task.features`
            alike[side] = batch[f"{side}_number"]
            points[side], spreads[side], states[side] = networks.lead(variables, side, batch[f"{side}_features"])
            continue
        fields = fields_of(batch, side)
        if side == "caption":
            tokens, sizes = fields
            fields = list(captions.drawn(tokens, sizes, collective.local_key(of_draw)))
            alike[side] = captions.number_of(fields[0], collective.numbers(len(fields[0])))
        else:
            alike[side] = contents.number_of(fields[0])
        points[side], spreads[side], states[side] = networks.embed(variables, side, *fields, train=True)
    label = first(batch[networks.label]) if networks.label else None
    classes = networks.named(variables, networks.label) if networks.among_names else None
    state, value = variables["state"], jnp.float32(0)
    logs: Figures = {}
    for number, (one, two) in enumerate(itertools.combinations(points, 2)):
        worded = "caption" in (one, two)  # an example without a caption teaches the other sides alone
        where = captioned(batch) if worded else jnp.ones(len(batch["valid"]), bool)
        shared = jnp.stack([alike[one], alike[two]], 1)
        pair = joint.Pair(points[one], points[two], spreads[one], spreads[two], shared, where, label, classes)
        drawn = jax.random.fold_in(of_method, number)
        with section("config.loss"):
            found, told = method(variables["params"]["embedding"]["shared"], state["steps"], pair, drawn)
        value, logs = value + found, {**logs, **{f"{one}_{two}/{name}": figure for name, figure in told.items()}}
    priors = {
        role: prior.follow(known, _classes(role, batch[networks.roles[role]], len(known["mean"])), None)
        for role, known in state["priors"].items()
    }
    return value, ({**state, "towers": states, "steps": state["steps"] + 1, "priors": priors}, logs)


def _classes(role: str, classes: Int[Array, "b ..."], count: int) -> Float[Array, "b c"]:
    """What a prior follows: the one class that a side is asked for, or all tags."""
    return many_hot(first(classes) if role == "label" else classes, count)
