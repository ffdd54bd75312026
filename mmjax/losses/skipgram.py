"""The objectives of skip-gram (Mikolov et al. 2013, "Distributed Representations of Words and Phrases", eq. 2 and 4).

A block of l consecutive words stands between two halos of h words; its window is all l + 2h. Which of the window's
words are contexts of which of the block's is a band mask, so that one matrix product scores the whole block. All
values are float32 sums over the pairs of one centre: divide by `pairs` for the mean.
"""

from __future__ import annotations

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int


@jax.custom_jvp
def softplus(x: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
    """log(1 + exp(x)) = -log sigmoid(-x), exact for any x. Its derivative is the sigmoid, and nothing else is kept."""
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


softplus.defjvps(lambda tangent, value, x: tangent * jax.nn.sigmoid(x))


def contexts(sentence: Int[Array, "b w"], radius: Int[Array, "b l"]) -> Bool[Array, "b l w"]:
    """Which words of the window are contexts of which centre: near, of its sentence, and not itself.

    Args:
      sentence: the number of each word's sentence, -1 in the padding.
      radius: the window drawn for each centre, 1..h.
    """
    block, width = radius.shape[1], sentence.shape[1]
    halo = (width - block) // 2
    distance = np.abs(np.arange(width)[None] - halo - np.arange(block)[:, None]).astype(np.int32)
    own = sentence[:, halo : halo + block, None]
    near = (distance[None] > 0) & (distance[None] <= radius[..., None])
    return near & (own == sentence[:, None]) & (own >= 0)


def noise_weights(
    mask: Bool[Array, "b l w"], window: Int[Array, "b w"], noise: Int[Array, "b k"], negatives: int
) -> Float[Array, "b l k"]:
    """How many pairs each of a block's k shared noise words stands for, centre by centre.

    Each of a centre's pairs has `negatives` noise words, spread evenly over the k drawn for the block; a noise word
    that is the pair's own context is skipped for that pair, as in word2vec.c.

    Args:
      mask: of `contexts`.
      window: the words of the window.
      noise: the words drawn for the block.
      negatives: noise words of one pair.
    """
    one = mask.astype(jnp.float32)
    same = (window[:, :, None] == noise[:, None, :]).astype(jnp.float32)
    skipped = jnp.einsum("blw,bwk->blk", one, same)
    return (jnp.sum(one, 2, keepdims=True) - skipped) * jnp.float32(negatives / noise.shape[1])


def negative_sampling(
    scores: Float[Array, "b l m"], mask: Bool[Array, "b l w"], weights: Float[Array, "b l k"]
) -> Float[Array, "b l"]:
    """eq. 4: for each centre the sum over its contexts of -log sigmoid(s) - sum over noise of log sigmoid(-s).

    Args:
      scores: w'_j . w_i of every word of the window and then of the noise words, m = w + k.
      mask: of `contexts`.
      weights: of `noise_weights`, or any other weight >= 0 of a noise word.
    """
    sign = np.where(np.arange(scores.shape[-1]) < mask.shape[-1], -1, 1).astype(np.float32)
    weight = jnp.concatenate([mask.astype(jnp.float32), weights], -1)
    return jnp.sum(weight * softplus(scores * sign[None, None]), -1)


def full_softmax(
    scores: Float[Array, "b l v"], mask: Bool[Array, "b l w"], window: Int[Array, "b w"]
) -> Float[Array, "b l"]:
    """eq. 2: for each centre the sum over its contexts of -log softmax over the whole vocabulary.

    Args:
      scores: W' w_i, of every word of the vocabulary.
      mask: of `contexts`.
      window: the words of the window.
    """
    log_probability = jax.nn.log_softmax(scores)
    at = jnp.broadcast_to(window[:, None], mask.shape)
    return -jnp.sum(jnp.take_along_axis(log_probability, at, -1), -1, where=mask)
