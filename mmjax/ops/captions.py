"""Several captions of an example, as tokens: one drawn, which sentences are equal, and sentences made wrong."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from mmjax.text import vocabulary


def drawn(
    tokens: Int[Array, "b c t"], length: Int[Array, "b c"], key: Key[Array, ""]
) -> tuple[Int[Array, "b t"], Int[Array, " b"]]:
    """One of each example's captions, those of length 0 left out: its tokens and its length, 0 where there is none."""
    count = jnp.maximum(jnp.sum(length > 0, 1), 1)
    place = jnp.floor(jax.random.uniform(key, count.shape) * count.astype(jnp.float32)).astype(jnp.int32)
    rows, place = jnp.arange(len(count)), jnp.minimum(place, count - 1)
    return tokens[rows, place], length[rows, place]


def number_of(tokens: Int[Array, "*b t"], place: Int[Array, "*b"]) -> Int[Array, "*b"]:
    """Equal for equal sentences, int32, at least 0: their words as digits of a number modulo 2^31.

    Two sentences with a word that the vocabulary lacks may differ in it: each has a number of its own, by its `place`.
    """
    powers = np.array([pow(1_000_003, i + 1, 2**32) for i in range(tokens.shape[-1] + 1)], np.uint32)
    unknown = jnp.any(tokens == vocabulary.UNK, -1)
    place = jnp.where(unknown, place + 1, 0)[..., None]
    digits = jnp.concatenate([tokens + 1, place], -1).astype(jnp.uint32)
    mixed = jnp.sum(digits * powers.reshape((1,) * (tokens.ndim - 1) + (-1,)), -1)
    return (mixed >> 1).astype(jnp.int32)


def foiled(
    tokens: Int[Array, "b t"], exchange: Sequence[Int[Array, "m n"]], key: Key[Array, ""]
) -> tuple[Int[Array, "b t"], Bool[Array, " b"]]:
    """Sentences that are wrong by a word: one of a group is replaced by another of it, wherever it stands.

    Shekhar et al. 2017, "FOIL it! Find One mismatch between Image and Language caption"; as negatives in training:
    Yuksekgonul et al. 2023, "When and why vision-language models behave like bags-of-words, and what to do about it".

    Args:
      tokens: of sentences.
      exchange: groups of words as numbers, -1 for words that the vocabulary lacks. A group may be several lists that
        change together, so that "the bell rings" becomes "the drum booms".
      key: draws the group, among those of which the sentence has a word, and the word that takes its place.

    Returns:
      The sentences, and whether anything could be exchanged in them.
    """
    made, *keys = jax.random.split(key, len(exchange) + 1)
    results = []
    for lists, own in zip(exchange, keys, strict=True):
        shift = jax.random.randint(own, (len(tokens), 1), 1, lists.shape[1])
        new = tokens
        for words in lists:
            at = tokens[..., None] == words[None, None]  # b t n
            other = words[(jnp.argmax(at, -1) + shift) % len(words)]
            new = jnp.where(jnp.any(at, -1) & (other >= 0), other, new)
        results.append(new)
    several = jnp.stack(results, 1)  # b groups t
    changed = jnp.any(several != tokens[:, None], -1)
    lot = jnp.where(changed, jax.random.uniform(made, changed.shape), -1.0)
    pick = jnp.argmax(lot, 1)[:, None, None]
    return jnp.take_along_axis(several, pick, 1)[:, 0], jnp.any(changed, 1)


def together(tokens: Int[Array, "*b t"], words: Int[Array, " n"]) -> Float[Array, "n n"]:
    """Which pairs of words stand in one sentence somewhere: 1 where they do, 0 elsewhere."""
    held = _held(tokens, words).reshape(-1, len(words))
    return (held.T @ held > 0).astype(jnp.float32)


def all_known(tokens: Int[Array, "*b t"], words: Int[Array, " n"], known: Float[Array, "n n"]) -> Bool[Array, "*b"]:
    """Whether all of a sentence's pairs of these words are among the known ones of `together`.

    A foil of words that were never seen together says nothing against them: as a negative it would teach that what is
    new is wrong, and new combinations are what held-out captions are made of.
    """
    held = _held(tokens, words)
    strange = jnp.where(known > 0, 0.0, 1.0)
    return jnp.einsum("...i,ij,...j->...", held, strange, held) == 0


def _held(tokens, words):
    lead = (1,) * tokens.ndim + (-1,)
    found = (tokens[..., None] == words.reshape(lead)) & (words >= 0).reshape(lead)
    return jnp.any(found, -2).astype(jnp.float32)
