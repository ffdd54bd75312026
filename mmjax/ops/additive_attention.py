"""Additive attention (Bahdanau et al. 2015): a small network scores each place against a state, w . f(key + query)."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mmjax.ops import platform

ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu}
LANES = 32  # of the partial sums on a CPU: twice 16 floats; with 64 XLA's loop is not vectorised any more


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def scores(
    keys: Float[Array, "b p a"], query: Float[Array, "b k a"], kernel: Float[Array, " a"], activation: str
) -> Float[Array, "b k p"]:
    """w . f(key + query) for k queries of each picture's p places; nothing of size b k p a is kept for the gradient.

    Args:
      keys: the places' half of the hidden layer.
      query: the state's half.
      kernel: w.
      activation: "tanh" or "relu".
    """
    act, a = ACTIVATIONS[activation], kernel.shape[0]
    if not platform.cpu() or a % LANES or keys.dtype != jnp.float32:
        return act(keys[:, None] + query[:, :, None]) @ kernel

    # XLA's CPU writes the hidden layer to memory before it multiplies. Sums over every 32nd unit are made in one pass
    # that writes a sixteenth of that, and take a third of the time.
    def part(i):
        one = slice(i, i + LANES)
        return act(keys[:, None, :, one] + query[:, :, None, one]) * kernel[None, None, None, one]

    total = part(0)
    for i in range(LANES, a, LANES):
        total = total + part(i)
    return total @ jnp.ones(LANES, total.dtype)


def _forward(keys, query, kernel, activation):
    return scores(keys, query, kernel, activation), (keys, query, kernel)


def _slope(hidden, activation):
    """f and its derivative at key + query."""
    if activation == "tanh":
        y = jnp.tanh(hidden)
        return y, 1 - y * y
    return jax.nn.relu(hidden), (hidden > 0).astype(hidden.dtype)


def _backward(activation, kept, cotangent):
    keys, query, kernel = kept
    _, slope = _slope(keys[:, None] + query[:, :, None], activation)  # b k p a
    of_query = jnp.einsum("bkp,bkpa->bka", cotangent, slope) * kernel[None, None]
    of_keys, of_kernel = gradient(keys, kernel, query.swapaxes(0, 1), cotangent.swapaxes(0, 1), activation)
    return of_keys, of_query, of_kernel


scores.defvjp(_forward, _backward)


def searched(
    keys: Float[Array, "b p a"], query: Float[Array, "b k a"], kernel: Float[Array, " a"], activation: str
) -> Float[Array, "b k p"]:
    """`scores` without a gradient, whose queries under a vmap, such as beam search's, become more queries a picture."""

    if platform.anywhere():
        return scores(keys, query, kernel, activation)  # other runtimes know no rule for a vmap, and need none

    @jax.custom_batching.custom_vmap
    def score(keys, query, kernel):
        return scores(keys, query, kernel, activation)

    @score.def_vmap
    def _(size, mapped, keys, query, kernel):
        if mapped != [False, True, False]:
            axes = [0 if x else None for x in mapped]
            return jax.vmap(lambda *x: scores(*x, activation), in_axes=axes)(keys, query, kernel), True
        _, b, k, a = query.shape
        out = scores(keys, jnp.moveaxis(query, 0, 1).reshape(b, size * k, a), kernel, activation)
        return jnp.moveaxis(out.reshape(b, size, k, -1), 1, 0), True

    return score(keys, query, kernel)


def gradient(
    keys: Float[Array, "b p a"],
    kernel: Float[Array, " a"],
    queries: Float[Array, "t b a"],
    cotangents: Float[Array, "t b p"],
    activation: str,
) -> tuple[Float[Array, "b p a"], Float[Array, " a"]]:
    """The gradients with respect to keys and kernel, of t queries a picture together.

    The layer is computed again, a query at a time.
    """

    def add(sums, inputs):
        query, cotangent = inputs
        y, slope = _slope(keys + query[:, None], activation)
        # The second sum as a product: XLA's CPU would fuse a plain one with all this, and not vectorise either.
        return (sums[0] + cotangent[..., None] * slope, sums[1] + jnp.einsum("bp,bpa->ba", cotangent, y)), None

    (slopes, values), _ = lax.scan(add, (jnp.zeros_like(keys), jnp.zeros_like(queries[0])), (queries, cotangents))
    return slopes * kernel[None, None], jnp.sum(values, 0)
