"""Runs of equal numbers as one each."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Int


def collapsed(
    codes: Int[Array, "b t"], count: Int[Array, " b"], most: int
) -> tuple[Int[Array, "b n"], Int[Array, " b"]]:
    """One of each run of equal numbers, in order, cut to the first `most` runs; 0 behind the last.

    Args:
      codes: at least 0.
      count: how many of a row are real.
      most: n.

    Returns:
      [b n] int32, and how many runs there are in each row, of which more than n may have been.
    """
    real = jnp.arange(codes.shape[1])[None] < count[:, None]
    begins = real & jnp.concatenate([jnp.ones_like(real[:, :1]), codes[:, 1:] != codes[:, :-1]], 1)
    place = jnp.where(begins, jnp.cumsum(begins, 1) - 1, most)  # what is no beginning is dropped
    rows = jnp.arange(codes.shape[0])[:, None]
    found = jnp.zeros((codes.shape[0], most), jnp.int32).at[rows, place].set(codes.astype(jnp.int32), mode="drop")
    return found, jnp.sum(begins, 1).astype(jnp.int32)
