"""The figures of sound localisation, each beside maps that know less, and what a page shows of an example.

Maps of the same picture are made for its own sound, for another clip's and for silence; a figure that another clip's
sound has as well was explained by the picture alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from mmjax.errors import OptionError
from mmjax.known.network import Network
from mmjax.metrics.localisation import grid, negatives, protocols, resizing, trivial
from mmjax.models.joint.localiser import heat
from mmjax.ops.partners import partners
from mmjax.systems.localising.networks import Attended, TwoTowers
from mmjax.task import Batch, Figures, Variables

MEAN_SIZE = 56  # of the mean training map: a quarter of the grid on which maps are scored
THRESHOLDS = np.linspace(-1, 1, 201).astype(np.float32)  # of cosines
TRUTHS = {"union": grid.union, "votes": grid.votes}
OTHERS = ("another_sound", "silence")
PRIOR_SHARE = 0.6  # of the object prior where it is mixed in: 1 - alpha of EZ-VSL's test.py


@dataclasses.dataclass(frozen=True)
class Truth:
    """What the data say of where a sound comes from.

    Attributes:
      boxes: whether they say it; without, the only figure is whether a picture fits its own sound better than another.
      several: "union", boxes that count in full; or "votes", of annotators who each count for half.
      how: how maps are resized to the grid of pixels, see `metrics.localisation.grid`.
      found: when a source counts as found among negatives: "ciou", of at least 0.5 at the map's median as in SLAVC's
        evaluator, which no map has of a box that is smaller than a quarter of the picture; or "pointing".
      kinds: whether the data's `objects` say of which kind each box is: then other clips' sounds that nothing in the
        picture makes, which are off-screen, are known apart from those that something else here could make as well.
    """

    boxes: bool = True
    several: str = "union"
    how: str = "corners"
    found: str = "pointing"
    kinds: bool = False

    def __post_init__(self) -> None:
        for name, known in (("several", tuple(TRUTHS)), ("how", resizing.RESIZES), ("found", ("ciou", "pointing"))):
            if getattr(self, name) not in known:
                raise OptionError(name, f"is {getattr(self, name)!r}: choose {', '.join(map(repr, known))}")

    def of(self, batch: Batch, size: int) -> Float[Array, "b s s"]:
        """Which pixels are right: 1, 0, or 0.5 where one of several annotators says so."""
        return TRUTHS[self.several](batch["boxes"], batch["sounding"], size)

    def known(self, batch: Batch) -> Bool[Array, " b"]:
        """Which examples have a box that sounds."""
        return jnp.any(present(batch) & batch["sounding"], 1)

    def off_screen(self, batch: Batch, other: Int[Array, " b"]) -> Bool[Array, " b"]:
        """Whether the clip with the number `other` makes a sound, and none of a kind that is in the picture."""
        here = jnp.where(present(batch), batch["objects"], -1)[:, :, None]  # b n 1
        sounds = (present(batch) & batch["sounding"])[other]
        there = jnp.where(sounds, batch["objects"][other], -2)[:, None]  # b 1 n
        return jnp.any(sounds, 1) & ~jnp.any(here == there, (1, 2))


def present(batch: Batch) -> Bool[Array, "b n"]:
    """Which boxes are of an object, and not padding."""
    boxes = batch["boxes"]
    return (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])


@dataclasses.dataclass(frozen=True)
class Measured:
    """What is evaluated.

    Attributes:
      net: the networks.
      prior: a frozen picture network whose features stand for objects; None for none.
      truth: of the data.
      taught: whether training and validation clips have boxes, which make a mean map and a threshold; those of
        published annotation have none.
    """

    net: TwoTowers | Attended
    prior: Network | None
    truth: Truth
    taught: bool = True

    def maps(self, variables: Variables, batch: Batch, other: Int[Array, " b"]) -> dict[str, Float[Array, "b h w"]]:
        """The scores of each place: "" for the own sound, and for OTHERS; `other` is whose sound is another's."""
        image, waveform = batch["image"], batch["waveform"]
        places = self.net.see(variables, image)
        sounds = self.net.hear(variables, waveform, batch["waveform_length"])
        silence = self.net.hear(variables, jnp.zeros_like(waveform[:1]), jnp.full(1, waveform.shape[1], jnp.int32))
        heard = {"": sounds, "another_sound": sounds[other], "silence": jnp.broadcast_to(silence, sounds.shape)}
        return {name: heat(places, points) for name, points in heard.items()}

    def objects(self, variables: Variables, batch: Batch) -> Float[Array, "b h w"]:
        """The object prior, which hears nothing: the mean size of a picture network's features at each place.

        Mo and Morgado 2022 (EZ-VSL), section 3.4.
        """
        assert self.prior is not None
        own = {"params": {}, "state": {}, "frozen": variables["frozen"]["prior"]}
        features, _ = self.prior(own, batch["image"])
        return jnp.mean(jnp.abs(features.astype(jnp.float32)), -1)


