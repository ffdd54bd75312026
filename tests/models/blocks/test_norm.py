"""BatchNorm: statistics against float64 NumPy, PyTorch's conventions, masks, both forms of parallelism."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mmjax.models.blocks.norm import BatchNorm, moments, statistics_of_batch
from mmjax.ops import collective


def test_moments_survive_a_mean_far_beyond_the_deviation(rng):
    x = (rng.normal(size=(4, 5000, 3)) * [1e-2, 1.0, 3.0] + [1000.0, -1000.0, 0.0]).astype(np.float32)
    mean, var, count = jax.jit(moments)(x)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean((0, 1)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(var, wide.var((0, 1)), rtol=1e-4)
    assert count == 20_000


def test_masked_moments_are_those_of_the_kept_entries_and_ignore_the_others(rng):
    x = (0.1 * rng.normal(size=(3, 7, 2)) - 600).astype(np.float32)
    where = rng.random((3, 7)) < 0.4
    where[0] = False  # the shift is of the first row that is not all padding
    kept = x[where].astype(np.float64)
    x[~where] = np.nan
    mean, var, count = moments(jnp.asarray(x), jnp.asarray(where))
    np.testing.assert_allclose(mean, kept.mean(0), rtol=1e-6)
    np.testing.assert_allclose(var, kept.var(0), rtol=1e-3)
    assert count == len(kept)


def test_one_training_step_by_hand():
    x = jnp.array([[1.0], [3.0]])
    layer = BatchNorm()
    variables = layer.init(jax.random.key(0), x, train=True)
    np.testing.assert_array_equal(variables["state"]["mean"], [0.0])
    np.testing.assert_array_equal(variables["state"]["var"], [1.0])
    y, new = layer.apply(variables, x, train=True, mutable=["state"])
    # mean 2, biased variance 1, unbiased 2; momentum .1
    np.testing.assert_allclose(y, np.array([[-1.0], [1.0]]) / np.sqrt(1 + 1e-5), rtol=1e-6)
    np.testing.assert_allclose(new["state"]["mean"], [0.2], rtol=1e-6)
    np.testing.assert_allclose(new["state"]["var"], [0.9 + 0.1 * 2], rtol=1e-6)
    still = layer.apply({**variables, **new}, x, train=False)
    np.testing.assert_allclose(still, (np.array([[1.0], [3.0]]) - 0.2) / np.sqrt(1.1 + 1e-5), rtol=1e-6)


def test_gradients_are_those_of_the_two_pass_formula(rng):
    x = jnp.asarray(rng.normal(size=(6, 5, 3)) + 4, jnp.float32)
    weight = jnp.asarray(rng.normal(size=x.shape), jnp.float32)
    where = jnp.asarray(rng.random((6, 5)) < 0.7)
    layer = BatchNorm()
    variables = layer.init(jax.random.key(0), x, train=True)

    def ours(x):
        return jnp.sum(weight * layer.apply(variables, x, train=True, where=where, mutable=["state"])[0])

    def plain(x):
        mean = jnp.mean(x, (0, 1), where=where[..., None])
        var = jnp.mean(jnp.square(x - mean[None, None]), (0, 1), where=where[..., None])
        return jnp.sum(weight * (x - mean[None, None]) / jnp.sqrt(var + 1e-5)[None, None])

    np.testing.assert_allclose(jax.jit(jax.grad(ours))(x), jax.jit(jax.grad(plain))(x), atol=2e-5)


def test_bfloat16_input_keeps_float32_statistics(rng):
    x = jnp.asarray(rng.normal(size=(4, 9, 2)) + 3, jnp.bfloat16)
    layer = BatchNorm()
    variables = layer.init(jax.random.key(0), x, train=True)
    y, new = layer.apply(variables, x, train=True, mutable=["state"])
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, new))} == {jnp.dtype("float32")}
    np.testing.assert_allclose(new["state"]["mean"], 0.1 * np.asarray(x, np.float64).mean((0, 1)), rtol=1e-5)


def _loss(variables, x, where, layer):
    y, new = layer.apply(variables, x, train=True, where=where, mutable=["state"])
    total = collective.total(jnp.sum(jnp.square(y) * jnp.sin(x), where=where[..., None]))
    return total / collective.total(jnp.sum(where, dtype=jnp.float32)), new


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_eight_devices_normalise_by_the_global_batch(rng, parallel):
    x = jnp.asarray(rng.normal(size=(16, 5, 3)) + 10 * rng.normal(size=(16, 1, 1)), jnp.float32)
    where = jnp.asarray(rng.random((16, 5)) < 0.6)  # so that devices differ in their counts
    layer = BatchNorm()
    variables = layer.init(jax.random.key(0), x, train=True)
    step = jax.value_and_grad(_loss, has_aux=True)
    (loss, state), grads = step(variables, x, where, layer)
    if parallel == "jit":
        mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
        split = [jax.device_put(a, NamedSharding(mesh, PartitionSpec("data"))) for a in (x, where)]
        (loss8, state8), grads8 = jax.jit(step, static_argnums=3)(variables, *split, layer)
    else:
        split = [a.reshape(8, 2, *a.shape[1:]) for a in (x, where)]

        def device(variables, x, where):
            (loss, state), grads = step(variables, x, where, layer)
            return (loss, state), collective.mean(grads)

        out = jax.pmap(device, axis_name=collective.AXIS, in_axes=(None, 0, 0))(variables, *split)
        (loss8, state8), grads8 = jax.tree.map(lambda a: a[0], out)
    np.testing.assert_allclose(loss8, loss, rtol=1e-5)
    for one, eight in zip(jax.tree.leaves((state, grads["params"])), jax.tree.leaves((state8, grads8["params"]))):
        np.testing.assert_allclose(eight, one, rtol=1e-4, atol=1e-5)


def test_an_evaluation_by_its_own_batch_leaves_the_running_statistics(rng):
    x = jnp.asarray(3 + 2 * rng.normal(size=(6, 5)), jnp.float32)
    module = BatchNorm()
    variables = module.init(jax.random.key(0), x, train=False)
    want, updated = module.apply(variables, x, train=True, mutable=["state"])
    with statistics_of_batch():
        np.testing.assert_array_equal(module.apply(variables, x, train=False), want)
        with statistics_of_batch(False):
            running = module.apply(variables, x, train=False)
    np.testing.assert_array_equal(running, module.apply(variables, x, train=False))
    assert not np.allclose(running, want)
    assert not np.allclose(updated["state"]["mean"], variables["state"]["mean"])
