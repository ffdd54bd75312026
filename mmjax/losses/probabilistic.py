"""PCME++: pictures and sentences as Gaussians, matched by a closed form of their distance.

Chun 2024, "Improved Probabilistic Image-Text Representations". An embedding is a mean of unit length and the logarithm
of a variance in each dimension.
"""

from __future__ import annotations

from typing import NamedTuple

from jax import nn
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.losses import pairs


class Gaussian(NamedTuple):
    """N(mean, diag(exp(log_variance))), both [b d], any float dtype; computed in float32."""

    mean: Float[Array, "b d"]
    log_variance: Float[Array, "b d"]


def uncertainty(log_variance: Float[Array, "b d"]) -> Float[Array, " b"]:
    """sum_d sigma_d^2, [b], float32, >= 0: how unsure an embedding is, and its own part of every distance."""
    return jnp.sum(jnp.exp(log_variance.astype(jnp.float32)), 1)


def distance(a: Gaussian, b: Gaussian) -> Float[Array, "b k"]:
    """E |x - y|^2 = |mu_a - mu_b|^2 + sum (sigma_a^2 + sigma_b^2) of all pairs, x ~ a, y ~ b independent: eq. 1."""
    spread = uncertainty(a.log_variance)[:, None] + uncertainty(b.log_variance)[None]
    return pairs.squared_distance(a.mean.astype(jnp.float32), b.mean.astype(jnp.float32)) + spread


def matching(
    a: Gaussian,
    b: Gaussian,
    slope: Float[Array, ""],
    shift: Float[Array, ""],
    group: Int[Array, "b ..."] | None = None,
    where: Bool[Array, " b"] | None = None,
    block: int | None = None,
    pseudo: bool = False,
) -> Float[Array, " b"]:
    """Binary cross-entropy of "does b_j match a_i?" by the logit -slope distance + shift, averaged over all j: eq. 2.

    The authors' code adds the loss of a over b to that of b over a, which without pseudo-positives are the same: 2 x
    the mean over the batch. Their total is that, + 0.1 x both directions with `pseudo`, + 1e-4 x `information` of both.

    Args:
      a, b: one modality each; row i of one belongs to row i of the other.
      slope, shift: learned scalars, both starting at 5.
      group: equal for pairs that match each other, the same numbers on all devices; or [b k], see `pairs.Side`. None:
        each pair is its own.
      where: False for pairs that do not count, whatever they hold.
      block: columns at a time, see `losses.pairs`; None: all at once.
      pseudo: whether b's at least as near to a_i as its own count as matches, too (section 3.3, pseudo-positives).

    Returns:
      [b], float32, one value per a, >= 0, in nats; 0 for pairs that do not count.
    """
    one, two = pairs.sides(a, b, group, where)
    spread = uncertainty(one.z.log_variance) + uncertainty(two.z.log_variance)
    own_distance = jnp.sum((one.z.mean - two.z.mean) ** 2, 1) + spread

    def body(carry, own, columns):
        total, count = carry
        found = distance(own.z, columns.z)
        matched = pairs.same(own, columns)
        if pseudo:
            matched |= found <= own_distance[:, None]
        logits = shift - slope * found
        values = nn.softplus(jnp.where(matched, -logits, logits))
        here = columns.where[None]
        return total + jnp.sum(values, 1, where=here), count + jnp.sum(here, 1, dtype=jnp.float32)

    start = jnp.zeros(own_distance.shape), jnp.zeros(1)
    total, count = pairs.fold(body, start, one, pairs.everyone(two), block)
    return pairs.keep(total / jnp.maximum(count, 1.0), one.where)


def information(gaussian: Gaussian, where: Bool[Array, " b"] | None = None) -> Float[Array, " b"]:
    """KL(N(mu, sigma^2) || N(0, 1)) in nats, averaged over the dimensions: the variational information bottleneck.

    Without it variances collapse to 0. The authors' code leaves the term out of a step in which its mean is above 1e4;
    this does not.

    Args:
      gaussian: the embeddings of one modality.
      where: False for examples that do not count, whatever they hold.

    Returns:
      [b], float32, >= 0; 0 for examples that do not count.
    """
    mean, log_variance = (x.astype(jnp.float32) for x in gaussian)
    if where is not None:
        # Masked before the exponential: a NaN in the padding must not reach the gradient either.
        mean, log_variance = pairs.keep(mean, where), pairs.keep(log_variance, where)  # N(0, 1), whose value is 0
    return 0.5 * jnp.mean(mean**2 + jnp.exp(log_variance) - 1.0 - log_variance, 1)
