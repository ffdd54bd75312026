"""The pooling of a CPU against XLA's: values, gradients where numbers tie, and their derivatives."""

import functools

import jax
import numpy as np
import pytest
from flax import linen as nn
from jax import numpy as jnp

from mmjax.ops import pooling


@pytest.mark.parametrize(
    ("shape", "window", "strides", "pads"),
    [
        ((2, 8, 7, 3), (3, 3), (2, 2), ((1, 1), (1, 1))),  # a ResNet's, of an odd number of columns
        ((1, 5, 6, 2), (2, 3), (1, 2), ((0, 1), (2, 0))),
        ((2, 6, 6, 1), (2, 2), (3, 3), ((0, 0), (0, 0))),  # pixels between the windows count nowhere
    ],
)
def test_xla_pools_alike(rng, monkeypatch, shape, window, strides, pads):
    monkeypatch.setattr(pooling, "_CPU", True)
    x = jnp.asarray(np.maximum(rng.integers(-3, 4, shape), 0), jnp.float32)  # many ties
    sides = [lambda x, pool=pool: pool(x, window, strides, pads) for pool in (pooling.max_pool, nn.max_pool)]

    def both(pool, x, g):
        value, back = jax.vjp(pool, x)
        return value, back(g)[0]

    g = jnp.asarray(rng.standard_normal(sides[1](x).shape), jnp.float32)
    for ours, own in zip(*(jax.jit(functools.partial(both, pool))(x, g) for pool in sides), strict=True):
        np.testing.assert_allclose(ours, own, atol=1e-6)
    squares = [jax.grad(lambda x, pool=pool: jnp.sum(pool(x) ** 3)) for pool in sides]
    twice = [jax.jit(jax.grad(lambda x, first=first: jnp.sum(first(x) * x)))(x + 1) for first in squares]
    np.testing.assert_allclose(twice[0], twice[1], rtol=1e-5)
