"""Contrastive losses over all pairs of a batch: CLIP's symmetric cross-entropy and SigLIP's sigmoid loss.

Both return one value per pair, so that `collective.mean_where` of them is the paper's loss. Negatives are the pairs of
all devices. Embeddings are of unit length: the losses do not normalise them.
"""

from __future__ import annotations

import functools

import jax
from jax import nn
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.losses import pairs
from mmjax.ops import collective


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def scale(log_scale: Float[Array, ""], largest: float = 100.0) -> Float[Array, ""]:
    """exp(log_scale), at most `largest`: the learned inverse temperature.

    Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", section 2.5, start
    at ln(1 / 0.07) and never let it scale by more than 100. Their code cuts the parameter off after each step, and so
    lets it come back down. Here the parameter is left alone and its gradient is dropped where it is beyond the bound
    and descent would raise it further: a plain minimum would drop all of it, and the scale could never fall again.

    Args:
      log_scale: the parameter.
      largest: 100 in CLIP. SigLIP has no bound: give it jnp.exp instead.
    """
    return jnp.minimum(jnp.exp(log_scale), largest)


def _scale_forward(log_scale, largest):
    value = scale(log_scale, largest)
    return value, (value, jnp.exp(log_scale) > largest)


def _scale_backward(largest, kept, change):
    del largest
    value, beyond = kept
    rises = collective.mean(change) <= 0  # judged by the gradient of all devices: one may disagree with the rest
    return (jnp.where(beyond & rises, 0.0, change * value),)


scale.defvjp(_scale_forward, _scale_backward)


def clip(
    image: Float[Array, "b d"],
    text: Float[Array, "b d"],
    scale: Float[Array, ""],
    group: Int[Array, "b ..."] | None = None,
    where: Bool[Array, " b"] | None = None,
    block: int | None = None,
    foils: Float[Array, "b k d"] | None = None,
    foiled: Bool[Array, "b k"] | None = None,
) -> Float[Array, " b"]:
    """Half the cross-entropy of finding its text for an image plus half of finding its image for a text, in nats.

    Radford et al. 2021, figure 3. Texts of the same image are neither target nor negative of each other: they are left
    out of the softmax. Without `group` they would be negatives, as in the paper's code.

    Args:
      image, text: of unit length; row i of one belongs to row i of the other. Any float dtype; computed in float32.
      scale: of `scale`, what the cosines are multiplied by.
      group: equal for pairs that match each other, the same numbers on all devices; or [b k], see `pairs.Side`. None:
        each pair is its own.
      where: False for pairs that do not count, whatever they hold.
      block: columns at a time, see `losses.pairs`; None: all at once.
      foils: of unit length: further texts of which each image must be told its own from; see `ops.captions.foiled`.
      foiled: False for foils that do not count; None: all do.

    Returns:
      [b], float32, >= 0; ln B if all pairs score the same; 0 for pairs that do not count.
    """
    images, texts = pairs.sides(image, text, group, where)
    positive = scale * jnp.sum(images.z * texts.z, 1)

    def body(total, own, columns):
        # Relative to the positive, whose own exp(0) is in `total` from the start: a small loss keeps its digits.
        scores = scale * pairs.dot(own.z, columns.z) - positive[:, None]
        scores = jnp.where(pairs.apart(own, columns), scores, pairs.NOTHING)
        return jnp.logaddexp(total, nn.logsumexp(scores, 1))

    start = jnp.zeros(positive.shape)
    rivals = start
    if foils is not None:
        scores = scale * jnp.einsum("bd,bkd->bk", images.z, foils.astype(jnp.float32)) - positive[:, None]
        scores = scores if foiled is None else jnp.where(foiled, scores, pairs.NOTHING)
        rivals = jnp.logaddexp(rivals, nn.logsumexp(scores, 1))
    sides = ((rivals, images, texts), (start, texts, images))
    both = [pairs.fold(body, first, own, pairs.everyone(others), block) for first, own, others in sides]
    return pairs.keep(0.5 * (both[0] + both[1]), images.where)


def siglip(
    image: Float[Array, "b d"],
    text: Float[Array, "b d"],
    scale: Float[Array, ""],
    bias: Float[Array, ""],
    group: Int[Array, "b ..."] | None = None,
    where: Bool[Array, " b"] | None = None,
    block: int | None = None,
) -> Float[Array, " b"]:
    """-sum over texts of log sigmoid(+-(scale cos + bias)), + for texts that match the image and - for the others.

    Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training", section 3.2: scale = exp(t') with t' starting at
    ln 10, bias starting at -10, so that the many negatives cost little at first. The paper's code knows one match per
    image; here every text of its `group` is one.

    Args:
      image, text, group, where, block: as for `clip`.
      scale: jnp.exp of the parameter; no bound in the paper.
      bias: the parameter itself.

    Returns:
      [b], float32, one value per image, >= 0; 0 for pairs that do not count.
    """
    images, texts = pairs.sides(image, text, group, where)

    def body(total, own, columns):
        scores = scale * pairs.dot(own.z, columns.z) + bias
        scores = jnp.where(pairs.same(own, columns), scores, -scores)
        return total + jnp.sum(nn.softplus(-scores), 1, where=columns.where[None])

    total = pairs.fold(body, jnp.zeros(images.where.shape), images, pairs.everyone(texts), block)
    return pairs.keep(total, images.where)
