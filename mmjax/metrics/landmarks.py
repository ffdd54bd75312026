"""How far predicted landmarks are from those of a face."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

EYES = (36, 45)  # the outer corners of both eyes among the 68 of 300-W


def error(truth: Float[Array, "b n 2"], guess: Float[Array, "b n 2"]) -> Float[Array, " b"]:
    """Mean distance of the landmarks, as a share of that of the eyes' outer corners (300-W; Sagonas et al. 2013).

    Of other than 68 landmarks the unit is half of the diagonal of the box around them all.
    """
    left, right = truth[:, EYES[0] % truth.shape[1]], truth[:, EYES[1] % truth.shape[1]]
    if truth.shape[1] != 68:
        left, right = jnp.min(truth, 1), (jnp.min(truth, 1) + jnp.max(truth, 1)) / 2
    unit = jnp.linalg.norm(left - right, axis=-1)
    return jnp.mean(jnp.linalg.norm(truth - guess, axis=-1), -1) / jnp.maximum(unit, 1e-6)


def aligned(truth: Float[Array, "b n 2"], guess: Float[Array, "b n 2"]) -> Float[Array, "b n 2"]:
    """The guess moved, turned and scaled so that it lies on the truth as closely as it can (Procrustes, in the plane).

    What is left of the error is of the face's shape; where and at which angle a face was caught, no voice tells.
    """
    centre, middle = jnp.mean(truth, 1, keepdims=True), jnp.mean(guess, 1, keepdims=True)
    one, two = guess - middle, truth - centre
    size = jnp.maximum(jnp.sum(one * one, (1, 2)), 1e-12)
    along = jnp.sum(one * two, (1, 2)) / size  # with `across` a complex number that turns and scales
    across = jnp.sum(one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0], 1) / size
    x = along[:, None] * one[..., 0] - across[:, None] * one[..., 1]
    y = across[:, None] * one[..., 0] + along[:, None] * one[..., 1]
    return jnp.stack([x, y], -1) + centre
