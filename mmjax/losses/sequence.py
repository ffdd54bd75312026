"""Losses of networks that write a sequence token by token, and of attention that is learned with them.

`where` marks the tokens that count. What stands in the padding never matters: not the logits, not the attention
weights, not a NaN in either, and not in the gradient.
"""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from mmjax.errors import OptionError
from mmjax.ops import collective

REDUCTIONS = ("sum", "mean")
REWARDS = ("caption", "mean")


def cross_entropy(
    logits: Float[Array, "b t v"], tokens: Int[Array, "b t"], where: Bool[Array, "b t"]
) -> Float[Array, "b t"]:
    """-log softmax(logits)_token of each token, in nats.

    Args:
      logits: unnormalised, any float dtype; computed in float32.
      tokens: 0..v-1.
      where: False for tokens that do not count.

    Returns:
      [b t], float32; 0 where `where` is False.
    """
    # Masked before the logarithm: a NaN in the padding must not reach the gradient either.
    logits = jnp.where(where[..., None], logits.astype(jnp.float32), 0.0)
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, jnp.where(where, tokens, 0))
    return jnp.where(where, losses, 0.0)


def doubly_stochastic(
    attention: Float[Array, "b t p"], where: Bool[Array, "b t"], reduction: str = "sum"
) -> Float[Array, " b"]:
    """sum_p (1 - sum_t attention_tp)^2: every place should be looked at as much as any other.

    Xu et al. 2015, "Show, Attend and Tell", eq. 14, the term without its weight lambda.

    Args:
      attention: weights over places, adding up to 1 over p.
      where: the steps that count. (The authors' code sums over padded steps too, and so wants batches of one length.)
      reduction: over the places: "sum", the paper and its code; or "mean", as popular ports have it: with 14 x 14
        places the same weight then counts 196 times less.

    Returns:
      [b], float32, >= 0.

    Raises:
      OptionError: another reduction.
    """
    if reduction not in REDUCTIONS:
        raise OptionError("reduction", f"is {reduction!r}: choose {' or '.join(map(repr, REDUCTIONS))}")
    looked = jnp.sum(jnp.where(where[..., None], attention.astype(jnp.float32), 0.0), 1)
    lack = jnp.square(1.0 - looked)
    return jnp.sum(lack, 1) if reduction == "sum" else jnp.mean(lack, 1)


def entropy(attention: Float[Array, "b t p"], where: Bool[Array, "b t"]) -> Float[Array, "b t"]:
    """H = -sum_p a_p log a_p in nats of each step's attention, [b t], float32; 0 where `where` is False."""
    safe = jnp.where(where[..., None], attention.astype(jnp.float32), 1.0)
    return -jnp.sum(safe * jnp.log(jnp.maximum(safe, 1e-30)), -1)


def rewards(
    log_probs: Float[Array, "b t"], where: Bool[Array, "b t"], kind: str = "caption"
) -> tuple[Float[Array, "b t"], Float[Array, ""]]:
    """What hard attention is rewarded with at each step, and the mean of it that the baseline follows.

    Args:
      log_probs: of the reference's tokens, log p(y_t | s, a).
      where: the tokens that count.
      kind: "caption", log p(y | s, a) of the whole caption at each of its steps (Xu et al. 2015, eq. 12); or "mean",
        that divided by the caption's length, as the authors' capgen.py does with RL_sumCost (where the captions of a
        batch are equally long, and the padding counts as 0 if they are not).

    Returns:
      [b t], of this device's captions, and [], of those of all devices; without gradient.

    Raises:
      OptionError: another kind.
    """
    if kind not in REWARDS:
        raise OptionError("reward", f"is {kind!r}: choose {' or '.join(map(repr, REWARDS))}")
    known = lax.stop_gradient(jnp.where(where, log_probs.astype(jnp.float32), 0.0))
    whole = jnp.sum(known, 1)
    if kind == "mean":
        whole = whole / jnp.maximum(jnp.sum(where, 1, dtype=jnp.float32), 1.0)
    return jnp.broadcast_to(whole[:, None], known.shape), collective.mean(jnp.mean(whole))


def reinforce(
    log_place: Float[Array, "b t"],
    reward: Float[Array, "b t"],
    baseline: Float[Array, ""],
    where: Bool[Array, "b t"],
) -> Float[Array, " b"]:
    """-sum_t (reward - baseline) log p(s_t | a), whose gradient is the score-function estimate.

    Xu et al. 2015, eq. 12, its second term with lambda_r = 1. Williams 1992, "Simple statistical gradient-following
    algorithms for connectionist reinforcement learning".

    Args:
      log_place: log-probability of the place that was drawn at each step.
      reward: see `rewards`; a constant here.
      baseline: the moving average of past rewards.
      where: the steps at which a place was drawn.

    Returns:
      [b], float32. Its value means nothing; its gradient does.
    """
    gain = lax.stop_gradient(reward - baseline)
    return -jnp.sum(jnp.where(where, gain * log_place.astype(jnp.float32), 0.0), 1)


def ctc(
    logits: Float[Array, "b t v"], steps: Int[Array, " b"], units: Int[Array, "b u"], length: Int[Array, " b"]
) -> Float[Array, " b"]:
    """-log p(units | steps) over all ways to lay the units along the steps, in nats of the whole sequence.

    Graves et al. 2006, "Connectionist Temporal Classification", eq. 8; the blank is the last class.

    Args:
      logits: unnormalised, any float dtype; computed in float32.
      steps: of each example that are real.
      units: what was said, 0..v-2; anything in the padding.
      length: of each example that are real.

    Returns:
      [b], float32, at least 0; about 1e5 where there are fewer steps than the units need.
    """
    blank = logits.shape[-1] - 1
    silent = jnp.arange(logits.shape[1])[None] >= steps[:, None]
    unsaid = jnp.arange(units.shape[1])[None] >= length[:, None]
    logits = jnp.where(silent[..., None], 0.0, logits.astype(jnp.float32))
    spoken = jnp.where(unsaid, 0, units)
    return optax.losses.ctc_loss(logits, silent.astype(jnp.float32), spoken, unsaid.astype(jnp.float32), blank_id=blank)
