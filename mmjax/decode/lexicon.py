"""Words that were said, from scores of sub-word units: the likeliest path through the words of a lexicon.

Token passing (Young, Russell and Thornton 1989) over the states of connectionist temporal classification (Graves et al.
2006): a blank before the first word, then any number of words; in a word its units in order, a blank behind each, which
may be passed over where the next unit is another one. All words are as likely, wherever they stand: each costs log w.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

NOTHING = -1e30  # the score of what cannot be; finite, for differences of two
NONE = -1  # no word


class Said(NamedTuple):
    """Words.

    Attributes:
      words: numbers in the lexicon, in order; -1 behind the last.
      length: how many.
      score: log-probability of the path, prior included.
    """

    words: Int[Array, "b n"]
    length: Int[Array, " b"]
    score: Float[Array, " b"]


class _Tokens(NamedTuple):
    """The best paths that end in each state, at one step.

    Attributes:
      score: 2k states of each word: a unit, the blank behind it, ...
      entered: the step at which the path entered the word that it is in.
      silent: of the path that has been in no word yet.
    """

    score: Float[Array, "b w s"]
    entered: Int[Array, "b w s"]
    silent: Float[Array, " b"]


def words(
    log_probs: Float[Array, "b t v"], steps: Int[Array, " b"], lexicon: Int[Array, "w k"], most: int = 40
) -> Said:
    """The likeliest sequence of words of each example; a whole batch in one scan, and another back.

    Args:
      log_probs: of v - 1 units, and of the blank, the last, at each step.
      steps: of each example that are real.
      lexicon: units of each word, -1 behind the last; each has at least one.
      most: words that are kept; of a longer path the last ones.

    Returns:
      `Said`; no word at all where silence is likelier, or where there is no step.
    """
    spoken = lexicon >= 0
    length = jnp.sum(spoken, 1, dtype=jnp.int32)  # w
    units = jnp.where(spoken, lexicon, 0)
    first, last = units[:, 0], jnp.take_along_axis(units, length[:, None] - 1, 1)[:, 0]
    blank = log_probs.shape[-1] - 1
    count, k = units.shape
    prior = jnp.float32(np.log(count))
    emits = jnp.stack([units, jnp.full_like(units, blank)], 2).reshape(count, 2 * k)  # w (k 2)
    exists = jnp.repeat(spoken, 2, 1)
    leap = jnp.zeros((count, 2 * k), bool).at[:, 2::2].set(units[:, 1:] != units[:, :-1])
    at_unit, at_blank = 2 * length - 2, 2 * length - 1

    def ends(tokens: _Tokens, at: Array) -> tuple[Array, Array]:
        """Score and entry [b w] of the paths in state `at` of each word."""
        index = jnp.broadcast_to(at[None, :, None], (steps.shape[0], count, 1))
        return tuple(jnp.take_along_axis(x, index, 2)[..., 0] for x in (tokens.score, tokens.entered))  # type: ignore

    def step(tokens: _Tokens, now: tuple[Array, Array]) -> tuple[_Tokens, tuple[Array, Array]]:
        frame, number = now  # b v
        behind_unit, unit_entered = ends(tokens, at_unit)
        behind_blank, blank_entered = ends(tokens, at_blank)
        # Into a word from a blank, or straight from the last unit of another word, if that is another unit.
        other = jnp.where((last[None] != first[:, None])[None], behind_unit[:, None], NOTHING)  # b to from
        come = jnp.stack([jnp.max(other, 2), *_everywhere((jnp.max(behind_blank, 1), tokens.silent), count)], 2)
        which = jnp.argmax(come, 2)
        from_unit, from_blank = jnp.argmax(other, 2), jnp.argmax(behind_blank, 1)[:, None]
        previous = jnp.where(which == 0, from_unit, jnp.where(which == 1, from_blank, NONE)).astype(jnp.int32)
        safe = jnp.maximum(previous, 0)
        of_unit, of_blank = (jnp.take_along_axis(x, safe, 1) for x in (unit_entered, blank_entered))
        since = jnp.where(which == 0, of_unit, of_blank)
        entry = jnp.max(come, 2) - prior

        stay, on = tokens.score, jnp.pad(tokens.score, ((0, 0), (0, 0), (1, 0)), constant_values=NOTHING)[..., :-1]
        over = jnp.pad(tokens.score, ((0, 0), (0, 0), (2, 0)), constant_values=NOTHING)[..., :-2]
        over = jnp.where(leap[None], over, NOTHING)
        on = on.at[..., 0].set(entry)
        entered = jnp.pad(tokens.entered, ((0, 0), (0, 0), (2, 0)))
        best = jnp.maximum(jnp.maximum(stay, on), over)
        moved = jnp.where(best == stay, tokens.entered, jnp.where(best == on, entered[..., 1:-1], entered[..., :-2]))
        moved = moved.at[..., 0].set(jnp.where(best[..., 0] == stay[..., 0], moved[..., 0], number))
        score = jnp.where(exists[None], best + frame[:, emits], NOTHING)
        new = _Tokens(jnp.maximum(score, NOTHING), moved, tokens.silent + frame[:, blank])
        real = number < steps
        kept = _Tokens(*(jnp.where(real.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(new, tokens)))
        return kept, (previous, since)

    batch = steps.shape[0]
    fresh = _Tokens(
        jnp.full((batch, count, 2 * k), NOTHING, jnp.float32),
        jnp.zeros((batch, count, 2 * k), jnp.int32),
        jnp.zeros(batch, jnp.float32),
    )
    numbers = jnp.arange(log_probs.shape[1], dtype=jnp.int32)
    frames = log_probs.astype(jnp.float32).swapaxes(0, 1)  # b t v -> t b v
    tokens, (previous, since) = lax.scan(step, fresh, (frames, numbers))

    (of_unit, unit_entered), (of_blank, blank_entered) = ends(tokens, at_unit), ends(tokens, at_blank)
    final, entered = jnp.maximum(of_unit, of_blank), jnp.where(of_unit >= of_blank, unit_entered, blank_entered)
    at = jnp.argmax(final, 1).astype(jnp.int32)
    score = jnp.max(final, 1)
    at = jnp.where(score > tokens.silent, at, NONE)
    rows = jnp.arange(batch)

    def back(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
        word, time = carry
        there = (time, rows, jnp.maximum(word, 0))
        before = jnp.where(word >= 0, previous[there], NONE)
        return (before, jnp.where(word >= 0, since[there], 0)), word

    begun = jnp.take_along_axis(entered, jnp.maximum(at, 0)[:, None], 1)[:, 0]
    reverse = lax.scan(back, (at, begun), None, length=most)[1].T  # b n, the last word first
    said = jnp.sum(reverse >= 0, 1, dtype=jnp.int32)
    order = said[:, None] - 1 - jnp.arange(most, dtype=jnp.int32)[None]
    found = jnp.take_along_axis(reverse, jnp.maximum(order, 0), 1)
    return Said(jnp.where(order >= 0, found, NONE), said, jnp.maximum(score, tokens.silent))


def _everywhere(values, count):
    """[b] as [b count] of each."""
    return [jnp.broadcast_to(value[:, None], (value.shape[0], count)) for value in values]


def greedy(log_probs: Float[Array, "b t v"], steps: Int[Array, " b"]) -> tuple[Int[Array, "b t"], Int[Array, " b"]]:
    """The units of the likeliest path (Graves et al. 2006, section 3.2): repetitions once, then without blanks.

    Args:
      log_probs, steps: as for `words`.

    Returns:
      Units, -1 behind the last, and how many.
    """
    best = jnp.argmax(log_probs, -1).astype(jnp.int32)
    new = jnp.concatenate([jnp.ones_like(best[:, :1], bool), best[:, 1:] != best[:, :-1]], 1)
    where = new & (best != log_probs.shape[-1] - 1) & (jnp.arange(best.shape[1])[None] < steps[:, None])
    order = jnp.argsort(~where, axis=1, stable=True)
    length = jnp.sum(where, 1, dtype=jnp.int32)
    found = jnp.take_along_axis(best, order, 1)
    return jnp.where(jnp.arange(best.shape[1])[None] < length[:, None], found, -1), length
