"""What tests of losses over all pairs share: captions of one image in a batch, and one device against eight."""

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.engine import mesh
from mmjax.ops import collective

GROUP = np.array([3, 1, 3, 4, 5, 1, 7, 8, 3, 2, 11, 12, 0, 14, 15, 12], np.int32)  # 3 three times; 1 and 12 twice
WHERE = np.array([True] * 9 + [False] + [True] * 6)


def batch(rng, size=16, width=4):
    """Two modalities of `size` pairs as the engine's batches have them, with groups and a row that does not count."""
    one, two = rng.normal(size=(2, size, width)).astype(np.float32)
    return {"a": one, "b": two, "group": GROUP[:size], "where": WHERE[:size]}


def unit(x):
    xp = np if isinstance(x, np.ndarray) else jnp  # nothing to compile where there is nothing to trace
    return x / xp.linalg.norm(x, axis=-1, keepdims=True)


def ways(loss, params, data):
    """(value, gradient) of mean_where(loss(params, data)) on one device, on eight under jit, on eight under pmap."""

    def mean(params, data):
        return collective.mean_where(loss(params, data), data["where"])

    def step(params, data, key):
        del key
        value, gradient = jax.value_and_grad(mean)(params, data)
        return collective.mean(gradient), collective.mean(value)

    yield jax.jit(step)(params, data, 0)[::-1]
    for placement in (mesh.Jitted(), mesh.Replicated()):
        call = placement.compile(step, params, donate=False)
        gradient, value = call(placement.place(params), placement.put(data), jnp.zeros(()))
        yield value, jax.tree.map(np.asarray, placement.single(gradient))


def check_devices(loss, params, data):
    """One device and eight give one value and one gradient, and no gradient vanishes."""
    (value, gradient), *others = ways(loss, params, data)
    assert all(np.abs(leaf).max() > 1e-4 for leaf in jax.tree.leaves(gradient))
    for other, their_gradient in others:
        np.testing.assert_allclose(other, value, rtol=1e-5)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max()),
            their_gradient,
            gradient,
        )
