"""Losses of cosines: im2recipe's of pairs that match or do not, and that of triplets."""

from __future__ import annotations

import jax
from jax import nn
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.losses import pairs
from mmjax.ops import collective

_TINY = 1e-12  # a vector of zeros has the cosine 0 to everything, and no NaN in its gradient


def similarity(a: Float[Array, "b d"], b: Float[Array, "b d"]) -> Float[Array, " b"]:
    """cos(a_i, b_i), [b], float32, in [-1, 1]; 0 where either is a vector of zeros."""
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)
    return jnp.sum(a * b, 1) * jax.lax.rsqrt((jnp.sum(a * a, 1) + _TINY) * (jnp.sum(b * b, 1) + _TINY))


def embedding(
    a: Float[Array, "b d"],
    b: Float[Array, "b d"],
    matched: Bool[Array, " b"],
    margin: float = 0.1,
    where: Bool[Array, " b"] | None = None,
) -> Float[Array, " b"]:
    """1 - cos(a, b) of a pair that matches, max(0, cos(a, b) - margin) of one that does not.

    Salvador et al. 2017, "Learning Cross-modal Embeddings for Cooking Recipes and Food Images", section 3.2. The
    paper's code averages it over the batch and weighs it by 0.98, beside 0.01 for each side's semantic regularisation.

    Args:
      a, b: of any length, for the cosine does not see it; any float dtype, computed in float32.
      matched: whether row i of a belongs with row i of b.
      margin: the cosine below which a mismatched pair is left alone; 0.1 in the paper's code.
      where: False for pairs that do not count, whatever they hold.

    Returns:
      [b], float32, in 0..2; 0 for pairs that do not count.
    """
    if where is not None:
        # Masked before any product: a NaN in the padding must not reach the gradient either.
        a, b = pairs.keep(a, where), pairs.keep(b, where)
    found = similarity(a, b)
    values = jnp.where(matched, 1.0 - found, nn.relu(found - margin))
    return values if where is None else pairs.keep(values, where)


def triplet(
    anchor: Float[Array, "b d"],
    positive: Float[Array, "b d"],
    negative: Float[Array, "b d"],
    margin: float = 0.5,
    where: Bool[Array, " b"] | None = None,
) -> Float[Array, " b"]:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d = 1 - cos.

    Gao and Grauman 2021, "VisualVoice", the losses of cross-modal matching and of speaker consistency: a voice is to be
    nearer to its own face than to another one, and to another recording of its speaker than to somebody else's.

    Args:
      anchor, positive, negative: of any length, for the cosine does not see it; any float dtype, computed in float32.
      margin: 0.5 in the paper's code.
      where: False for triplets that do not count, whatever they hold.

    Returns:
      [b], float32, in 0..2 + margin; 0 for triplets that do not count.
    """
    if where is not None:
        anchor, positive, negative = (pairs.keep(x, where) for x in (anchor, positive, negative))
    values = nn.relu(similarity(anchor, negative) - similarity(anchor, positive) + margin)
    return values if where is None else pairs.keep(values, where)


def mismatch(
    key: jax.Array, group: Int[Array, "b ..."], share: float = 0.8, where: Bool[Array, " b"] | None = None
) -> tuple[Int[Array, " b"], Bool[Array, " b"]]:
    """Draws for each example whom of the batch it is paired with: itself, or with probability `share` another.

    The paper's code draws 80 % of its training pairs as mismatches, each another example of the data set at random.

    Args:
      key: the same on every device (not `collective.local_key`), so that what is drawn does not depend on them.
      group: equal for examples that match each other; the same numbers on all devices. Or [b k], see `pairs.Side`.
      share: the probability of another example, in [0, 1].
      where: False for examples that do not count; nobody is paired with them.

    Returns:
      the partner's place in the batch of all devices, [b], and whether it matches after all: another caption of the
      same image is no mismatch.
    """
    size = len(group)
    number = collective.numbers(size)
    counts = jnp.ones(size, bool) if where is None else jnp.asarray(where)
    own = jnp.asarray(group).reshape(size, -1)
    everyone, counts = collective.everywhere((own, counts))
    total = len(everyone)
    of_choice, of_shift = jax.random.split(key)
    # Drawn for the whole batch and then picked from, so that one device and eight draw the same.
    other = jax.random.bernoulli(of_choice, share, (total,))[number]
    shift = jax.random.randint(of_shift, (total,), 1, max(total, 2))[number]
    partner = jnp.where(other, (number + shift) % total, number)
    partner = jnp.where(counts[partner], partner, number)
    return partner, jnp.any(everyone[partner] == own, -1)


def in_batch(
    key: jax.Array,
    a: Float[Array, "b d"],
    b: Float[Array, "b d"],
    group: Int[Array, "b ..."] | None = None,
    margin: float = 0.1,
    share: float = 0.8,
    where: Bool[Array, " b"] | None = None,
) -> Float[Array, " b"]:
    """`embedding` of each a with the b of its `mismatch`, wherever that lies.

    Args:
      key, share: as for `mismatch`.
      a, b, margin, where: as for `embedding`; row i of one belongs to row i of the other.
      group: as for `mismatch`; None: each pair is its own.

    Returns:
      [b], float32; 0 for pairs that do not count.
    """
    one, two = pairs.sides(a, b, group, where)
    partner, matched = mismatch(key, one.group, share, one.where)
    return embedding(one.z, collective.everywhere(two.z)[partner], matched, margin, one.where)
