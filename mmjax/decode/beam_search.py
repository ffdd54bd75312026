"""Beam search: the four semantics that published captioning code uses, in one fixed-shape loop.

Live hypotheses sit in n slots. What has ended leaves for a pool of n and stays there as a pointer: the step at which
it ended, and the slot that it ended from. Neither sequences nor what the step emits are copied while the search goes
on: each step writes down the token and the former slot of every slot, and at the end the few winners are followed
back. A step so costs the network, one pass over the logits, and some tables of n x n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from mmjax.decode import common
from mmjax.decode.common import Decoded, Step
from mmjax.errors import OptionError

SEMANTICS = ("shrinking", "frozen", "refilled", "im2txt")
PENALTIES = ("none", "mean", "gnmt")
UNFINISHED = ("last", "compete")
LEAST = -27.631021  # log 1e-12: im2txt drops words below


class Ended(NamedTuple):
    """Hypotheses with a pointer to their last step: `slot`, at the input of step `at`, where `end` was added."""

    log: Float[Array, "b n"]
    at: Int[Array, "b n"]
    slot: Int[Array, "b n"]


def beam(
    step: Step,
    carry: Any,
    start: int | Int[Array, " b"],
    end: int,
    max_length: int,
    *,
    size: int = 5,
    semantics: str = "shrinking",
    n_best: int = 1,
    penalty: str = "none",
    alpha: float = 1.0,
    unfinished: str = "last",
    min_length: int = 0,
    forbidden: Sequence[int] = (),
) -> Decoded:
    """Beam search for the n best sequences of each example.

    The semantics differ in what becomes of a hypothesis that has ended:

    "shrinking": it leaves, and the beam is narrower by one from then on, until `size` have ended. Show, Attend and
      Tell's code (arctic-captions), whose `-n` is penalty="mean" and whose unfinished hypotheses "compete"; and the
      PyTorch port that most later code starts from (sgrvinod), which drops them, and fails where nothing ends.
    "frozen": it keeps its place in the beam with its score, and goes when `size` better ones are found. The textbook's.
    "refilled": it leaves, and the beam is filled up with live ones: ImageCaptioning.pytorch, which sets the score of
      what has ended to -1000 and goes on; there the unfinished "compete".
    "im2txt": Show and Tell's code. Of each live hypothesis the `size` most likely next words are looked at; those
      that end it compete for `size` places among the complete, the others for `size` places among the partial, so
      that ending takes no place in the beam. Words below 1e-12 are dropped. Its length for the penalty counts the
      start token too. From 2019 on that code by mistake slices off the `size` most likely words instead of keeping
      them (tensorflow/models#6513); this is what it did before.

    A beam wide enough to hold every sequence finds the same best one under all four (im2txt: down to 1e-12). The
    search ends when no hypothesis is live, or none can reach the n best any more: the scores of the live, divided by
    the largest penalty, are a bound.

    Args:
      step: (carry, token [b]) -> (carry, logits [b v]) or (carry, logits, emitted); see the package.
      carry: where the step starts, arrays [b ...].
      start: the token before the first, one for all or one for each example.
      end: the token that ends a sequence.
      max_length: steps taken at most, and size of the result's time axis. (im2txt's max_caption_length is one more.)
      size: width of the beam.
      semantics: "shrinking", "frozen", "refilled" or "im2txt".
      n_best: sequences returned for each example, at most `size`.
      penalty: divides the log-probability of a sequence Y, the end token counted: "none"; "mean", |Y|^alpha; "gnmt",
        ((5 + |Y|) / 6)^alpha (Wu et al. 2016, eq. 14). It ranks what has ended; live ones compete without it.
      alpha: exponent, 0 or more.
      unfinished: whether those that reach max_length without ending come "last", after all that have ended, or
        "compete" by score.
      min_length: tokens that must come before `end`.
      forbidden: tokens that are never generated (padding, <unk>).

    Returns:
      `Decoded`, the best first. Log-probabilities are of the whole distribution, forbidden tokens included.

    Raises:
      UserError: an argument is out of its range, or the step does not keep its carry's shapes.
    """
    _check(size, semantics, n_best, penalty, alpha, unfinished)
    problem = common.prepare(step, carry, start, size, max_length)
    common.check_tokens(end, forbidden, min_length, max_length, problem.vocabulary)

    def score(log, length):
        return log / _penalty(penalty, alpha, length + int(semantics == "im2txt"))

    def going(state):
        floor = score(state["pool"].log, state["pool"].at + 1)[:, n_best - 1]
        bound = score(jnp.max(state["log"], 1), jnp.int32(max_length))
        # What is frozen may still be driven out of the beam by what scores less after the penalty.
        closed = (floor >= bound) & (semantics != "frozen")
        return (state["t"] < max_length) & jnp.any(~closed & jnp.any(state["log"] > -jnp.inf, 1))

    def body(state):
        t, b = state["t"], state["log"].shape[0]
        carry, logits, emitted = problem.step(state["carry"], state["token"])  # b of n hypotheses: [n b ...]
        banned = common.ban(logits, forbidden, end, bool(min_length) and t < min_length)
        values, words = common.best(banned, min(size, problem.vocabulary))
        # Not values[..., 0]: a slice of a slice hides the top-k from XLA, which then sorts, at ten times the cost.
        top = None if forbidden or min_length else jnp.max(values, -1)
        gains = common.log_probability(values, logits, top)
        gains, words = gains.swapaxes(0, 1), words.swapaxes(0, 1)  # n b m -> b n m
        chosen = SELECT[semantics](state["log"], gains, words, end, state["pool"])
        new = Ended(chosen.ended, jnp.full(chosen.ended.shape, t), chosen.ended_slot)
        words = jnp.take_along_axis(words.reshape(b, -1), chosen.place, 1)
        source = chosen.place // values.shape[-1]
        return {
            "t": t + 1,
            "carry": common.follow(carry, source),
            "token": words.T,
            "log": chosen.live,
            "pool": _merge(Ended(chosen.pool, *state["pool"][1:]), new, score),
            "tokens": common.write(state["tokens"], t, words),
            "sources": common.write(state["sources"], t, source),
            "emitted": common.write(state["emitted"], t, _widened(emitted, size)),
        }

    first = body(_initial(problem, max_length, size))  # of a single hypothesis: the network need not run for n
    state = lax.while_loop(going, body, first)
    hypotheses, finished, scores = _rank(state, score, unfinished, n_best)
    return _follow_back(state, hypotheses, finished, scores, end)


class Chosen(NamedTuple):
    """What a step keeps. Places are of the n x m candidates, m words of each of n slots.

    Attributes:
      place: of what fills the slots.
      live: its log-probability, -inf where the slot is empty.
      ended, ended_slot: log-probabilities of what ends now, -inf for none, and the slots that it ends from.
      pool: log-probabilities of the pool, -inf for what is driven out.
    """

    place: Int[Array, "b n"]
    live: Float[Array, "b n"]
    ended: Float[Array, "b n"]
    ended_slot: Int[Array, "b n"]
    pool: Float[Array, "b n"]


def _top(candidates, n):
    """The n best of candidates [b w m], of which there may be fewer: log-probabilities and places."""
    flat = candidates.reshape(candidates.shape[0], -1)
    flat = jnp.pad(flat, ((0, 0), (0, max(0, n - flat.shape[1]))), constant_values=-jnp.inf)
    values, places = lax.top_k(flat, n)
    return values, jnp.minimum(places, candidates[0].size - 1)


def _best_of_all(log, gains, words, end, n):
    """The n best of all candidates: log-probabilities, places, slots, and whether they end."""
    values, places = _top(log[..., None] + gains, n)
    ends = jnp.take_along_axis(words.reshape(words.shape[0], -1), places, 1) == end
    return values, places, places // gains.shape[2], ends


def _split(kept, values, places, slots, ends, pool):
    """Of the candidates that are kept, those that end and those that live on."""
    ended = jnp.where(kept & ends, values, -jnp.inf)
    return Chosen(places, jnp.where(kept & ~ends, values, -jnp.inf), ended, slots, pool)


def _shrinking(log, gains, words, end, pool: Ended) -> Chosen:
    n = pool.log.shape[1]
    values, places, slots, ends = _best_of_all(log, gains, words, end, n)
    left = n - jnp.sum(pool.log > -jnp.inf, 1, keepdims=True)
    return _split(jnp.arange(n)[None] < left, values, places, slots, ends, pool.log)


def _refilled(log, gains, words, end, pool: Ended) -> Chosen:
    values, places, slots, ends = _best_of_all(log, gains, words, end, pool.log.shape[1])
    return _split(jnp.ones_like(ends), values, places, slots, ends, pool.log)


def _frozen(log, gains, words, end, pool: Ended) -> Chosen:
    n = pool.log.shape[1]
    values, places, slots, ends = _best_of_all(log, gains, words, end, n)
    _, both = lax.top_k(jnp.concatenate([pool.log, values], 1), n)  # equal ones: what has ended stays
    kept = jax.vmap(lambda i: jnp.zeros(2 * n, bool).at[i].set(True))(both)
    return _split(kept[:, n:], values, places, slots, ends, jnp.where(kept[:, :n], pool.log, -jnp.inf))


def _im2txt(log, gains, words, end, pool: Ended) -> Chosen:
    n = pool.log.shape[1]
    gains = jnp.where(gains < LEAST, -jnp.inf, gains)
    candidates, ends = log[..., None] + gains, words == end
    ended, slots = _top(jnp.max(jnp.where(ends, candidates, -jnp.inf), -1)[..., None], n)
    values, places = _top(jnp.where(ends, -jnp.inf, candidates), n)
    return Chosen(places, values, ended, slots, pool.log)


SELECT: dict[str, Callable[..., Chosen]] = {
    "shrinking": _shrinking,
    "frozen": _frozen,
    "refilled": _refilled,
    "im2txt": _im2txt,
}


def _penalty(name: str, alpha: float, length: Int[Array, "*b"]) -> Float[Array, "*b"]:
    """What divides the log-probability of a sequence of so many tokens, `end` included."""
    length = length.astype(jnp.float32)
    if name == "none" or alpha == 0:
        return jnp.ones_like(length)
    return (length if name == "mean" else (5.0 + length) / 6.0) ** jnp.float32(alpha)


def _initial(problem: common.Problem, max_length: int, n: int) -> dict[str, Any]:
    """One live hypothesis, the empty one, and nothing in the pool."""
    b = problem.token.shape[1]
    nothing, zeros = jnp.full((b, n), -jnp.inf), jnp.zeros((b, n), jnp.int32)
    history = jnp.zeros((max_length, b, n), jnp.int32)
    return {
        "t": jnp.int32(0),
        "carry": problem.carry,
        "token": problem.token,
        "log": jnp.zeros((b, 1), jnp.float32),
        "pool": Ended(nothing, zeros, zeros),
        "tokens": history,
        "sources": history,
        "emitted": problem.emitted,
    }


def _widened(tree, n):
    """Arrays [n b ...]; those of a single hypothesis are repeated."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (n, *x.shape[1:])), tree)


