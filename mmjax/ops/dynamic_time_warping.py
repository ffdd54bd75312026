"""How far two sequences are apart that are of different length and pace (Sakoe and Chiba 1978)."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

FAR = 1e30


def distance(costs: Float[Array, "b n m"], first: Int[Array, " b"], second: Int[Array, " b"]) -> Float[Array, " b"]:
    """The mean cost along the path from (0, 0) to the ends whose sum is the least, by steps right, down or both.

    The sum is divided by the path's own length, as in the ABX tests of ZeroSpeech; of equally good predecessors the
    diagonal one is taken, then the one above. All rows of a diagonal are computed at once, and all pairs of a batch.

    Args:
      costs: of frame i of the first with frame j of the second, at least 0; any float dtype, computed in float32.
      first, second: frames that are real, at least 1; what lies beyond does not count, whatever it holds.

    Returns:
      [b], float32.
    """
    b, n, m = costs.shape
    wide = costs.astype(jnp.float32)
    # Row i moves right by i: then column k holds the diagonal i + j = k.
    skewed = jnp.pad(wide, ((0, 0), (0, 0), (0, n))).reshape(b, -1)[:, : n * (m + n - 1)].reshape(b, n, m + n - 1)
    row = jnp.arange(n)[None]
    ends, at = first + second - 2, (first - 1)[:, None]

    def step(carry, given):
        (one, one_long), (two, two_long), found = carry  # the diagonals before and before that
        k, cost = given
        ways = ((_down(two, k == 0), _down(two_long, False, 0.0)), (_down(one, False), _down(one_long, False, 0.0)))
        (best, long), above, left = ways[0], ways[1], (one, one_long)
        for other, other_long in (above, left):
            better = other < best
            best, long = jnp.where(better, other, best), jnp.where(better, other_long, long)
        column = k - row
        inside = (column >= 0) & (column < m)
        best, long = jnp.where(inside, best + cost, FAR), long + 1.0
        mean = (jnp.take_along_axis(best, at, 1) / jnp.take_along_axis(long, at, 1))[:, 0]
        found = jnp.where(k == ends, mean, found)
        return ((best, long), (one, one_long), found), None

    start = jnp.full((b, n), FAR), jnp.zeros((b, n))
    given = jnp.arange(m + n - 1), jnp.moveaxis(skewed, 2, 0)
    return lax.scan(step, (start, start, jnp.zeros(b)), given)[0][2]


def _down(x, begin, first=FAR):
    """Row i becomes row i + 1; the first is 0 where the path begins."""
    top = jnp.where(begin, 0.0, first) * jnp.ones((x.shape[0], 1))
    return jnp.concatenate([top.astype(x.dtype), x[:, :-1]], 1)
