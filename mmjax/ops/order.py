"""The k-th largest of many numbers, without a sort."""

from __future__ import annotations

from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.ops import lanes

LEAST, MOST = -(1 << 31), (1 << 31) - 1  # of an int32
GUESSES = 16  # before some of them halve what is left


def kth_largest(values: Float[Array, "b n"], ranks: Int[Array, "b k"]) -> Float[Array, "b k"]:
    """The value of each rank in its row, 1 being the largest: sort(values)[..., n - rank], exactly.

    Args:
      values: float32 without NaN; -0 lies below +0.
      ranks: int32, 1..n.
    """
    return numbers(kth_key(keys(values), ranks))


def keys(values: Float[Array, "*b"]) -> Int[Array, "*b"]:
    """Integers of the same order as float32 numbers: their bits, those of negative ones turned over."""
    return _turned(lax.bitcast_convert_type(values, jnp.int32))


def numbers(of: Int[Array, "*b"]) -> Float[Array, "*b"]:
    """What `keys` are of."""
    return lax.bitcast_convert_type(_turned(of), jnp.float32)


def _turned(bits: Array) -> Array:
    return jnp.where(bits < 0, bits ^ jnp.int32(0x7FFFFFFF), bits)


def kth_key(of: Int[Array, "b n"], ranks: Int[Array, "b k"]) -> Int[Array, "b k"]:
    """`kth_largest` of the numbers that have these keys, as a key.

    What is sought is a threshold that as many numbers reach as the rank says. Two ends close in on it by regula falsi,
    one count of all numbers for each guess, about ten for a smooth map (by Illinois' rule: an end that stays twice
    counts half). Among equals there is no such threshold: now and then it is asked whether the largest number below the
    upper end is the one. And if there have been many guesses, some of them halve what is left, so that anything ends.
    XLA:CPU's sort takes fifty times as long.
    """
    parts = lanes.pieces(of, LEAST)

    def missed(least: Int[Array, "b k"]) -> Int[Array, "b k"]:
        """By how many more than the rank a threshold is reached."""
        reached = [(part[:, None] >= least[..., None]).astype(jnp.int32) for part in parts]
        return jnp.sum(lanes.joined(jnp.add, reached), -1) - ranks

    def next_below(end: Int[Array, "b k"]) -> Int[Array, "b k"]:
        below = [jnp.where(part[:, None] < end[..., None], part[:, None], LEAST) for part in parts]
        return jnp.max(lanes.joined(jnp.maximum, below), -1)

    def apart(state):
        low, high, over = state[:3]
        return jnp.any((over > 0) & (high - 1 > low))

    def closer(state):
        low, high, over, weights, was_low, number = state
        a, b = numbers(low), numbers(high)
        guess = keys(a + (b - a) * (weights[0] / (weights[0] + weights[1])))
        middle = (low & high) + ((low ^ high) >> 1)
        guess = jnp.where((number >= GUESSES) & (number % 4 == 1), middle, guess)
        ask = (number >= GUESSES // 2) & (number % 4 == 3)
        at = jnp.clip(lax.cond(ask, next_below, lambda end: guess, high), low + 1, high - 1)
        by = missed(at)
        is_low = by >= 0
        stays = jnp.where(is_low == was_low, 0.5, 1.0)
        size = jnp.abs(by).astype(jnp.float32)
        weights = jnp.where(is_low, size, stays * weights[0]), jnp.where(is_low, stays * weights[1], size)
        ends = jnp.where(is_low, at, low), jnp.where(is_low, jnp.where(ask, at + 1, high), at)
        return *ends, jnp.where(is_low, by, over), weights, is_low, number + 1

    low = jnp.min(lanes.joined(jnp.minimum, lanes.pieces(of, MOST)), -1, keepdims=True)
    high = jnp.max(lanes.joined(jnp.maximum, parts), -1, keepdims=True) + 1
    low, high = (jnp.broadcast_to(end, ranks.shape) for end in (low, high))
    over = of.shape[-1] - ranks
    weights = over.astype(jnp.float32), ranks.astype(jnp.float32)
    low, *_ = lax.while_loop(apart, closer, (low, high, over, weights, jnp.zeros(ranks.shape, bool), 0))
    reaching = [jnp.where(part[:, None] >= low[..., None], part[:, None], MOST) for part in parts]
    return jnp.min(lanes.joined(jnp.minimum, reaching), -1)
