"""One token after the other: the most likely (greedy), or drawn (sampling, with temperature, top-k and top-p)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key

from mmjax.decode import common
from mmjax.decode.common import Decoded, Step
from mmjax.errors import UserError


def greedy(
    step: Step,
    carry: Any,
    start: int | Int[Array, " b"],
    end: int,
    max_length: int,
    *,
    min_length: int = 0,
    forbidden: Sequence[int] = (),
) -> Decoded:
    """The most likely token at each step; `beam` with size 1. Of equally likely ones the first.

    Args:
      step: (carry, token [b]) -> (carry, logits [b v]) or (carry, logits, emitted); see the package.
      carry: where the step starts, arrays [b ...].
      start: the token before the first, one for all or one for each example.
      end: the token that ends a sequence.
      max_length: steps taken at most, and size of the result's time axis.
      min_length: tokens that must come before `end`.
      forbidden: tokens that are never generated (padding, <unk>).

    Returns:
      `Decoded` with n = 1. Scores are log-probabilities of the whole distribution, forbidden tokens included.

    Raises:
      UserError: an argument is out of its range, or the step does not keep its carry's shapes.
    """
    problem = common.prepare(step, carry, start, 1, max_length)
    common.check_tokens(end, forbidden, min_length, max_length, problem.vocabulary)
    return _roll(problem, _most_likely, end, max_length, min_length, forbidden)


def sample(
    step: Step,
    carry: Any,
    start: int | Int[Array, " b"],
    end: int,
    max_length: int,
    *,
    key: Key[Array, "*b"],
    n: int = 1,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_length: int = 0,
    forbidden: Sequence[int] = (),
) -> Decoded:
    """Draws n sequences for each example.

    The logits are divided by the temperature; of the result the k most likely tokens remain (Fan et al. 2018), of
    these the fewest that together have the share top_p of the probability (nucleus, Holtzman et al. 2020, eq. 2 and 3).

    Args:
      step, carry, start, end, max_length, min_length, forbidden: as for `greedy`.
      key: one key, or one for each example [b]; then an example's draws do not depend on the rest of the batch.
        With one key, an example's draws depend on its place in the batch only.
      n: sequences for each example.
      temperature: above 0.
      top_k: tokens to draw from; 0 for all.
      top_p: in (0, 1]; equally likely tokens at the border all remain.

    Returns:
      `Decoded`; scores are log-probabilities of the step's own distribution: temperature 1, nothing cut off.

    Raises:
      UserError: an argument is out of its range, or the step does not keep its carry's shapes.
    """
    if not temperature > 0 or not 0 < top_p <= 1 or top_k < 0:
        said = f"temperature {temperature}, top_k {top_k}, top_p {top_p}"
        raise UserError(f"{said}: temperature must be above 0, top_k 0 or more, top_p above 0 and at most 1")
    problem = _copied(common.prepare(step, carry, start, n, max_length), n)
    common.check_tokens(end, forbidden, min_length, max_length, problem.vocabulary)
    keys = _keys(key, n, problem.token.shape[1])
    choose = functools.partial(_draw, keys, temperature, min(top_k, problem.vocabulary), top_p)
    return _roll(problem, choose, end, max_length, min_length, forbidden)


def _roll(
    problem: common.Problem, choose: Callable, end: int, max_length: int, min_length: int, forbidden: Sequence[int]
) -> Decoded:
    """Steps until all sequences have ended; choose: (t, logits [n b v]) -> tokens [n b]."""
    shape = problem.token.shape

    def going(state):
        return (state["t"] < max_length) & ~jnp.all(state["done"])

    def body(state):
        t, done = state["t"], state["done"]
        carry, logits, emitted = problem.step(state["carry"], state["token"])
        word = choose(t, common.ban(logits, forbidden, end, bool(min_length) and t < min_length)).astype(jnp.int32)
        word = jnp.where(done, end, word)
        gain = common.log_probability(jnp.take_along_axis(logits, word[..., None], -1), logits)[..., 0]
        emitted = jax.tree.map(lambda x: jnp.where(_as(done, x), jnp.zeros_like(x), x), emitted)
        return {
            "t": t + 1,
            "carry": carry,
            "token": word,
            "done": done | (word == end),
            "scores": state["scores"] + jnp.where(done, 0.0, gain),
            "lengths": state["lengths"] + (~done & (word != end)).astype(jnp.int32),
            "tokens": common.write(state["tokens"], t, word),
            "emitted": common.write(state["emitted"], t, emitted),
        }

    state = {
        "t": jnp.int32(0),
        "carry": problem.carry,
        "token": problem.token,
        "done": jnp.zeros(shape, bool),
        "scores": jnp.zeros(shape, jnp.float32),
        "lengths": jnp.zeros(shape, jnp.int32),
        "tokens": jnp.full((max_length, *shape), end, jnp.int32),
        "emitted": problem.emitted,
    }
    state = lax.while_loop(going, body, state)
    tokens, emitted = jax.tree.map(lambda x: jnp.moveaxis(x, (2, 1, 0), (0, 1, 2)), (state["tokens"], state["emitted"]))
    return Decoded(tokens, state["scores"].T, state["lengths"].T, state["done"].T, emitted)


def _most_likely(t, logits):
    del t
    return common.best(logits, 1)[1][..., 0]


def _draw(keys, temperature, top_k, top_p, t, logits):
    """Tokens [n b], drawn from what temperature, top-k and top-p leave of logits [n b v]."""
    places = None
    if top_k:
        logits, places = common.best(logits, top_k)
    logits = logits / jnp.float32(temperature)
    if top_p < 1:
        logits = nucleus(logits, top_p)
    drawn = jax.vmap(jax.vmap(lambda key, x: categorical(jax.random.fold_in(key, t), x)))(keys, logits)
    return drawn if places is None else jnp.take_along_axis(places, drawn[..., None], -1)[..., 0]


def nucleus(logits: Float[Array, "*r v"], top_p: float) -> Float[Array, "*r v"]:
    """The logits with -inf at all tokens but the fewest that together have the share top_p of the probability.

    Finds the border by bisection over the bit patterns of the probabilities, which are ordered as they are: 30 sums
    over the vocabulary, and exact. Sorting takes many times longer on a CPU.
    """
    share = jnp.exp(logits - jnp.max(logits, -1, keepdims=True))  # in [0, 1]
    needed = jnp.float32(top_p) * jnp.sum(share, -1, keepdims=True)

    def halve(_, bounds):
        low, high = bounds
        middle = low + (high - low + 1) // 2
        kept = share >= lax.bitcast_convert_type(middle, jnp.float32)
        enough = jnp.sum(jnp.where(kept, share, 0.0), -1, keepdims=True) >= needed
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle - 1)

    one = lax.bitcast_convert_type(jnp.ones_like(needed), jnp.int32)
    border, _ = lax.fori_loop(0, 30, halve, (jnp.zeros_like(one), one))
    return jnp.where(share >= lax.bitcast_convert_type(border, jnp.float32), logits, -jnp.inf)


def categorical(key: Key[Array, ""], logits: Float[Array, " v"]) -> Int[Array, ""]:
    """Draws from softmax(logits): first a block of the vocabulary, then a token in it.

    The distribution is that of `jax.random.categorical`, with 2 sqrt(v) random numbers for a draw instead of v.
    """
    cut = common.blocks(logits)
    mass = jnp.log(jnp.sum(jnp.exp(cut - jnp.max(cut)), -1))  # -inf where nothing of a block remains
    noise = jax.random.gumbel(key, (sum(cut.shape),), jnp.float32)
    block = jnp.argmax(mass + noise[: len(cut)])
    return block * cut.shape[-1] + jnp.argmax(cut[block] + noise[len(cut) :])


def _keys(key, n, b):
    """A key for each sequence, [n b], that depends on the example's own key, or on its place."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)  # jax.random.PRNGKey's form
    if key.shape not in ((), (b,)):
        raise UserError(f"key has the shape {key.shape}: give one key, or one for each of the {b} examples")
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    keys = key if key.ndim else fold(key, jnp.arange(b))
    return jax.vmap(fold, in_axes=(0, None), out_axes=1)(keys, jnp.arange(n))


def _copied(problem: common.Problem, n: int) -> common.Problem:
    """n copies of the one hypothesis."""
    copies = lambda x: jnp.repeat(x, n, 0) if x.ndim else x  # noqa: E731
    return problem._replace(carry=jax.tree.map(copies, problem.carry), token=copies(problem.token))


def _as(mask, x):
    """A mask [n b] with as many axes as x [n b ...]."""
    return mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
