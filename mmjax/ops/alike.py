"""Which examples of a batch hold the very same content: one picture twice is not two that differ."""

from __future__ import annotations

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Int

_FACTOR = 1_000_003
_MIX = np.uint32(0x9E3779B1)


def number_of(content: Int[Array, "b ..."]) -> Int[Array, " b"]:
    """Equal for equal examples, int32, at least 0: their values as digits of numbers modulo 2^32, an axis at a time.

    Two that differ have the same number with a probability of 2^-31.

    Args:
      content: of any integer type: pixels, samples.
    """
    digits = content.astype(jnp.uint32)
    while digits.ndim > 1:
        # Of the axis alone: the powers for all pixels of a picture would be as large as the picture.
        powers = np.array([pow(_FACTOR, i + 1, 2**32) for i in range(digits.shape[-1])], np.uint32)
        digits = jnp.sum(digits * powers.reshape((1,) * (digits.ndim - 1) + (-1,)), -1, dtype=jnp.uint32)
        digits = (digits ^ (digits >> 15)) * _MIX  # or sums of sums would be the same in any order of the axes
    return (digits >> 1).astype(jnp.int32)


def number_among(content: Int[Array, "b ..."], valid: Bool[Array, " b"]) -> Int[Array, " b"]:
    """`number_of`, but each example's place where all valid ones are alike: a probe has blanked them."""
    numbers = number_of(content)
    first = numbers[jnp.argmax(valid)]
    blank = jnp.all((numbers == first) | ~valid)
    return jnp.where(blank, jnp.arange(len(numbers), dtype=jnp.int32), numbers)
