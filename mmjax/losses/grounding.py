"""Speech grounded in pictures: triplets whose negatives are drawn by lot and are semi-hard."""

from __future__ import annotations

import jax
from jax import lax, nn
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from mmjax.losses import pairs
from mmjax.ops import collective


def triplets(
    image: Float[Array, "b d"],
    speech: Float[Array, "b d"],
    key: Key[Array, ""],
    margin: float = 1.0,
    where: Bool[Array, " b"] | None = None,
) -> Float[Array, " b"]:
    """Hinges [margin - s(i, i) + s(i, j)]+ both ways, each for two j: one drawn by lot, and the semi-hard one.

    Harwath, Hsu and Glass 2020, "Learning Hierarchical Discrete Linguistic Units from Visually-Grounded Speech",
    section 3.2; s is the inner product. Semi-hard is the negative that is most similar of those less similar than the
    pair itself. Where there is none the official code compares with 0, as its masks leave a zero there; here that
    hinge is 0.

    Args:
      image, speech: row i of one belongs to row i of the other. Any float dtype; computed in float32.
      key: of the drawn ones.
      margin: 1 in the paper.
      where: False for pairs that do not count, whatever they hold.

    Returns:
      [b], float32, >= 0: the sum of four hinges; 0 for pairs that do not count or have no negatives.
    """
    images, sounds = pairs.sides(image, speech, where=where)
    positive = jnp.sum(images.z * sounds.z, 1)
    ways = zip(jax.random.split(collective.local_key(key)), ((images, sounds), (sounds, images)))
    both = [_hinges(own, pairs.everyone(others), positive, margin, one) for one, (own, others) in ways]
    return pairs.keep(both[0] + both[1], images.where)


def _hinges(own, columns, positive, margin, key):
    scores, apart = pairs.dot(own.z, columns.z), pairs.apart(own, columns)
    place = jnp.where(apart, jax.random.uniform(key, scores.shape), -1.0)
    drawn = jnp.take_along_axis(scores, jnp.argmax(place, 1)[:, None], 1)[:, 0]
    below = apart & (lax.stop_gradient(scores) < lax.stop_gradient(positive)[:, None])
    semi_hard = jnp.max(jnp.where(below, scores, pairs.NOTHING), 1)
    by_lot = jnp.where(jnp.any(apart, 1), nn.relu(margin - positive + drawn), 0.0)
    return by_lot + nn.relu(margin - positive + semi_hard)
