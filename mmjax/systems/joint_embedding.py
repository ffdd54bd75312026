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

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from ml_collections import ConfigDict

from mmjax.errors import UserError
from mmjax.known import prompts, towers
from mmjax.losses import joint, probabilistic
from mmjax.metrics import joint_space, prior, tagging
from mmjax.models.joint.joint_embedding import Head
from mmjax.ops import captions, collective
from mmjax.ops.vectors import unit
from mmjax.task import Task, Update
from mmjax.text import vocabulary
from mmjax.weights import clip

SHARP = 20.0  # what cosines are multiplied by to be shown as probabilities: no figure depends on it
FIELDS = {
    "image": ("image",),
    "caption": ("captions_tokens", "captions_tokens_length"),
    "waveform": ("waveform", "waveform_length"),
}


@dataclasses.dataclass(frozen=True)
class Networks:
    """The towers and heads of all sides.

    Attributes:
      towers: {side: tower}.
      heads: {side: head}.
      label: the field of classes, "" for none.
      tags: the field of tags, "" for none.
      prompts: sentences with {} in the place of a class or a tag.
      among_names: whether the loss is among the points of the classes' names (DeViSE).
      weights: path of published weights for CLIP's towers, "" for none.
    """

    towers: Mapping[str, Any]
    heads: Mapping[str, Head]
    label: str
    tags: str
    prompts: tuple[str, ...]
    among_names: bool
    weights: str

    @property
    def roles(self) -> dict[str, str]:
        """{"label": its field, "tags": its field}, of those that there are."""
        return {role: field for role, field in (("label", self.label), ("tags", self.tags)) if field}

    def embed(self, variables: Any, side: str, *fields: Any, train: bool = False) -> tuple[Any, Any, Any]:
        """(points [n d], log-variances [n d] or None, the tower's state) of a side."""
        own = variables["params"]["embedding"][side]
        parts = {
            "params": own["tower"],
            "state": variables["state"]["towers"][side],
            "frozen": variables["frozen"]["towers"][side],
        }
        features, state = self.towers[side](parts, *fields, train=train)
        points, spread = self.heads[side].apply({"params": own["head"]}, features)
        return points, spread, state

    def named(self, variables: Any, field: str) -> Any:
        """The points [classes d] of the names of a field's classes: the mean over the prompts, of length 1."""
        tokens, length = variables["frozen"]["prompts"][field]  # c p t, c p
        points, _, _ = self.embed(variables, "caption", tokens.reshape(-1, tokens.shape[-1]), length.reshape(-1))
        return unit(jnp.mean(unit(points).reshape(*length.shape, -1), 1))


def build(config: ConfigDict) -> Task:
    """The task of a config with sections image, caption and waveform (those of config.sides), model and loss, and the
    fields sides, method, label, tags and prompts."""
    sides = tuple(config.sides)
    if not 2 <= len(set(sides)) == len(sides) or set(sides) - set(FIELDS):
        raise UserError(f"config.sides is {sides}: choose two or three of {', '.join(FIELDS)}")
    method, of_pair = joint.make(config.method, config.loss)
    label, tags = (config.label, config.tags) if "caption" in sides else (config.label, "")
    if config.method in ("devise", "recipe") and not label:
        raise UserError(f"config.method {config.method!r} needs the classes of a field: set config.label")
    if config.method == "recipe" and not config.model.dimension:
        raise UserError("config.model.dimension is 0: the classifier that both sides share needs the space's width")
    made = {side: towers.MAKE[side](**config[side]) for side in sides}
    if config.method == "devise" and config.model.dimension != config.caption.embed:
        raise UserError(
            f"config.model.dimension is {config.model.dimension}: pictures come among words of config.caption.embed, "
            f"{config.caption.embed}"
        )
    heads = {side: towers.head(config.method, side, made[side], **config.model) for side in sides}
    if config.method == "devise" and sides != ("image", "caption"):
        raise UserError("config.method 'devise' leads pictures among words: set config.sides to image and caption")
    if config.weights and not (
        set(sides) == {"image", "caption"}
        and isinstance(made["image"], towers.CLIPImageTower)
        and made["caption"].network == "transformer"
    ):
        raise UserError("config.weights is for CLIP's two towers: start from configs/clip.py")
    networks = Networks(made, heads, label, tags, tuple(config.prompts), config.method == "devise", config.weights)
    length = config.data.tokens.length if "caption" in sides else 0
    return Task(
        fields=(*itertools.chain(*(FIELDS[side] for side in sides)), *filter(None, dict.fromkeys((label, tags)))),
        init=functools.partial(init, networks, method, config.model.dimension, length),
        updates=(Update("embedding", functools.partial(loss, networks, of_pair)),),
        metrics=functools.partial(metrics, networks),
        predict=functools.partial(predict, networks),
        predicts_from=FIELDS[sides[0]],  # the other sides are embedded where they are there
        score=functools.partial(score, sides),
        references=("captions",) if "caption" in sides else (),
        names={name: field for name, field in ((label, label), ("tags", tags)) if field},
    )


