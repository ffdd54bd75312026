"""Sound source localisation: where in a picture a clip's sound comes from, learnt with boxes, without, or with few.

Senocak et al. 2018, "Learning to Localize Sound Source in Visual Scenes"; Chen et al. 2021 (LVS); Mo and Morgado 2022
(EZ-VSL, SLAVC). Every figure stands beside what the picture alone explains: see `localisation_figures`.
"""

from __future__ import annotations

import math
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Key
from ml_collections import ConfigDict

from mmjax.errors import OptionError, section
from mmjax.known import localisers
from mmjax.losses import localisation as losses
from mmjax.metrics import running_mean
from mmjax.metrics.localisation.attention import overlap
from mmjax.systems.localising import localisation_figures as figures
from mmjax.systems.localising.localisation_figures import MEAN_SIZE, Measured, Truth
from mmjax.systems.localising.networks import Found, make
from mmjax.task import Batch, Constants, Figures, Fit, Task, Update, Variables, bind

NO_BOXES = "the data have no boxes: no figure says where sounds come from, only whether pictures fit their own sounds"
Loss = tuple[Float[Array, ""], tuple[Any, Figures]]


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, loss, prior and truth, and the field `boxes`."""
    with section("config.truth"):
        truth = Truth(**config.truth)
    with section("config.prior"):
        prior = localisers.object_prior(**config.prior)
    annotation, taught = annotation_of(config)
    measured, share = Measured(make(config), prior, truth, annotation is None), float(config.boxes)
    if not 0 <= share <= 1:
        raise OptionError("config.boxes", f"={share:g}: it must be from 0 to 1, the share of the clips that have boxes")
    if measured.net.loss.supervised and not (truth.boxes and share):
        raise OptionError("config.loss.supervised", "is above 0, but config.boxes or config.truth.boxes says: no boxes")
    if share and not measured.net.loss.supervised:
        raise OptionError("config.boxes", f"={share:g}, but config.loss.supervised is 0: no box would teach anything")
    heard = ("image", "waveform", "waveform_length")
    kinds = ("objects",) if truth.kinds else ()
    fields = (*heard, "boxes", "sounding", *kinds) if truth.boxes else heard
    fit = Fit(bind(figures.observe, measured), figures.solve, "validation")
    return Task(
        fields=(*fields, "index") if 0 < share < 1 else fields,
        modalities={"picture": ("image",), "sound": ("waveform",)},
        init=bind(init, measured),
        fill=bind(fill, measured),
        needs=(bind(check, measured), bind(check_annotation, truth.boxes, annotation, taught)),
        updates=(Update("net", bind(loss, measured, share)),),
        metrics=bind(figures.metrics, measured),
        predict=bind(figures.predict, measured),
        score=bind(figures.score, truth),
        fit=fit if truth.boxes and measured.taught else None,
        predicts_from=heard,
        answers=("heatmap/heat", "number/confidence"),
        notes=() if truth.boxes else (NO_BOXES,),
        headline=("pointing", "ciou", "auc", "marked_on_silence"),
        contrastive=measured.net.loss.unsupervised > 0,
    )


def check(measured: Measured) -> None:
    """Raises UserError for a file that is missing."""
    with section("config.model"):
        measured.net.check()
    if measured.prior is not None:
        with section("config.prior"):
            measured.prior.check()


def annotation_of(config: ConfigDict) -> tuple[str | None, bool]:
    """Where boxes of the data are published, None for data that has no such option; and whether boxes are to teach."""
    return config.get("data", {}).get("annotation"), bool(config.loss.supervised)


def check_annotation(boxes: bool, annotation: str | None, taught: bool) -> None:
    """Raises UserError where the options of a folder of videos contradict each other."""
    if annotation is None:
        return
    if taught:
        raise OptionError(
            "config.loss.supervised",
            "is above 0, but published boxes of videos are the test's alone and teach nothing: it must be 0",
        )
    if boxes and not annotation:
        raise OptionError(
            "config.data.annotation",
            "is empty, but config.truth.boxes says that videos have boxes: give the file or folder of boxes, or "
            "config.truth.boxes=False",
        )
    if annotation and not boxes:
        raise OptionError("config.data.annotation", "is given, but config.truth.boxes says: no boxes; it must be True")


def init(measured: Measured, key: Key[Array, ""], batch: Batch) -> Variables:
    """Fresh networks, and the mean training map of no pictures."""
    of_net, of_prior = jax.random.split(key)
    made = measured.net.init(of_net, batch)
    state, frozen = dict(made["state"]), dict(made["frozen"])
    if measured.truth.boxes:
        state["mean_map"] = running_mean.fresh(jax.ShapeDtypeStruct((MEAN_SIZE, MEAN_SIZE), jnp.float32))
    if measured.prior is not None:
        frozen["prior"] = measured.prior.init(of_prior, batch["image"])["frozen"]
    return {"params": made["params"], "state": state, "frozen": frozen}


def fill(measured: Measured, variables: Variables, constants: Constants) -> Variables:
    """What stands in files: published weights of the networks and of the object prior."""
    del constants
    filled = measured.net.fill(variables)
    if measured.prior is None:
        return filled
    with section("config.prior"):
        own = measured.prior.fill({"params": {}, "state": {}, "frozen": filled["frozen"]["prior"]})
    return {**filled, "frozen": {**filled["frozen"], "prior": own["frozen"]}}


def loss(measured: Measured, share: float, variables: Variables, batch: Batch, key: Key[Array, ""]) -> Loss:
    """The mean of what pictures and their sounds teach, and of what boxes teach where there are some."""
    weights, truth = measured.net.loss, measured.truth
    found = measured.net.train(variables, batch, key)
    values, logs, state = weights.unsupervised * found.unsupervised, dict[str, Any](), dict(found.state)
    if weights.supervised:
        has = truth.known(batch) & chosen(batch, share)
        taught = boxes_teach(measured, found, batch, has)
        values = losses.senocak_semi_supervised(values, taught, has, weights.supervised)
        logs["boxes"] = (jnp.sum(taught), jnp.sum(has, dtype=jnp.float32))
    if truth.boxes:
        known = truth.known(batch)
        seen = variables["state"]["mean_map"]
        state["mean_map"] = running_mean.follow(seen, truth.of(batch, MEAN_SIZE), known)
    return jnp.mean(values), (state, logs)


def boxes_teach(measured: Measured, found: Found, batch: Batch, has: Bool[Array, " b"]) -> Float[Array, " b"]:
    """-sum over places of g log a, g the share of each place inside a box that sounds; and of silence, -log of nowhere.

    With `normalised` of config.loss g adds up to 1, so that small boxes weigh as much as large ones.
    """
    _, rows, columns = found.log_attention.shape
    inside = overlap(batch["boxes"], (rows, columns))
    inside = jnp.max(jnp.where(batch["sounding"][..., None, None], inside, 0.0), 1)
    if measured.net.loss.normalised:
        inside = inside / jnp.maximum(jnp.sum(inside, (1, 2), keepdims=True), 1e-6)
    values = losses.attention_cross_entropy(found.log_attention, inside, has)
    return values if found.log_nowhere is None else values - jnp.where(has, found.log_nowhere, 0.0)


def chosen(batch: Batch, share: float) -> Bool[Array, " b"]:
    """Which training clips have boxes: a share of them, the same at every visit, drawn by their place in the split."""
    if share >= 1:
        return jnp.ones(len(batch["image"]), bool)
    mixed = batch["index"].astype(jnp.uint32)
    for factor in (0x7FEB352D, 0x846CA68B):  # the finaliser "lowbias32": every bit depends on every other
        mixed = (mixed ^ (mixed >> 16)) * jnp.uint32(factor)
    mixed ^= mixed >> 16
    return mixed < jnp.uint32(math.floor(share * 2**32))
