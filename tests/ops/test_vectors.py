"""Vectors of length 1, and what becomes of zeros."""

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.ops.vectors import unit


def test_length_is_one_and_the_direction_stays():
    np.testing.assert_allclose(jax.jit(unit)(jnp.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]], atol=1e-6)


def test_the_gradient_is_across_the_vector_and_zero_at_zero():
    x = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    found = jax.grad(lambda x: jnp.sum(unit(x) * jnp.array([[1.0, 0.0], [1.0, 1.0]])))(x)
    np.testing.assert_allclose(found, [[0.16 / 1.25, -0.12 / 1.25], [0, 0]], atol=1e-6)  # (I - u u^T) / 5
