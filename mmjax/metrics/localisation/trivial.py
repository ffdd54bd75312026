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


def boxed(boxes: Float[Array, "b 4"], size: int = grid.SIZE) -> Float[Array, "b s s"]:
    """A map of one box ymin, xmin, ymax, xmax, 0..1, that orders what is alike from the box's middle outwards."""
    edges = jnp.floor(jnp.clip(boxes, 0.0, 1.0) * size)  # those of grid.inside
    middle = (edges[:, :2] + edges[:, 2:] - 1) / 2  # b 2: of its first and last pixel
    away = jnp.square((jnp.arange(size, dtype=jnp.float32)[None, None] - middle[..., None]) / (size - 1))  # b 2 s
    return grid.inside(boxes, size).astype(jnp.float32) - (away[:, 0, :, None] + away[:, 1, None]) / 8


def some_object(
    boxes: Float[Array, "b n 4"], present: Bool[Array, "b n"], truth: Float[Array, "b s s"], ap: bool = True
) -> Scores:
    """What one of the picture's objects, drawn at random, is expected to score: sound is not heard, boxes are known.

    The map of an object has its box on top and falls off from the box's own middle: from the picture's, it would point
    to where the boxes of neighbours overlap with it.
    """

    def of_one(chosen: Float[Array, "b 4"]) -> Scores:
        return protocols.scores(boxed(chosen, truth.shape[-1]), truth, ap=ap)

    each = jax.lax.map(of_one, jnp.moveaxis(boxes, 1, 0))  # {name: n b}
    weight = present.astype(jnp.float32).T
    weight = weight / jnp.maximum(jnp.sum(weight, 0, keepdims=True), 1.0)
    return {name: jnp.sum(values * weight, 0) for name, values in each.items()}
