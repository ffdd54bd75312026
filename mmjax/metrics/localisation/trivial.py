"""Maps that know neither the sound nor, most of them, the picture; and the oracle of each protocol.

Any figure of `protocols` stands beside theirs: on VGG-SS a disc in the middle of every picture reaches a cIoU of 34.0
at the median, and no map without ties can reach more than 50.5.
"""

from __future__ import annotations

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.metrics.localisation import grid, protocols
from mmjax.metrics.localisation.protocols import Scores


def disc(size: int = grid.SIZE) -> Float[Array, "s s"]:
    """0 in the middle and -1 in the corners, by the square of the distance: whatever part is marked is a disc.

    At the median it is the disc of half the picture; in the adaptive protocol it has the area of the truth.
    """
    away = (jnp.arange(size, dtype=jnp.float32) - (size - 1) / 2) / ((size - 1) / 2)
    return -(jnp.square(away)[:, None] + jnp.square(away)[None]) / 2


def ranked(truth: Float[Array, "b s s"]) -> Float[Array, "b s s"]:
    """A map that has the truth on top and orders what is alike from the middle outwards.

    It is the oracle of both protocols. No map without ties has a higher cIoU, which at the median is min(2a, 1/2a) of
    a truth of area a. (Ties can be worth more: a flat map marks everything, which is right where a > 1/2.)
    """
    return truth + 0.25 * disc(truth.shape[-1])[None]


def whole(truth: Float[Array, "b s s"]) -> Scores:
    """`protocols.scores` of an answer that marks the whole picture under either protocol."""
    right, beside = jnp.sum(truth, (1, 2)), jnp.sum((truth == 0).astype(jnp.float32), (1, 2))
    everything = right / (right + beside)
    return {
        "ciou": everything,
        "ciou_adaptive": everything,
        "pointing": jnp.mean((truth > 0).astype(jnp.float32), (1, 2)),
        "pixel_ap": jnp.mean((truth >= 0.5).astype(jnp.float32), (1, 2)),
    }


def some_object(
    boxes: Float[Array, "b n 4"], present: Bool[Array, "b n"], truth: Float[Array, "b s s"], ap: bool = True
) -> Scores:
    """What one of the picture's objects, drawn at random, is expected to score: sound is not heard, boxes are known."""
    maps = grid.inside(boxes, truth.shape[-1]).astype(jnp.float32)  # b n s s

    def of_one(boxed: Array) -> Scores:
        return protocols.scores(ranked(boxed), truth, ap=ap)

    each = jax.lax.map(of_one, jnp.moveaxis(maps, 1, 0))  # {name: n b}
    weight = present.astype(jnp.float32).T
    weight = weight / jnp.maximum(jnp.sum(weight, 0, keepdims=True), 1.0)
    return {name: jnp.sum(values * weight, 0) for name, values in each.items()}
