"""Which unit is spoken when, and pieces of utterances for ABX: spans of a few units with known times."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.metrics.abx import Frames

UNITS = 3  # of a piece: a triphone, as in ZeroSpeech
LONGEST = 0.7  # seconds of a piece


def at_steps(
    times: Float[Array, "b u 2"], units: Int[Array, "b u"], length: Int[Array, " b"], steps: int, seconds: float
) -> Int[Array, "b t"]:
    """The unit that is spoken at each multiple of `seconds`; -1 behind the last.

    Args:
      times: start and end of each unit in seconds, one after the other from 0 on.
      units: their numbers.
      length: how many there are.
      steps: t.
      seconds: from step to step.
    """
    moment = jnp.arange(steps, dtype=jnp.float32) * seconds
    real = jnp.arange(units.shape[1])[None] < length[:, None]
    at = jnp.sum((times[..., 1][:, None] <= moment[None, :, None]) & real[:, None], -1)
    found = jnp.take_along_axis(units, jnp.minimum(at, units.shape[1] - 1), 1)
    return jnp.where(at < length[:, None], found, -1)


def chosen(length: Int[Array, " b"], pieces: int) -> tuple[Int[Array, "b p"], Int[Array, "b p"]]:
    """The first unit of so many pieces, spread over each utterance between its first and last unit, and of another
    piece for each, half an utterance away."""
    room = jnp.maximum(length - UNITS - 1, 1)[:, None]  # places for a piece
    first = jnp.arange(pieces)[None] * room // pieces
    return 1 + first, 1 + (first + room // 2) % room


def differ(
    units: Int[Array, "b u"], length: Int[Array, " b"], one: Int[Array, "b p"], two: Int[Array, "b p"]
) -> Bool[Array, "b p"]:
    """Whether both pieces are there and are not the same units."""
    ahead = jnp.arange(UNITS)
    said = [jnp.take_along_axis(units[:, None], at[..., None] + ahead[None, None], 2) for at in (one, two)]
    return jnp.any(said[0] != said[1], -1) & (length[:, None] >= UNITS + 3)


def begins(times: Float[Array, "b u 2"], at: Int[Array, "b p"]) -> Float[Array, "b p"]:
    """When the pieces that begin with the units `at` begin, in seconds."""
    return jnp.take_along_axis(times[..., 0], at, 1)


def ends(times: Float[Array, "b u 2"], at: Int[Array, "b p"]) -> Float[Array, "b p"]:
    """When the pieces that begin with the units `at` end, in seconds."""
    return jnp.take_along_axis(times[..., 1], at + UNITS - 1, 1)


def cut(
    vectors: Float[Array, "b t d"],
    count: Int[Array, " b"],
    times: Float[Array, "b u 2"],
    at: Int[Array, "b p"],
    seconds: float,
) -> Frames:
    """The vectors of pieces, [b*p n d], from the start of the unit `at` to the end of the last one of the piece."""
    begin, end = begins(times, at), ends(times, at)
    first = jnp.minimum(jnp.round(begin / seconds).astype(jnp.int32), count[:, None] - 1)
    last = jnp.clip(jnp.round(end / seconds).astype(jnp.int32), first + 1, jnp.maximum(count[:, None], first + 1))
    longest = max(1, round(LONGEST / seconds))
    steps = jnp.minimum(first[..., None] + jnp.arange(longest)[None, None], vectors.shape[1] - 1)
    found = jnp.take_along_axis(vectors[:, None], steps[..., None], 2)
    b, p = at.shape
    return Frames(found.reshape(b * p, longest, -1), jnp.minimum(last - first, longest).reshape(b * p))