def _merge(pool: Ended, new: Ended, score: Callable) -> Ended:
    """The n best of the pool and of what has ended now, best first; of equal ones the older first."""
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), pool, new)
    _, order = lax.top_k(score(both.log, both.at + 1), pool.log.shape[1])
    return jax.tree.map(lambda x: jnp.take_along_axis(x, order, 1), both)


def _rank(state, score, unfinished, n_best) -> tuple[Ended, Bool[Array, "b m"], Float[Array, "b m"]]:
    """The n best of the pool and of what is still live: pointers, whether they have ended, scores."""
    pool, live, t = state["pool"], state["log"], state["t"]
    b, n = live.shape
    slots = jnp.broadcast_to(jnp.arange(n)[None], (b, n))
    both = jax.tree.map(lambda x, y: jnp.concatenate([x, y], 1), pool, Ended(live, jnp.full((b, n), t), slots))
    ended = jnp.broadcast_to(jnp.arange(2 * n)[None] < n, (b, 2 * n))
    scores = score(both.log, jnp.maximum(both.at + ended.astype(jnp.int32), 1))
    _, order = lax.top_k(scores, 2 * n)
    if unfinished == "last":  # a second stable sort: what has ended first, what does not exist at the very end
        kind = jnp.where(scores == -jnp.inf, 0.0, jnp.where(ended, 2.0, 1.0))
        order = jnp.take_along_axis(order, lax.top_k(jnp.take_along_axis(kind, order, 1), 2 * n)[1], 1)
    take = lambda x: jnp.take_along_axis(x, order[:, :n_best], 1)  # noqa: E731
    scores = take(scores)
    exists = scores > -jnp.inf
    hypotheses = jax.tree.map(lambda x: jnp.where(exists, take(x), jnp.zeros((), x.dtype)), both)
    return hypotheses, take(ended) & exists, scores


