"""Which estimate is which source's, for networks that are told no order: permutation-invariant figures and losses."""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmjax.errors import UserError

MOST = 6  # sources: 720 orders are looked through


def best_order(scores: Float[Array, "*b n n"]) -> Int[Array, "*b n"]:
    """The estimate of each source, so that the sum of their scores is largest (Yu et al. 2017, for losses).

    Args:
      scores: of every estimate (rows) for every source (columns), larger is better: SI-SDR, or a loss with its sign
        turned. NaN counts as 0 and infinities as a million: a silent source decides nothing.

    Returns:
      [... n] int32: row of each column; the first in lexicographic order among equals.

    Raises:
      UserError: no square, or more than `MOST` sources.
    """
    n = scores.shape[-1]
    if scores.ndim < 2 or scores.shape[-2] != n or n > MOST:
        raise UserError(f"scores have the shape {scores.shape}: they must be [... n n] with n at most {MOST}")
    orders = np.array(list(itertools.permutations(range(n))), np.int32)  # orders n
    scores = jnp.nan_to_num(scores, nan=0.0, posinf=1e6, neginf=-1e6)
    sums = jnp.sum(scores[..., orders, np.arange(n)], -1)
    return jnp.asarray(orders)[jnp.argmax(sums, -1)]


def in_order(values: Float[Array, "*b n n"], order: Int[Array, "*b n"]) -> Float[Array, "*b n"]:
    """The value of each source and its estimate; differentiable in the values."""
    return jnp.take_along_axis(values, order[..., None, :], -2)[..., 0, :]


def ordered(estimates: Float[Array, "*b n time"], order: Int[Array, "*b n"]) -> Float[Array, "*b n time"]:
    """The estimates in the order of the sources."""
    return jnp.take_along_axis(estimates, order[..., None], -2)
