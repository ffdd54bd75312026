"""The numbers of the remedies, as their papers have them. Scores [m] are one for each modality, all above 0."""

from __future__ import annotations

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.losses import classification


def ratios(scores: Float[Array, " m"]) -> Float[Array, " m"]:
    """How much surer each modality is than the others: the mean of s_m / s_other.

    Of two modalities Peng et al. 2022, equation 8; of more, the mean over pairs, as its authors advise in their code's
    issues.
    """
    scores = jnp.maximum(scores.astype(jnp.float32), 1e-8)
    of_pairs = scores[:, None] / scores[None]
    return (jnp.sum(of_pairs, 1) - 1) / (len(scores) - 1)


def modulation(scores: Float[Array, " m"], alpha: float) -> Float[Array, " m"]:
    """OGM's factors k of the gradients (Peng et al. 2022, equation 10): 1 - tanh(alpha r) where r > 1, else 1.

    At r = 1 it falls from 1 to 1 - tanh(alpha) at once, in the paper and in its code.
    """
    r = ratios(scores)
    return jnp.where(r > 1, 1 - jnp.tanh(alpha * r), 1.0)


def dropping(scores: Float[Array, " m"], rate: float, alpha: float) -> Float[Array, " m"]:
    """OPM's rates of dropping (Wei et al. 2024): rate (1 + alpha tanh(r - 1)) where r > 1, else 0; at most 1."""
    r = ratios(scores)
    return jnp.where(r > 1, jnp.minimum(rate * (1 + alpha * jnp.tanh(r - 1)), 1.0), 0.0)


def blending(
    training: tuple[Float[Array, " k"], Float[Array, " k"]],
    held: tuple[Float[Array, " k"], Float[Array, " k"]],
    kept: Float[Array, " k"],
) -> Float[Array, " k"]:
    """Weights of k losses by how well they generalise (Wang et al. 2020, proposition 1 and algorithm 1): G / O^2.

    G is the fall of the held-out loss between two checkpoints, O the growth of the gap between it and the training
    loss. A loss that does not fall has no weight, which the paper leaves open, as it does what to do where none falls:
    then the weights stay.

    Args:
      training: losses on what is trained on, at the former checkpoint and at this one.
      held: likewise, on examples that training never sees.
      kept: the weights of before.

    Returns:
      weights that sum to 1.
    """
    gained = jnp.maximum(held[0] - held[1], 0.0)
    gap = (held[1] - training[1]) - (held[0] - training[0])
    weights = gained / (jnp.square(gap) + 1e-6)  # a gap that does not grow would have all the weight
    total = jnp.sum(weights)
    return jnp.where(total > 0, weights / jnp.maximum(total, 1e-12), kept)


def prototypes(
    old: Float[Array, "c d"],
    seen: Float[Array, " c"],
    points: Float[Array, "b d"],
    label: Int[Array, " b"],
    momentum: float,
) -> tuple[Float[Array, "c d"], Float[Array, " c"]]:
    """The mean of each class's points, (1 - momentum) of it new; a class's first mean is taken whole.

    Args:
      old: of before.
      seen: 1 for each class that has one, else 0.
      points: of a batch.
      label: the class of each; -1 = none.
      momentum: the share of the old one that is kept.

    Returns:
      (prototypes, seen) after the batch.
    """
    own = jax.nn.one_hot(label, len(old))  # -1: zeros
    count = jnp.sum(own, 0)
    mean = own.T @ points.astype(jnp.float32) / jnp.maximum(count, 1)[:, None]
    share = jnp.where(count > 0, 1 - momentum * seen, 0.0)[:, None]
    return old + share * (mean - old), jnp.maximum(seen, jnp.float32(count > 0))


def nearness(
    points: Float[Array, "b d"], centres: Float[Array, "c d"], seen: Float[Array, " c"]
) -> Float[Array, "b c"]:
    """Logits of PMR (Fan et al. 2023, equation 5): less the Euclidean distances to the prototypes."""
    square = jnp.sum(jnp.square(points[:, None] - centres[None]), -1)
    return jnp.where(seen > 0, -jnp.sqrt(square + 1e-8), -1e4)  # the root has no gradient at 0


def certainty(logits: Float[Array, "b c"], label: Int[Array, " b"], where: Bool[Array, " b"]) -> Float[Array, ""]:
    """The sum over a batch of the probability of the right class."""
    return jnp.sum(jnp.exp(-classification.cross_entropy(logits, label)), where=where)
