"""Blocks of picture networks: the gradient of the maximum over places is there, however the compiler rounds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.models.blocks.pictures import Block, mean_and_max


@pytest.mark.parametrize("level", [0, 3])
def test_the_maximum_after_a_block_has_its_gradient(rng, level):
    # jnp.max gives NaN at level 0: the batch norm is computed several times, with a fused multiply-add here and not
    # there, and no place equals the maximum.
    image = jnp.asarray(rng.normal(size=(8, 14, 14, 4)), jnp.float32)
    block = Block(8, 2, jnp.float32)
    variables = jax.jit(functools.partial(block.init, train=True))(jax.random.key(0), image)
    weight = jnp.asarray(rng.normal(size=(8, 16)), jnp.float32)

    def loss(params):
        x, _ = block.apply({"params": params, "state": variables["state"]}, image, train=True, mutable=["state"])
        return jnp.sum(weight * mean_and_max(x)), x

    gradient = jax.jit(jax.grad(loss, has_aux=True)).lower(variables["params"])
    found, _ = gradient.compile(compiler_options={"xla_backend_optimization_level": level})(variables["params"])
    with jax.disable_jit():
        wanted, x = jax.grad(loss, has_aux=True)(variables["params"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), found, wanted)
    # By hand: the bias of a channel moves its maximum by as much, and its mean by the share that the ReLU lets through.
    assert np.all(np.max(x, (1, 2)) > 0)
    by_hand = np.sum(weight[:, 8:] + weight[:, :8] * np.mean(np.asarray(x) > 0, (1, 2)), 0)
    np.testing.assert_allclose(found["norm"]["bias"], by_hand, atol=1e-4)
