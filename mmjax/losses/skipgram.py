"""The objectives of skip-gram (Mikolov et al. 2013, "Distributed Representations of Words and Phrases", eq. 2 and 4).

A block of l consecutive words stands between two halos of h words; its window is all l + 2h. Which of the window's
words are contexts of which of the block's is a band mask, so that one matrix product scores the whole block. All
values are float32 sums over the pairs of one centre: divide by `pairs` for the mean.
"""

from __future__ import annotations

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num


def contexts(sentence: Int[Array, "b w"], radius: Int[Array, "b l"], spare: int = 0) -> Bool[Array, "b l m"]:
    """Which words of the window are contexts of which centre: near, of its sentence, and not itself.

    Args:
      sentence: the number of each word's sentence, -1 in the padding.
      radius: the window drawn for each centre, 1..h.
      spare: columns behind the window's that are False: places of noise words, m = w + spare.
    """
    block, width = radius.shape[1], sentence.shape[1]
    halo = (width - block) // 2
    distance = np.abs(np.arange(width)[None] - halo - np.arange(block)[:, None]).astype(np.int32)
    distance = np.pad(distance, ((0, 0), (0, spare)))
    own = sentence[:, halo : halo + block, None]
    near = jnp.logical_and(distance[None] > 0, distance[None] <= radius[..., None])
    return near & (own == jnp.pad(sentence, ((0, 0), (0, spare)))[:, None]) & (own >= 0)


def seen(block: int) -> Float[np.ndarray, "l l"]:
    """How many pairs a pair within a block stands for, by the places of its two words.

    Where the text is cut into blocks at a random place, two words at distance n fall into the same block of l with
    probability 1 - n / l; weighted by the inverse, the pairs within blocks are all pairs on average.
    """
    distance = np.abs(np.arange(block)[None] - np.arange(block)[:, None])
    return (block / (block - distance)).astype(np.float32)


def hits(window: Int[Array, "b w"], noise: Int[Array, "b k"]) -> Float[Array, "b w"]:
    """How many of a block's noise words each word of the window is."""
    return jnp.sum((window[:, :, None] == noise[:, None]).astype(jnp.float32), 2)


@jax.custom_vjp
def negative_sampling(
    scores: Float[Array, "b l m"],
    mask: Float[Array, "b l m"],
    hits: Float[Array, "b w"],
    share: Float[Array, ""],
) -> Float[Array, "b l"]:
    """eq. 4: for each centre the sum over its contexts of -log sigmoid(s) - sum over noise of log sigmoid(-s).

    Each pair has `share` of every noise word of the block. A noise word that is the pair's own context is skipped, as
    in word2vec.c: its share is taken off at the context, whose score is the same. Differentiable by `scores` alone.

    Args:
      scores: w'_j . w_i of every word of the window and then of the noise words, m = w + k.
      mask: of `contexts`, as numbers, 0 at the noise words; other weights of the pairs >= 0 will do.
      hits: of `hits`.
      share: noise words of one pair over noise words of a block.
    """
    pushed = _pushed(mask, hits, share)
    return jnp.sum(mask * jax.nn.softplus(-scores) + pushed * jax.nn.softplus(scores), -1)


def _pushed(mask, hits, share):
    """The weight of -log sigmoid(-s): of all pairs at a noise word, and what is taken off at a context."""
    width, every = hits.shape[1], mask.shape[-1]
    noise = (np.arange(every) >= width)[None, None]
    taken = jnp.pad(hits, ((0, 0), (0, every - width)))[:, None] * -share
    return jnp.where(noise, share * jnp.sum(mask, -1, keepdims=True), mask * taken)


def _of_scores(kept, change):
    scores, mask, hits, share = kept
    slope = (mask + _pushed(mask, hits, share)) * jax.nn.sigmoid(scores) - mask
    return change[..., None] * slope, None, None, None


negative_sampling.defvjp(lambda *arguments: (negative_sampling(*arguments), arguments), _of_scores)


def full_softmax(
    scores: Float[Array, "b l v"], mask: Num[Array, "b l w"], window: Int[Array, "b w"]
) -> Float[Array, "b l"]:
    """eq. 2: for each centre the sum over its contexts of -log softmax over the whole vocabulary.

    Args:
      scores: W' w_i, of every word of the vocabulary.
      mask: of `contexts`.
      window: the words of the window.
    """
    log_probability = jax.nn.log_softmax(scores)
    at = jnp.broadcast_to(window[:, None], mask.shape)
    return -jnp.sum(mask.astype(jnp.float32) * jnp.take_along_axis(log_probability, at, -1), -1)
