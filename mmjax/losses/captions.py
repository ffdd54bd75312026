"""The loss of a network that writes captions, with soft or hard attention or none: the terms of `losses.sequence`."""

from __future__ import annotations

from collections.abc import Mapping

from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.errors import OptionError
from mmjax.losses import sequence
from mmjax.ops import collective

PER = ("caption", "word")


def caption_loss(
    out: Mapping[str, Array],
    tokens: Int[Array, "b t"],
    where: Bool[Array, "b t"],
    baseline: Float[Array, ""],
    *,
    per: str,
    attention: float,
    reduction: str,
    reinforce: float,
    entropy: float,
    reward: str,
) -> tuple[Float[Array, ""], Float[Array, ""], dict[str, Array]]:
    """Cross-entropy of the captions, and what attention is trained with beside it.

    Args:
      out: of `models.text.show_attend_tell.ShowAttendTell` or of `ShowAndTell`, in training.
      tokens: of the captions.
      where: those that count.
      baseline: the moving average of hard attention's rewards.
      per: "caption", the mean over captions of the sum over their words (Show, Attend and Tell); or "word", the mean
        over all words (Show and Tell's code, popular ports).
      attention: weight of the doubly stochastic term (soft: the paper's lambda, the code's alpha_c).
      reduction: of that term over places: "sum" or "mean".
      reinforce: weight of the score-function term of hard attention (lambda_r).
      entropy: weight of the attention's entropy in hard attention (lambda_e).
      reward: of hard attention: "caption" or "mean", see `sequence.rewards`.

    Returns:
      the loss, the baseline after this batch, and scalars for the curves.

    Raises:
      OptionError: of `per`, `reduction` or `reward`.
    """
    if per not in PER:
        raise OptionError("per", f"is {per!r}: choose {' or '.join(map(repr, PER))}")
    words = sequence.cross_entropy(out["logits"], tokens, where)
    by_word = collective.mean_where(words, where)
    value, logs = by_word if per == "word" else jnp.mean(jnp.sum(words, 1)), {"nll": by_word}
    if "attention" in out:
        spread = jnp.mean(sequence.doubly_stochastic(out["attention"], where, reduction))
        value, logs["doubly_stochastic"] = value + attention * spread, spread
    if "drawn" in out:
        gains, mean = sequence.rewards(-words, where, reward)
        drawn = where & out["drawn"][:, None]
        chosen = jnp.mean(sequence.reinforce(out["log_place"], gains, baseline, drawn))
        certainty = jnp.mean(jnp.sum(sequence.entropy(out["attention"], where), 1))
        value = value + reinforce * chosen - entropy * certainty
        baseline = 0.9 * baseline + 0.1 * mean  # Xu et al. 2015, section 4.1
        logs["reward"] = mean
        logs["attention_entropy"] = collective.mean_where(sequence.entropy(out["attention"], where), where)
    return value, baseline, logs