def metrics(measured: Measured, variables: Variables, batch: Batch) -> Figures:
    """cIoU, AUC, pointing and pixel AP beside all that is trivial; how well pictures fit their own sounds; and at the
    threshold that was fitted, how much of the picture stays marked where there is nothing to mark."""
    valid = batch["valid"]
    other = partners(valid, jax.random.key(0))
    maps = measured.maps(variables, batch, other)
    best = {name: jnp.max(values, (1, 2)) for name, values in maps.items()}
    count = jnp.sum(valid, dtype=jnp.float32)
    fits = 0.5 + 0.5 * jnp.sign(best[""] - best["another_sound"])
    found: Figures = {
        "fits_own_sound": (jnp.sum(fits, where=valid), count),
        "fits_own_sound/chance": (count / 2, count),
    }
    if not measured.truth.boxes:
        return found
    truth, where = measured.truth.of(batch, grid.SIZE), valid & measured.truth.known(batch)
    found |= protocols.figures(protocols.scores(maps[""], truth, measured.truth.how), where)
    shown = {f"/{name}": maps[name] for name in OTHERS}
    if measured.prior is not None:
        shown["/object_prior"] = objects = measured.objects(variables, batch)
        shown["/with_object_prior"] = mixed(maps[""], objects, measured.truth.how)
    shown |= {f"/{name}": values for name, values in trivial_maps(variables, truth, measured.taught).items()}
    shown["/oracle"] = trivial.ranked(truth)
    for suffix, scores in scored(shown, truth, measured.truth.how).items():
        found |= protocols.figures(scores, where, suffix)
    found |= protocols.figures(trivial.whole(truth), where, "/whole")
    found |= protocols.figures(trivial.some_object(batch["boxes"], present(batch), truth), where, "/some_object")
    if "fitted" not in variables:
        return found
    off_screen = measured.truth.off_screen(batch, other) if measured.truth.kinds else None
    return found | marked(variables["fitted"]["threshold"], maps, truth, where, off_screen)


def scored(
    shown: Mapping[str, Float[Array, "b h w"]], truth: Float[Array, "b s s"], how: str, ap: bool = True
) -> dict[str, protocols.Scores]:
    """`protocols.scores` of several maps of the same pictures: one after the other, which compiles them once."""
    pixels = jnp.stack([grid.resized(values, truth.shape[-1], how) for values in shown.values()])
    found = jax.lax.map(lambda one: protocols.scores(one, truth, how, ap), pixels)
    return {name: {key: values[i] for key, values in found.items()} for i, name in enumerate(shown)}


def mixed(maps: Float[Array, "b h w"], objects: Float[Array, "b i j"], how: str) -> Float[Array, "b s s"]:
    """Maps with the object prior mixed in, each first resized and brought to 0..1: EZ-VSL's headline figures.

    Mo and Morgado 2022 (EZ-VSL), section 3.4. Beside the others, and never in a figure of what is heard.
    """

    def stretched(values):
        values = grid.resized(values, how=how)
        low = jnp.min(values, (1, 2), keepdims=True)
        return (values - low) / jnp.maximum(jnp.max(values, (1, 2), keepdims=True) - low, 1e-12)

    return (1 - PRIOR_SHARE) * stretched(maps) + PRIOR_SHARE * stretched(objects)


def trivial_maps(
    variables: Variables, truth: Float[Array, "b s s"], taught: bool = True
) -> dict[str, Float[Array, "b h w"]]:
    """Maps that are the same for every picture: the mean truth of training, where it has any, and a disc in the
    middle."""
    same = {"mean_map": variables["state"]["mean_map"]["mean"]} if taught else {}
    same["disc"] = trivial.disc(truth.shape[-1])
    return {name: jnp.broadcast_to(one[None], (len(truth), *one.shape)) for name, one in same.items()}


def marked(
    threshold: Float[Array, ""],
    maps: Mapping[str, Array],
    truth: Float[Array, "b s s"],
    where: Bool[Array, " b"],
    off_screen: Bool[Array, " b"] | None = None,
) -> Figures:
    """F1 of the places at least at a threshold; and the share of the picture that they are, which is to be 0 for
    silence and, where what it is of cannot be seen (`off_screen`), for another clip's sound."""
    right, wrong, missed = (x[:, 0] for x in negatives.counts(maps[""], truth, jnp.asarray(threshold)[None]))
    area = jnp.mean((truth > 0).astype(jnp.float32), (1, 2))
    shares = {name: negatives.marked_share(values, threshold) for name, values in maps.items()}

    def mean(values, of=where):
        return jnp.sum(values, where=of), jnp.sum(of, dtype=jnp.float32)

    unknown = jnp.where(jnp.isnan(threshold), jnp.nan, 0.0)  # no score is at least NaN, and that is not "none marked"
    right, shares = right + unknown, {name: x + unknown for name, x in shares.items()}

    found = {
        "marked_f1": (jnp.sum(2 * right, where=where), jnp.sum(2 * right + wrong + missed, where=where)),
        "marked_f1/whole": (jnp.sum(2 * area, where=where), jnp.sum(1 + area, where=where)),
        "marked_on_silence": mean(shares["silence"]),
        "marked_on_silence/own_sound": mean(shares[""]),
        "marked_on_silence/another_sound": mean(shares["another_sound"]),
        "marked_on_silence/truth": mean(area),
    }
    if off_screen is not None:
        found["marked_on_silence/off_screen_sound"] = mean(shares["another_sound"], where & off_screen)
    return found