def _follow_back(state, hypotheses: Ended, finished, scores, end: int) -> Decoded:
    """Walks from each hypothesis to the start, collecting its tokens and the slots that it went through."""
    length = hypotheses.at

    def back(slot, record):
        t, tokens, sources = record
        before = t < length
        token = jnp.where(before, jnp.take_along_axis(tokens, slot, 1), end)
        slot = jnp.where(before, jnp.take_along_axis(sources, slot, 1), slot)
        return slot, (token, slot)

    steps = jnp.arange(state["tokens"].shape[0])
    records = (steps, state["tokens"], state["sources"])
    _, (tokens, slots) = lax.scan(back, hypotheses.slot, records, reverse=True)  # t b m
    used = steps[:, None, None] < (length + finished.astype(jnp.int32))[None]

    def along(x):  # t n b ... -> b m t ...
        x = jax.vmap(lambda rows, i: rows[i, jnp.arange(i.shape[0])[:, None]])(x, slots)
        mask = used.reshape(used.shape + (1,) * (x.ndim - 3))
        return jnp.moveaxis(jnp.where(mask, x, jnp.zeros((), x.dtype)), 0, 2)

    return Decoded(jnp.moveaxis(tokens, 0, 2), scores, length, finished, jax.tree.map(along, state["emitted"]))


def _check(size, semantics, n_best, penalty, alpha, unfinished):
    common.known("semantics", semantics, SEMANTICS)
    common.known("penalty", penalty, PENALTIES)
    common.known("unfinished", unfinished, UNFINISHED)
    if not 1 <= n_best <= size:
        raise OptionError("n_best", f"is {n_best}: it must be 1 to the size of the beam, {size}")
    if alpha < 0:
        raise OptionError("alpha", f"is {alpha}: it must be 0 or more")
