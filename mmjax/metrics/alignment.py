"""Whether attention that reads a sentence aloud reads all of it, in order; from the symbol that it looks at most."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

BACK, AHEAD, EDGE = 1, 3, 2  # symbols


def monotone(attention: Float[Array, "b s u"], steps: Int[Array, " b"]) -> Bool[Array, " b"]:
    """Whether the peak never falls back by more than one symbol from the furthest that it was at.

    An attention that never moves is monotone, too: see `whole`.

    Args:
      attention: of each step over symbols.
      steps: of each example; what lies beyond does not count.
    """
    return _forward(*_peaks(attention, steps))


def whole(attention: Float[Array, "b s u"], steps: Int[Array, " b"], length: Int[Array, " b"]) -> Bool[Array, " b"]:
    """Whether a sentence is read from its beginning to its end: monotone, from one of the first two symbols to one of
    the last two, and never ahead by more than three at once.

    Args:
      attention: as for `monotone`.
      steps: as for `monotone`.
      length: symbols of each example.
    """
    peaks, where = _peaks(attention, steps)
    leaps = jnp.where(where[:, 1:], peaks[:, 1:] - peaks[:, :-1], 0)
    furthest = jnp.max(jnp.where(where, peaks, 0), 1)
    begins, ends = peaks[:, 0] < EDGE, furthest >= length - EDGE
    return _forward(peaks, where) & begins & ends & jnp.all(leaps <= AHEAD, 1) & (steps > 0)


def _peaks(attention, steps):
    where = jnp.arange(attention.shape[1])[None] < steps[:, None]
    return jnp.argmax(attention, -1).astype(jnp.int32), where


def _forward(peaks, where):
    seen = jnp.where(where, peaks, 0)
    furthest = jnp.maximum.accumulate(seen, 1)
    return jnp.all((seen >= furthest - BACK) | ~where, 1)
