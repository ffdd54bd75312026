"""Whether attention that reads a sentence aloud reads all of it, in order; from the symbol that it looks at most.

What is allowed is counted in symbols, and where a step reads several, in as many as it usually reads: codes of 20 ms
pass by faster than the steps that say them.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

BACK, AHEAD, EDGE = 1, 3, 2  # symbols, or as many times the stride
Stride = Float[Array, ""] | float


def monotone(attention: Float[Array, "b s u"], steps: Int[Array, " b"], stride: Stride = 1.0) -> Bool[Array, " b"]:
    """Whether the peak never falls back by more than one symbol from the furthest that it was at.

    An attention that never moves is monotone, too: see `whole`.

    Args:
      attention: of each step over symbols.
      steps: of each example; what lies beyond does not count.
      stride: symbols that a step usually reads; less than 1 is as 1.
    """
    peaks, where = _peaks(attention, steps)
    return _forward(peaks, where, jnp.maximum(stride, 1.0))


def whole(
    attention: Float[Array, "b s u"], steps: Int[Array, " b"], length: Int[Array, " b"], stride: Stride = 1.0
) -> Bool[Array, " b"]:
    """Whether a sentence is read from its beginning to its end: monotone, from one of the first two symbols to one of
    the last two, and never ahead by more than three at once.

    Args:
      attention, steps, stride: as for `monotone`.
      length: symbols of each example.
    """
    (peaks, where), stride = _peaks(attention, steps), jnp.maximum(stride, 1.0)
    leaps = jnp.where(where[:, 1:], peaks[:, 1:] - peaks[:, :-1], 0.0)
    furthest = jnp.max(jnp.where(where, peaks, 0.0), 1)
    begins, ends = peaks[:, 0] < EDGE * stride, furthest >= length.astype(jnp.float32) - EDGE * stride
    return _forward(peaks, where, stride) & begins & ends & jnp.all(leaps <= AHEAD * stride, 1) & (steps > 0)


def _peaks(attention, steps):
    where = jnp.arange(attention.shape[1])[None] < steps[:, None]
    return jnp.argmax(attention, -1).astype(jnp.float32), where


def _forward(peaks, where, stride):
    seen = jnp.where(where, peaks, 0.0)
    furthest = jnp.maximum.accumulate(seen, 1)
    return jnp.all((seen >= furthest - BACK * stride) | ~where, 1)
