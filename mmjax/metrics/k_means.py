"""k-means of many vectors, compiled: Lloyd's algorithm from a start that is spread out."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from mmjax.ops.nearest import nearest


@functools.partial(jax.jit, static_argnames=("clusters", "rounds"))
def centres(key: Key[Array, ""], x: Float[Array, "n d"], clusters: int, rounds: int = 30) -> Float[Array, "k d"]:
    """Centres of clusters: k-means++ (Arthur and Vassilvitskii 2007), then rounds of Lloyd's algorithm.

    Args:
      key: of the start.
      x: at least one vector.
      clusters: k; where fewer vectors differ, some centres are equal.
      rounds: so many; a centre that loses its last vector stays.
    """

    def begin(i, carry):
        found, least = carry
        odds = jnp.where(least > 0, jnp.log(jnp.maximum(least, 1e-30)), -jnp.inf)
        odds = jnp.where(jnp.any(least > 0), odds, 0.0)
        one = x[jax.random.categorical(jax.random.fold_in(key, i), odds)]
        least = jnp.minimum(least, jnp.sum(jnp.square(x - one[None]), 1))
        return found.at[i].set(one), least

    start = jnp.zeros((clusters, x.shape[1]), x.dtype), jnp.ones(len(x), x.dtype)
    first = x[jax.random.randint(key, (), 0, len(x))]
    start = start[0].at[0].set(first), jnp.sum(jnp.square(x - first[None]), 1)
    found, _ = lax.fori_loop(1, clusters, begin, start)

    def move(_, found):
        own = nearest(x, found)
        count = jnp.zeros(clusters).at[own].add(1.0)
        sums = jnp.zeros_like(found).at[own].add(x)
        return jnp.where(count[:, None] > 0, sums / jnp.maximum(count, 1.0)[:, None], found)

    return lax.fori_loop(0, rounds, move, found)
