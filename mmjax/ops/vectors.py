"""Vectors of length 1."""

from __future__ import annotations

from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float


def unit(x: Float[Array, "*shape d"]) -> Float[Array, "*shape d"]:
    """Vectors at length 1; one of zeros stays, with a gradient of zero."""
    square = jnp.sum(jnp.square(x), -1, keepdims=True)
    return x * jnp.where(square > 0, lax.rsqrt(jnp.where(square > 0, square, 1.0)), 0.0)
