"""What the decoders of captions share: a plain LSTM, affine maps, and weights declared by a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Table = Mapping[str, tuple[nn.initializers.Initializer, tuple[int, ...]]]


def uniform(bound: float) -> nn.initializers.Initializer:
    """Draws from U(-bound, bound)."""

    def draw(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return draw


def declare(module: nn.Module, table: Table) -> dict[str, Array]:
    """The parameters of a table {name: (initialiser, shape)}, float32, in the module's own scope."""
    return {name: module.param(name, initial, shape, jnp.float32) for name, (initial, shape) in table.items()}


def affine(x: Float[Array, "*r d"], kernel: Float[Array, "d n"], bias: Float[Array, " n"]) -> Float[Array, "*r n"]:
    """x W + b."""
    return x @ kernel + bias.reshape((1,) * (x.ndim - 1) + (-1,))


def lstm(
    gates: Float[Array, "b 4*n"], memory: Float[Array, "b n"], forget: float = 0.0
) -> tuple[Float[Array, "b n"], Float[Array, "b n"]]:
    """One step of an LSTM without peepholes (Zaremba et al. 2014, as both captioning papers use it).

    Args:
      gates: what goes into input, forget and output gate and into the candidate, in this order.
      memory: c of the last step.
      forget: added to the forget gate.

    Returns:
      (h, c).
    """
    i, f, o, g = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f + jnp.asarray(forget, f.dtype)) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def drop(x: Array, rate: float, key: Callable[[], Array] | None) -> Array:
    """Dropout of `rate` with what is left scaled up; no key, no dropout. `key` is called only where it is needed."""
    if key is None or not rate:
        return x
    kept = jax.random.bernoulli(key(), 1.0 - rate, x.shape)
    return jnp.where(kept, x / jnp.asarray(1.0 - rate, x.dtype), jnp.zeros((), x.dtype))