def observe(measured: Measured, variables: Variables, batch: Batch) -> dict[str, Array]:
    """Of each example, at each of THRESHOLDS, the shares that are marked rightly, falsely, and missed."""
    maps = measured.maps(variables, batch, partners(batch["valid"], jax.random.key(0)))[""]
    truth = measured.truth.of(batch, grid.SIZE)
    counts = negatives.counts(maps, truth, jnp.asarray(THRESHOLDS))
    known = measured.truth.known(batch)[:, None]
    return {name: jnp.where(known, x, 0.0) for name, x in zip(("right", "wrong", "missed"), counts, strict=True)}


def solve(variables: Variables, observed: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The absolute score from which a place is marked: that whose F1 over the places of all pictures is largest.

    NaN where no picture has boxes, as in the training and validation clips of VGG-SS: nobody knows.
    """
    threshold, best = negatives.best_threshold(**observed, thresholds=THRESHOLDS)
    return {"threshold": np.float32(threshold if best > 0 else np.nan)}


def predict(measured: Measured, variables: Variables, batch: Batch, key: Key[Array, ""]) -> dict[str, Array]:
    """The picture, its sound, the scores of each place and how sure they are; and cIoU, beside that of other maps."""
    whose = partners(batch["valid"], key)
    maps = measured.maps(variables, batch, whose)
    suffix = {name: f"_{name}" if name else "" for name in maps}
    out: dict[str, Array] = {
        "image/picture": jnp.asarray(batch["image"]),
        "audio/sound": jnp.asarray(batch["waveform"]),
        "audio/sound_another_sound": jnp.asarray(batch["waveform"])[whose],
    }
    out |= {f"heatmap/heat{suffix[name]}": values for name, values in maps.items()}
    out |= {f"number/confidence{suffix[name]}": negatives.confidence(values) for name, values in maps.items()}
    if not measured.truth.boxes or "boxes" not in batch:  # not where a user predicts
        return out
    truth = measured.truth.of(batch, grid.SIZE)
    out["number/boxes"], out["number/sounding"] = jnp.asarray(batch["boxes"]), jnp.asarray(batch["sounding"])
    if measured.truth.kinds:
        out["number/off_screen"] = measured.truth.off_screen(batch, whose)
    shown = {"": maps[""], **{name: maps[name] for name in OTHERS}}
    if measured.prior is not None:
        shown["object_prior"] = objects = measured.objects(variables, batch)
        shown["with_object_prior"] = mixed(maps[""], objects, measured.truth.how)
    shown |= trivial_maps(variables, truth, measured.taught) | {"oracle": trivial.ranked(truth)}
    found = scored(shown, truth, measured.truth.how, ap=False)
    found["whole"] = trivial.whole(truth)  # no map: one that is everywhere alike marks nothing where it is adaptive
    found["some_object"] = trivial.some_object(batch["boxes"], present(batch), truth, ap=False)
    out |= {f"number/{name}": found[""][name] for name in ("ciou", "ciou_adaptive", "pointing")}
    for other in list(found)[1:]:
        out |= {f"number/{name}_{other}": found[other][name] for name in ("ciou", "ciou_adaptive")}
    return out


def score(truth: Truth, predictions: Mapping[str, Any], references: Mapping[str, Any]) -> Figures:
    """AP and the largest F1 of finding what sounds, among as many pictures to which another clip's sound is played,
    among as many that are silent, and among the negatives of the data, where there are some (SLAVC's lists).

    Another clip's sound may be that of a thing that is seen here, too: who finds it is counted as wrong. Where the data
    know kinds, those sounds that nothing seen makes, off-screen, are the negatives of a figure of their own.
    """
    del references
    if "number/ciou" not in predictions:
        return {}
    sounds = np.asarray(predictions["number/sounding"]).any(1)
    right, own = predictions[f"number/{truth.found}"], predictions["number/confidence"]
    beside = {
        "found_among_others": predictions["number/confidence_another_sound"][sounds],
        "found_among_silent": predictions["number/confidence_silence"][sounds],
        "found_among_negatives": own[~sounds],
    }
    if "number/off_screen" in predictions:
        away = np.asarray(predictions["number/off_screen"], bool) & sounds
        beside["found_among_off_screen"] = predictions["number/confidence_another_sound"][away]
    found: Figures = {}
    for name, confident in beside.items():
        if sounds.any() and len(confident):
            of_all = np.concatenate([right[sounds], np.zeros(len(confident))])
            known = np.repeat([True, False], [int(sounds.sum()), len(confident)])
            both = negatives.detection(of_all, np.concatenate([own[sounds], confident]), known)
            found |= {f"{name}_{key}": value for key, value in both.items()}
    return found
