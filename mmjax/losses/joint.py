"""The losses of joint embeddings by name: each takes two sides of a batch, its own parameters, and gives one scalar.

triplet, contrastive, devise, recipe, gaussian, clip, siglip: see the losses that they are made of. What a method learns
beside the towers (a classifier, a temperature) is in `params`, and is shared by all pairs of sides.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.errors import OptionError
from mmjax.losses import classification, contrastive, cosine, metric, probabilistic
from mmjax.ops import collective

Loss = tuple[Float[Array, ""], dict[str, Any]]  # and its logs


class Pair(NamedTuple):
    """Two sides of a batch as a loss sees them: `a` and `b` [b d], their log-variances or None, which examples match,
    [b] or [b k] (None: each itself; see `pairs.Side`), whether an example counts [b], its class [b] or None, and the
    classes' vectors."""

    a: Float[Array, "b d"]
    b: Float[Array, "b d"]
    a_spread: Any
    b_spread: Any
    group: Int[Array, "b ..."] | None
    where: Bool[Array, " b"]
    label: Any
    classes: Any


class Method(NamedTuple):
    """A loss over pairs.

    `params(width, classes, key)` gives the parameters that it shares between the sides, of a space of this width and so
    many classes; `loss(params, steps, pair, key, **options)` a scalar and its logs; `steps` are those already made.
    """

    params: Callable[..., dict[str, Any]]
    loss: Callable[..., Loss]


def _nothing(width: int, classes: int, key: Array) -> dict[str, Any]:
    del width, classes, key
    return {}


def _scalars(**values: float) -> Callable[..., dict[str, Any]]:
    return lambda width, classes, key: {name: jnp.float32(value) for name, value in values.items()}


def triplet(
    params: Any, steps: Any, pair: Pair, key: Array, *, margin: float, negatives: str, warmup: int, block: int
) -> Loss:
    """`losses.metric.triplet`; with the hardest negatives, the first `warmup` steps have all of them.

    Early the hardest negative of a batch pulls all points together (VSE++ is started from VSE's weights, or with a
    pretrained encoder); all negatives lead out of that.
    """
    del params, key
    common: dict[str, Any] = {"group": pair.group, "where": pair.where, "block": block or None}
    value = collective.mean_where(metric.triplet(pair.a, pair.b, margin, negatives, **common), pair.where)
    if negatives == "hardest" and warmup:
        every = metric.triplet(pair.a, pair.b, margin, "sum", **common)
        value = jnp.where(steps < warmup, collective.mean_where(every, pair.where), value)
    return value, {}


def push_and_pull(params: Any, steps: Any, pair: Pair, key: Array, *, margin: float, share: float) -> Loss:
    """`losses.metric.push_pull` of each a with its own b, and in `share` of the pairs with another's."""
    del params, steps
    partner, matched = cosine.mismatch(key, _group(pair), share, pair.where)
    other = collective.everywhere(pair.b)[partner]
    return collective.mean_where(metric.push_pull(pair.a, other, matched, margin, pair.where), pair.where), {}


def _group(pair: Pair) -> Int[Array, "b ..."]:
    return collective.numbers(len(pair.where)) if pair.group is None else pair.group


def devise(params: Any, steps: Any, pair: Pair, key: Array, *, margin: float, drawn: bool) -> Loss:
    """`losses.metric.devise` among the labels' frozen vectors: one violating label `drawn`, or all of them."""
    del params, steps
    values = metric.devise(pair.a, pair.classes, pair.label, margin, collective.local_key(key) if drawn else None)
    return collective.mean_where(values, pair.label >= 0), {}


def recipe(
    params: Any,
    steps: Any,
    pair: Pair,
    key: Array,
    *,
    margin: float,
    share: float,
    cosine_weight: float,
    class_weight: float,
) -> Loss:
    """im2recipe: 0.98 x the cosine loss with 80 % mismatches + 0.01 x cross-entropy of each side by one classifier."""
    del steps
    apart = cosine.in_batch(key, pair.a, pair.b, pair.group, margin, share, pair.where)
    apart = collective.mean_where(apart, pair.where)
    sorted_ = [
        collective.mean_where(classification.cross_entropy(classify(params, z), pair.label), pair.label >= 0)
        for z in (pair.a, pair.b)
    ]
    logs = {"cosine": apart, "class_first": sorted_[0], "class_second": sorted_[1]}
    return cosine_weight * apart + class_weight * (sorted_[0] + sorted_[1]), logs


