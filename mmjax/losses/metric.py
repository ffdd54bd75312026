"""Losses with a margin: pairs that pull and push, triplets over a batch, and ranking among frozen label vectors."""

from __future__ import annotations

import jax
from jax import lax, nn
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.errors import OptionError
from mmjax.losses import pairs

NEGATIVES = ("sum", "hardest")


def push_pull(
    a: Float[Array, "b d"],
    b: Float[Array, "b d"],
    matched: Bool[Array, " b"],
    margin: float = 1.0,
    where: Bool[Array, " b"] | None = None,
) -> Float[Array, " b"]:
    """D^2 / 2 of a pair that matches (pull), max(0, margin - D)^2 / 2 of one that does not (push), D = |a - b|.

    Hadsell, Chopra and LeCun 2006, "Dimensionality Reduction by Learning an Invariant Mapping", eq. 4; their Y is 0
    for a pair that matches. At D = 0 a push has no direction, and its gradient is 0.

    Args:
      a, b: any float dtype; computed in float32.
      matched: whether row i of a belongs with row i of b.
      margin: the distance beyond which nothing is pushed. Between vectors of unit length D is at most 2.
      where: False for pairs that do not count, whatever they hold.

    Returns:
      [b], float32, >= 0; 0 for pairs that do not count.
    """
    one, two = pairs.sides(a, b, where=where)
    return pairs.keep(_push_pull(jnp.sum((one.z - two.z) ** 2, 1), jnp.asarray(matched), margin), one.where)


def _push_pull(squared, matched, margin):
    apart = squared > 0
    distance = jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1.0)), 0.0)  # the root's slope at 0 is infinite
    return 0.5 * jnp.where(matched, squared, nn.relu(margin - distance) ** 2)


def push_pull_all(
    a: Float[Array, "b d"],
    b: Float[Array, "b d"],
    margin: float = 1.0,
    group: Int[Array, "b ..."] | None = None,
    where: Bool[Array, " b"] | None = None,
    block: int | None = None,
) -> Float[Array, " b"]:
    """The sum of `push_pull` over all pairs of one a with the b of every device.

    Args:
      a, b, margin, where: as for `push_pull`; row i of one belongs to row i of the other.
      group: equal for pairs that match each other, the same numbers on all devices; or [b k], see `pairs.Side`. None:
        each pair is its own.
      block: columns at a time, see `losses.pairs`; None: all at once.

    Returns:
      [b], float32, >= 0; 0 for pairs that do not count. Few of its terms pull: one per match, out of the batch.
    """
    one, two = pairs.sides(a, b, group, where)

    def body(total, own, columns):
        values = _push_pull(pairs.squared_distance(own.z, columns.z), pairs.same(own, columns), margin)
        return total + jnp.sum(values, 1, where=columns.where[None])

    return pairs.keep(pairs.fold(body, jnp.zeros(one.where.shape), one, pairs.everyone(two), block), one.where)


def triplet(
    image: Float[Array, "b d"],
    text: Float[Array, "b d"],
    margin: float = 0.2,
    negatives: str = "sum",
    group: Int[Array, "b ..."] | None = None,
    where: Bool[Array, " b"] | None = None,
    block: int | None = None,
) -> Float[Array, " b"]:
    """Hinges [margin - s(i, c) + s(i, c')]+ and [margin - s(i, c) + s(i', c)]+ of each pair, s the inner product.

    Faghri et al. 2018, "VSE++: Improving Visual-Semantic Embeddings with Hard Negatives": eq. 5 with "sum" (VSE0,
    Kiros et al. 2014), eq. 6 with "hardest" (VSE++). The authors' code adds up the batch, so that the clipped gradient
    depends on its size; times the batch size, the mean of these values is that sum. There, too, other captions of an
    image are negatives of it, as here where `group` is None.

    Args:
      image, text: of unit length in the paper; row i of one belongs to row i of the other. Any float dtype; computed
        in float32.
      margin: 0.2 in the paper.
      negatives: "sum", over all of the batch; or "hardest", the one of each side with the largest s, of equals the
        first.
      group: equal for pairs that match each other, the same numbers on all devices; these are no negatives. Or [b k],
        see `pairs.Side`.
      where: False for pairs that do not count, whatever they hold.
      block: columns at a time, see `losses.pairs`; None: all at once.

    Returns:
      [b], float32, >= 0; 0 for pairs that do not count or have no negatives.

    Raises:
      OptionError: other negatives.
    """
    if negatives not in NEGATIVES:
        raise OptionError("negatives", f"is {negatives!r}: choose {' or '.join(map(repr, NEGATIVES))}")
    images, texts = pairs.sides(image, text, group, where)
    positive = jnp.sum(images.z * texts.z, 1)
    found = _hinges if negatives == "sum" else _hardest_hinge
    to_text = found(images, pairs.everyone(texts), positive, margin, block)
    to_image = found(texts, pairs.everyone(images), positive, margin, block)
    return pairs.keep(to_text + to_image, images.where)


def _hinges(own, columns, positive, margin, block):
    def body(total, own, columns):
        over = nn.relu(margin - positive[:, None] + pairs.dot(own.z, columns.z))
        return total + jnp.sum(over, 1, where=pairs.apart(own, columns))

    return pairs.fold(body, jnp.zeros(positive.shape), own, columns, block)


def _hardest_hinge(own, columns, positive, margin, block):
    at, exists = pairs.hardest(own, columns, block)
    over = nn.relu(margin - positive + jnp.sum(own.z * columns.z[at], 1))
    return jnp.where(exists, over, 0.0)


def devise(
    image: Float[Array, "b d"],
    vectors: Float[Array, "c d"],
    label: Int[Array, " b"],
    margin: float = 0.1,
    key: jax.Array | None = None,
) -> Float[Array, " b"]:
    """sum over j != label of [margin - t_label . v + t_j . v]+ over the vectors t of all labels.

    Frome et al. 2013, "DeViSE: A Deep Visual-Semantic Embedding Model", eq. 1. The authors go through the labels in
    random order and stop at the first that violates the margin; so does this, given a key.

    Args:
      image: M v, pictures projected into the space of the words. Any float dtype; computed in float32.
      vectors: of the labels, of unit length in the paper, frozen: no gradient flows into them.
      label: 0..c-1; a negative label does not count, whatever its image holds.
      margin: 0.1 in the paper.
      key: None: the whole sum. Otherwise each picture has one term, of a label drawn among those that violate.

    Returns:
      [b], float32, >= 0; 0 for examples that do not count.
    """
    label = jnp.asarray(label)
    where = label >= 0
    z = pairs.keep(image.astype(jnp.float32), where)
    scores = pairs.dot(z, lax.stop_gradient(vectors.astype(jnp.float32)))
    right = jnp.maximum(label, 0)[:, None]
    over = nn.relu(margin - jnp.take_along_axis(scores, right, 1) + scores)
    over = jnp.where(jnp.arange(len(vectors), dtype=label.dtype)[None] == right, 0.0, over)
    if key is None:
        return pairs.keep(jnp.sum(over, 1), where)
    place = jnp.where(over > 0, jax.random.uniform(key, over.shape), -1.0)  # the first of a random order is its largest
    first = jnp.take_along_axis(over, jnp.argmax(place, 1)[:, None], 1)[:, 0]
    return pairs.keep(first, where)
