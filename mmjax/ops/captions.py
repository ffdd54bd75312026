"""Several captions of an example, as tokens: one drawn, and which sentences are equal."""

from __future__ import annotations

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Int, Key

from mmjax import vocabulary


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
