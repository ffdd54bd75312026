"""Additive attention: by hand, its forms and gradients against the plain formula, and many queries under a vmap."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.ops import additive_attention


def plain(keys, query, kernel, activation):
    act = {"tanh": jnp.tanh, "relu": jax.nn.relu}[activation]
    return jnp.einsum("bkpa,a->bkp", act(keys[:, None] + query[:, :, None]), kernel)


def draw(rng, units):
    return [jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((2, 3, units), (2, 4, units), (units,))]


def test_by_hand():
    keys, query = jnp.array([[[1.0, -2.0], [0.5, 3.0]]]), jnp.array([[[0.5, 1.0]]])
    scores = additive_attention.scores(keys, query, jnp.array([2.0, -1.0]), "relu")
    np.testing.assert_allclose(scores, [[[2 * 1.5, 2 * 1.0 - 4.0]]])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("units", [5, 96])  # the plain form, and partial sums of 32 lanes
def test_value_and_gradients_are_the_plain_formula_s(rng, units, activation):
    inputs, weight = draw(rng, units), jnp.asarray(rng.normal(size=(2, 4, 3)), jnp.float32)

    def both(function):
        total = lambda *x: jnp.sum(weight * function(*x, activation))  # noqa: E731
        return jax.jit(jax.value_and_grad(total, (0, 1, 2)))(*inputs)

    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)  # noqa: E731
    jax.tree.map(close, both(additive_attention.scores), both(plain))


def test_queries_under_a_vmap_are_more_queries_of_a_picture(rng):
    keys, query, kernel = draw(rng, 64)
    many = jnp.stack([query, 2 * query, -query])
    searched = lambda *x: additive_attention.searched(*x, "tanh")  # noqa: E731
    scores = jax.jit(jax.vmap(searched, in_axes=(None, 0, None)))(keys, many, kernel)
    wanted = [plain(keys, q, kernel, "tanh") for q in many]
    np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-5)
    alike = jax.jit(jax.vmap(searched, in_axes=(0, 0, None)))(jnp.stack([keys] * 3), many, kernel)
    np.testing.assert_allclose(alike, wanted, rtol=1e-5, atol=1e-5)