# -- fresh variables ---------------------------------------------------------------------------------------------------


def init(networks, method, width, length, key, batch):
    """Fresh towers and heads, and the sentences of the prompts in `frozen`, beside the vocabulary that they are in."""
    params, state, frozen = {}, {}, {}
    for number, (side, tower) in enumerate(networks.towers.items()):
        of_tower, of_head = jax.random.split(jax.random.fold_in(key, number))
        known = (batch["caption_vocabulary"],) if side == "caption" else ()
        fields = [batch[name] for name in FIELDS[side]]
        if side == "caption":
            fields = [fields[0][:, 0], fields[1][:, 0]]
        parts = tower.init(of_tower, *known, *fields)
        features = jax.eval_shape(lambda p, *x, tower=tower: tower(p, *x)[0], parts, *fields)
        head = networks.heads[side].init(of_head, jnp.zeros((1, features.shape[-1])))
        params[side] = {"tower": parts["params"], "head": head.get("params", {})}
        state[side], frozen[side] = parts["state"], parts["frozen"]
    classes = {field: len(batch[f"{field}_names"]) for field in (networks.label, networks.tags) if field}
    made = {"params": {"embedding": params}, "state": {"towers": state, "steps": jnp.float32(0)}}
    made["state"]["priors"] = {role: prior.fresh(classes[field]) for role, field in networks.roles.items()}
    fixed: dict[str, Any] = {"towers": frozen}
    if "caption" in networks.towers:
        for name in ("caption_vocabulary", "caption_model"):
            if name in batch:
                fixed[name] = jnp.asarray(batch[name])
        fixed["prompts"] = {field: prompts.tokens(networks.prompts, batch, field, length) for field in classes}
    of_shared = jax.random.fold_in(key, len(networks.towers))
    params["shared"] = method.params(width, classes.get(networks.label, 0), of_shared)
    if networks.weights:
        _fill(networks, params, state, frozen, batch["caption_vocabulary"])
    return {**made, "frozen": fixed}


def _fill(networks, params, state, frozen, spelled):
    """CLIP's published weights in the place of fresh ones: both towers, and the temperature where it is learned."""
    image, text = networks.towers["image"].model, networks.towers["caption"].model(len(spelled))
    found = clip.load(networks.weights, image, text, spelled)
    for side in ("image", "caption"):
        parts = towers.parted(jax.tree.map(jnp.asarray, found[side]), networks.towers[side].trained)
        params[side]["tower"], state[side], frozen[side] = parts["params"], parts["state"], parts["frozen"]
    params["shared"] |= {
        k: jnp.asarray(found[k]) for k in ("log_scale", "bias") if k in params["shared"] and k in found
    }


# -- training ----------------------------------------------------------------------------------------------------------


def loss(networks, method, variables, batch, key):
    """The mean over the batch of a method's values, added up over all pairs of sides.

    Of several captions of an example one is drawn at each visit. Captions of equal words match each other's pictures:
    they are no negatives.
    """
    of_draw, of_method = jax.random.split(key)
    seen, states, group = {}, {}, None
    for side in networks.towers:
        fields = [batch[name] for name in FIELDS[side]]
        if side == "caption":
            fields = captions.drawn(*fields, collective.local_key(of_draw))
            group = captions.number_of(fields[0], collective.numbers(len(fields[0])))
        *seen[side], states[side] = networks.embed(variables, side, *fields, train=True)
    label = first(batch[networks.label]) if networks.label else None
    classes = networks.named(variables, networks.label) if networks.among_names else None
    # An example without a caption teaches the other sides alone.
    captioned = batch["captions_tokens_length"][:, 0] > 0 if "caption" in seen else None
    value, logs = jnp.float32(0), {}
    for number, (one, two) in enumerate(itertools.combinations(seen, 2)):
        shared = group if "caption" in (one, two) else None
        where = captioned if "caption" in (one, two) else jnp.ones(len(batch["valid"]), bool)
        pair = joint.Pair(seen[one][0], seen[two][0], seen[one][1], seen[two][1], shared, where, label, classes)
        own = jax.random.fold_in(of_method, number)
        found, told = method(variables["params"]["embedding"]["shared"], variables["state"]["steps"], pair, own)
        value, logs = value + found, {**logs, **{f"{one}_{two}/{name}": figure for name, figure in told.items()}}
    state = {**variables["state"], "towers": states, "steps": variables["state"]["steps"] + 1}
    state["priors"] = {
        role: prior.follow(known, _seen_classes(role, batch[networks.roles[role]], len(known["mean"])), None)
        for role, known in variables["state"]["priors"].items()
    }
    return value, (state, logs)


def first(classes):
    """The class [b] of a field of one class, or of the first of several."""
    return classes if classes.ndim == 1 else classes[:, 0]


def _seen_classes(role, classes, count):
    """What a prior follows, [b c]: the one class that a side is asked for, or all tags."""
    return many_hot(first(classes) if role == "label" else classes, count)