def classify(params: Any, z: Float[Array, "b d"]) -> Float[Array, "b c"]:
    """Logits [b c] of the classifier that both sides share."""
    return z @ params["classifier"]["kernel"] + params["classifier"]["bias"][None]


def _classifier(width: int, classes: int, key: Array) -> dict[str, Any]:
    kernel = jax.random.uniform(key, (width, classes), jnp.float32, -1, 1) * width**-0.5
    return {"classifier": {"kernel": kernel, "bias": jnp.zeros(classes)}}


def gaussian(params: Any, steps: Any, pair: Pair, key: Array, *, pseudo: float, information: float, block: int) -> Loss:
    """PCME++: matching both ways, + `pseudo` x the same with pseudo-positives, + `information` x the bottleneck."""
    del steps, key
    one, two = probabilistic.Gaussian(pair.a, pair.a_spread), probabilistic.Gaussian(pair.b, pair.b_spread)
    mean = functools.partial(collective.mean_where, where=pair.where)
    match = functools.partial(
        probabilistic.matching, slope=params["slope"], shift=params["shift"], group=pair.group, where=pair.where,
        block=block or None,
    )  # fmt: skip
    value = 2 * mean(match(one, two))
    if pseudo:
        value += pseudo * (mean(match(one, two, pseudo=True)) + mean(match(two, one, pseudo=True)))
    value += information * sum(mean(probabilistic.information(side, pair.where)) for side in (one, two))
    spread = [mean(probabilistic.uncertainty(side.log_variance)) for side in (one, two)]
    return value, {"uncertainty_first": spread[0], "uncertainty_second": spread[1], "slope": params["slope"]}


def clip(params: Any, steps: Any, pair: Pair, key: Array, *, block: int) -> Loss:
    """`losses.contrastive.clip` with the temperature that it learns."""
    del steps, key
    scale = contrastive.scale(params["log_scale"])
    values = contrastive.clip(pair.a, pair.b, scale, pair.group, pair.where, block or None)
    return collective.mean_where(values, pair.where), {"scale": scale}


def siglip(params: Any, steps: Any, pair: Pair, key: Array, *, block: int) -> Loss:
    """`losses.contrastive.siglip` with its temperature and its bias."""
    del steps, key
    scale = jnp.exp(params["log_scale"])
    values = contrastive.siglip(pair.a, pair.b, scale, params["bias"], pair.group, pair.where, block or None)
    return collective.mean_where(values, pair.where), {"scale": scale, "bias": params["bias"]}


METHODS = {
    "triplet": Method(_nothing, triplet),
    "contrastive": Method(_nothing, push_and_pull),
    "devise": Method(_nothing, devise),
    "recipe": Method(_classifier, recipe),
    "gaussian": Method(_scalars(slope=5.0, shift=5.0), gaussian),
    "clip": Method(_scalars(log_scale=math.log(1 / 0.07)), clip),
    "siglip": Method(_scalars(log_scale=math.log(10), bias=-10.0), siglip),
}


def make(method: str, options: Mapping[str, Any]) -> Method:
    """The method of this name.

    Raises:
      OptionError: an unknown method, or `options` that are not those of its loss.
    """
    if method not in METHODS:
        raise OptionError("method", f"{method!r} is unknown: choose one of {', '.join(METHODS)}")
    offered = inspect.signature(METHODS[method].loss).parameters.values()
    known = {option.name for option in offered if option.kind is option.KEYWORD_ONLY}
    wrong = sorted(known ^ set(options))
    if wrong:
        fault = "is no option of" if wrong[0] in options else "is needed by"
        raise OptionError(wrong[0], f"{fault} method {method!r}: start from a variant of that method")
    return METHODS[method]
