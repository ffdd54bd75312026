"""The nearest vector of a codebook."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int


def nearest(x: Float[Array, "*b d"], book: Float[Array, "k d"]) -> Int[Array, "*b"]:
    """The number of the nearest, int32; of equal ones the first. |x|^2 changes no order and is left out."""
    product = jnp.matmul(x, book.T, precision=lax.Precision.HIGHEST)
    length = jnp.sum(jnp.square(book), -1).reshape((1,) * (x.ndim - 1) + (-1,))
    return jnp.argmin(length - 2 * product, -1).astype(jnp.int32)
