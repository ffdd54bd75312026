"""Pictures for the report: several of one condition, and those on the way from one condition, or code, to another."""

from __future__ import annotations

from jax import numpy as jnp
from jaxtyping import Array, Float, UInt8

from mmjax.ops.vectors import unit
from mmjax.systems.drawing.game import Game
from mmjax.task import Variables


def several(
    game: Game, variables: Variables, codes: Float[Array, "b k z"], conditions: Float[Array, "b k d"]
) -> UInt8[Array, "b k h w 3"]:
    """Pictures of codes and conditions, all of one call."""
    rows, many = codes.shape[:2]
    drawn = game.sample(variables, *(x.reshape(rows * many, -1) for x in (codes, conditions)))
    return drawn.reshape(rows, many, *drawn.shape[1:])


def straight(
    first: Float[Array, "b d"], last: Float[Array, "b d"], share: Float[Array, "1 k 1"]
) -> Float[Array, "b k d"]:
    """From one condition to another, by shares of the way from 0 to 1."""
    return first[:, None] * (1 - share) + last[:, None] * share


def along_the_sphere(
    first: Float[Array, "b 1 z"], last: Float[Array, "b 1 z"], share: Float[Array, "1 k 1"]
) -> Float[Array, "b k z"]:
    """From one Gaussian code to another along the sphere, whose lengths Gaussian codes have."""
    cosine = jnp.sum(unit(first) * unit(last), -1, keepdims=True)
    angle = jnp.arccos(jnp.clip(cosine, -0.9995, 0.9995))
    return (jnp.sin((1 - share) * angle) * first + jnp.sin(share * angle) * last) / jnp.sin(angle)


def strip(pictures: UInt8[Array, "b k h w 3"]) -> UInt8[Array, "b h k*w 3"]:
    """Pictures side by side."""
    b, k, h, w, c = pictures.shape
    return pictures.transpose(0, 2, 1, 3, 4).reshape(b, h, k * w, c)
