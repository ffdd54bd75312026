"""Recognition: a small network learns what is in a picture and where it was taken, from labels.

Its object head is trained towards the share of each class in the visible area of all objects, so that its softmax is
a distribution worth learning from: that is what makes it the visual teacher of the other systems on the default data.
"""

from __future__ import annotations

from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8
from ml_collections import ConfigDict

from mmjax import errors
from mmjax.losses import classification, divergence
from mmjax.metrics import prior
from mmjax.models.vision.recogniser import Recogniser
from mmjax.ops import collective
from mmjax.task import Batch, Figures, Task, Update, Variables, bind


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, names and loss."""
    names = {head: tuple(config.names[head]) for head in ("object", "scene")}
    with errors.section("config.model"):
        model = Recogniser(objects=len(names["object"]), scenes=len(names["scene"]), **config.model)
    return Task(
        fields=("image", "objects", "areas", "scene"),
        init=bind(init, model),
        updates=(Update("net", bind(loss, model, **config.loss)),),
        metrics=bind(metrics, model),
        predict=bind(predict, model),
        predicts_from=("image",),
        modalities={"picture": ("image",)},
        names=names,
        headline=("scene_accuracy", "object_present"),
        channels=model.channels("params/net", "state/net"),
    )


def init(model: Recogniser, key: Array, batch: Batch) -> dict[str, Any]:
    """Fresh network, and a uniform prior for the baselines."""
    made = model.init(key, batch["image"])
    priors = {"object": prior.fresh(model.objects), "scene": prior.fresh(model.scenes)}
    return {"params": {"net": made["params"]}, "state": {"net": made["state"], "prior": priors}, "frozen": {}}


def targets(model: Recogniser, batch: Batch) -> dict[str, tuple[Float[Array, "b c"], Bool[Array, " b"]]]:
    """What the heads should say: {head: (distribution, whether the example has one)}."""
    shares = jax.nn.one_hot(batch["objects"], model.objects) * batch["areas"][..., None]  # b n c; -1 gives zeros
    area = jnp.sum(shares, 1)
    total = jnp.sum(area, -1, keepdims=True)
    scene = jax.nn.one_hot(batch["scene"], model.scenes)
    return {
        "object": (area / jnp.maximum(total, 1e-9), total[:, 0] > 0),
        "scene": (scene, batch["scene"] >= 0),
    }


def loss(
    model: Recogniser, variables: Variables, batch: Batch, key: Array, *, flip: bool
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """The sum over both heads of the cross-entropy, in nats; with `flip`, half the pictures are mirrored."""
    mirrored = jax.random.bernoulli(collective.local_key(key), 0.5, (len(batch["image"]), 1, 1, 1))
    image = jnp.where(mirrored & flip, jnp.flip(batch["image"], 2), batch["image"])
    own = {"params": variables["params"]["net"], "state": variables["state"]["net"]}
    logits: Any
    logits, updated = model.apply(own, image, train=True, mutable=["state"])
    truth = targets(model, batch)
    terms = {
        head: collective.mean_where(classification.soft_cross_entropy(logits[head], target, where), where)
        for head, (target, where) in truth.items()
    }
    priors = {head: prior.follow(variables["state"]["prior"][head], *truth[head]) for head in truth}
    state = {"net": updated["state"], "prior": priors}
    value: Any = sum(terms.values())
    return value, (state, {f"cross_entropy/{head}": term for head, term in terms.items()})


def _look(model: Recogniser, variables: Variables, image: UInt8[Array, "b h w 3"]) -> dict[str, Array]:
    own = {"params": variables["params"]["net"], "state": variables["state"]["net"]}
    layers: Any = model.apply(own, image)
    return layers


def metrics(model: Recogniser, variables: Variables, batch: Batch) -> Figures:
    """Top-1 of the largest object, of any object and of the scene beside the majority; KL beside the training mean."""
    logits = _look(model, variables, batch["image"])
    figures: Figures = {}
    for head, name in (("object", "object_top1"), ("scene", "scene_accuracy")):
        target, where = targets(model, batch)[head]
        where = where & batch["valid"]
        count = jnp.sum(where, dtype=jnp.float32)
        known, best = variables["state"]["prior"][head], jnp.argmax(target, -1)
        mean, majority = jnp.broadcast_to(jnp.log(known["mean"]), logits[head].shape), prior.majority(known)
        values = {
            name: jnp.argmax(logits[head], -1) == best,
            f"{name}/majority": majority[None] == best,
            f"{head}_kl": divergence.kl(jnp.log(target), logits[head], where),
            f"{head}_kl/training_mean": divergence.kl(jnp.log(target), mean, where),
        }
        if head == "object":  # is the top class any of the objects? Two of equal area are told apart by neither eye
            values["object_present"] = jnp.take_along_axis(target, jnp.argmax(logits[head], -1)[:, None], 1)[:, 0] > 0
            values["object_present/majority"] = target[:, majority] > 0
        figures |= {k: (jnp.sum(v, where=where, dtype=jnp.float32), count) for k, v in values.items()}
    return figures


def predict(model: Recogniser, variables: Variables, batch: Batch, key: Array) -> dict[str, Array]:
    """The picture, the network's class probabilities, and what they should have been where that is known."""
    del key
    logits = _look(model, variables, batch["image"])
    out = {"image/picture": batch["image"]} | {f"scores/{h}": jax.nn.softmax(logits[h]) for h in ("object", "scene")}
    if {"objects", "areas", "scene"} <= set(batch):  # not where a user shows a picture
        out |= {f"scores/{head}_target": truth for head, (truth, _) in targets(model, batch).items()}
    return out