def many_hot(classes, count):
    """Which classes [b c] an example has, float32, of a field [b] or [b n]; a negative one is none."""
    several = classes if classes.ndim == 2 else classes[:, None]
    return jnp.max(jax.nn.one_hot(several, count), 1)


# -- evaluation --------------------------------------------------------------------------------------------------------


def _seen(networks, variables, batch):
    """{side: (points of length 1 [b d], of all captions [b c d]; uncertainties [b] or [b c], or None)} of the sides
    that the batch has."""
    seen = {}
    for side in networks.towers:
        if FIELDS[side][0] not in batch:
            continue
        fields = [batch[name] for name in FIELDS[side]]
        shape = fields[0].shape[:2] if side == "caption" else fields[0].shape[:1]
        if side == "caption":
            fields = [fields[0].reshape(-1, fields[0].shape[-1]), fields[1].reshape(-1)]  # b c t -> bc t
        points, spread, _ = networks.embed(variables, side, *fields)
        unsure = None if spread is None else probabilistic.uncertainty(spread).reshape(shape)
        seen[side] = unit(points).reshape(*shape, -1), unsure
    return seen


def _one(side, value):
    """Of all captions the first."""
    return value[:, 0] if side == "caption" and value is not None else value


def metrics(networks, variables, batch):
    """Whom of the batch each example finds first; classes named by prompts and by the classifier of both sides."""
    seen, valid, figures = _seen(networks, variables, batch), batch["valid"], {}
    if "caption" in seen:
        valid = valid & (batch["captions_tokens_length"][:, 0] > 0)
    count = jnp.sum(valid, dtype=jnp.float32)
    own = jnp.arange(len(valid), dtype=jnp.int32)
    numbers = captions.number_of(batch["captions_tokens"][:, 0], own) if "caption" in seen else own
    for one, two in itertools.combinations(seen, 2):
        same = numbers if "caption" in (one, two) else own
        a, b = joint_space.comparable(*(tuple(_one(side, part) for part in seen[side]) for side in (one, two)))
        scores = a @ b.T
        right = (same[:, None] == same[None]) & valid[None]
        for name, found, match in ((f"{one}_to_{two}", scores, right), (f"{two}_to_{one}", scores.T, right)):
            best = jnp.max(found, 1, where=match, initial=-jnp.inf)
            wrong = jnp.any((found >= best[:, None]) & ~match & valid[None], 1)
            chance = jnp.sum(match, 1, dtype=jnp.float32) / jnp.maximum(count, 1.0)
            figures[f"{name}_batch_r@1"] = jnp.sum(~wrong, where=valid, dtype=jnp.float32), count
            figures[f"{name}_batch_r@1/chance"] = jnp.sum(chance, where=valid), count
    return {**figures, **_class_figures(networks, variables, batch, seen)}


def _class_figures(networks, variables, batch, seen):
    """How often a side's class is right: by the names in the prompts and, of recipe, by the classifier."""
    if not networks.label:
        return {}
    truth, figures = first(batch[networks.label]), {}
    judged = batch["valid"] & (truth >= 0)
    count = jnp.sum(judged, dtype=jnp.float32)
    common = prior.majority(variables["state"]["priors"]["label"])
    guesses, shared = {}, variables["params"]["embedding"]["shared"]
    if "caption" in networks.towers:
        classes = networks.named(variables, networks.label)
        guesses = {f"zero_shot_{s}": _one(s, seen[s][0]) @ classes.T for s in seen if s != "caption"}
    if "classifier" in shared:
        guesses |= {f"class_of_{side}": joint.classify(shared, _one(side, seen[side][0])) for side in seen}
    for name, guess in guesses.items():
        figures[name] = jnp.sum(jnp.argmax(guess, -1) == truth, where=judged, dtype=jnp.float32), count
        figures[f"{name}/majority"] = jnp.sum(common == truth, where=judged, dtype=jnp.float32), count
    return figures


def predict(networks, variables, batch, key):
    """Pictures and sounds, the points of all sides that the batch has, and how well each class and tag fits."""
    del key
    seen, out = _seen(networks, variables, batch), {}
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
        numbers = jnp.where(
            jnp.any(tokens == vocabulary.UNK, -1),
            joint_space.ALONE,
            captions.number_of(tokens, jnp.zeros((1, 1), jnp.int32)),
        )
        out["number/caption_ids"] = jnp.where(batch["captions_tokens_length"] > 0, numbers, -1)
    shown = next((side for side in seen if side != "caption"), None)
    if shown is None or "caption" not in networks.towers:
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


def score(sides, predictions, references):
    """Retrieval among all examples for every two sides and both ways, tags both ways, and how the clouds lie."""
    del references
    seen = {side: (predictions[f"embedding/{side}"], predictions.get(f"number/uncertainty_{side}")) for side in sides}
    figures = joint_space.figures(seen, predictions.get("number/caption_ids"))
    if predictions.get("number/tag_truth", np.zeros(1)).any():
        fits, truth, frequency = (predictions[f"number/tag_{name}"] for name in ("scores", "truth", "frequency"))
        figures |= tagging.both_ways(fits, truth, frequency[0])
    return figures
