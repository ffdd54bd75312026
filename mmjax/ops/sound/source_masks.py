"""Masks of magnitude: what share of a mixture's spectrogram is one source's; targets, weights and oracles."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

TINY = 1e-10  # added to a magnitude before its logarithm or a division: the official code's
RATIO_MOST = 5.0  # above which Sound of Pixels clamps ratios
WEIGHT_RANGE = (1e-3, 10.0)


def binary(source: Float[Array, "*b"], mixture: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """1 where the source has more than half of the mixture's magnitude, else 0 (Zhao et al. 2018, eq. 6).

    Phases add up, so of two sources both or neither may have it.
    """
    return (source > 0.5 * mixture).astype(source.dtype)


def ratio(source: Float[Array, "*b"], mixture: Float[Array, "*b"], most: float = RATIO_MOST) -> Float[Array, "*b"]:
    """source / mixture, 0..most (eq. 7); more than 1 where phases cancel; 0 where neither sounds."""
    return jnp.clip(source / (mixture + TINY), 0, most)


def weights(mixture: Float[Array, "*b f t"], kind: str) -> Float[Array, "*b f t"]:
    """How much each place of a mixture's spectrogram counts in the loss.

    Args:
      mixture: magnitudes.
      kind: "none", all the same; "log", log(1 + magnitude) within .001..10, as in the official code; "magnitude", in
        units of the mean of the spectrogram: what is loud decides how an estimate sounds, and its figures in dB.
    """
    if kind == "none":
        return jnp.ones_like(mixture)
    if kind == "log":
        return jnp.clip(jnp.log1p(mixture), *WEIGHT_RANGE)
    return mixture / jnp.maximum(jnp.mean(mixture, (-2, -1), keepdims=True), TINY)


# -- oracles: what a mask of a kind could reach, from the true magnitudes [... n f t] of all n sources -----------------


def ideal_binary(magnitudes: Float[Array, "*b n f t"]) -> Float[Array, "*b n f t"]:
    """1 for the source that is the loudest at a place, of equally loud ones the first, and 0 for the others."""
    number = jnp.arange(magnitudes.shape[-3], dtype=jnp.int32).reshape((1,) * (magnitudes.ndim - 3) + (-1, 1, 1))
    return (number == jnp.argmax(magnitudes, -3, keepdims=True)).astype(magnitudes.dtype)


def ideal_ratio(magnitudes: Float[Array, "*b n f t"]) -> Float[Array, "*b n f t"]:
    """Each source's share of the sum of magnitudes, 0..1; the masks of all sources add up to 1 where any sounds."""
    return magnitudes / (jnp.sum(magnitudes, -3, keepdims=True) + TINY)
