"""The maximum whose gradient goes by place: by hand, with ties, and where the compiler rounds in two ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from mmjax.ops import maximum


def test_by_hand_the_first_of_equals_gets_all():
    x = jnp.asarray([[1.0, 3.0, 3.0], [-2.0, -2.0, -5.0], [-jnp.inf, -jnp.inf, -jnp.inf]])
    value, back = jax.vjp(lambda x: maximum.over(x, (1,)), x)
    np.testing.assert_array_equal(value, [3, -2, -np.inf])
    np.testing.assert_array_equal(back(jnp.asarray([10.0, 20.0, 30.0]))[0], [[0, 10, 0], [20, 0, 0], [30, 0, 0]])
    whole = jnp.asarray([[[0.0], [7.0]], [[7.0], [7.0]]])
    np.testing.assert_array_equal(jax.grad(lambda x: maximum.over(x, (0, 1, 2)))(whole)[..., 0], [[0, 1], [0, 0]])
    broken = jnp.asarray([1.0, jnp.nan, 5.0])  # is not hidden
    assert np.isnan(maximum.over(broken, (0,)))
    np.testing.assert_array_equal(jax.grad(lambda x: maximum.over(x, (0,)))(broken), [0, 1, 0])


@pytest.mark.parametrize("axes", [(0,), (1, 2), (2,), (3,), (0, 1, 2, 3)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_values_are_jnp_max_and_gradients_too_without_ties(rng, axes, dtype):
    distinct = jnp.asarray(rng.permutation(120).reshape(2, 3, 4, 5) - 60, dtype)
    value, back = jax.vjp(lambda x: maximum.over(x, axes), distinct)
    peer, peer_back = jax.vjp(lambda x: jnp.max(x, axes), distinct)
    assert value.dtype == dtype
    np.testing.assert_array_equal(value, peer)
    np.testing.assert_array_equal(back(peer * 3 + 1)[0], peer_back(peer * 3 + 1)[0])


def test_both_modes_and_the_second_derivative(rng):
    distinct = jnp.asarray(rng.permutation(24).reshape(2, 3, 4), jnp.float32)
    check_grads(lambda x: maximum.over(x, (0, 1)) ** 2 / 9, (distinct,), order=2, modes=["fwd", "rev"], eps=0.1)


def test_axes_that_are_not_adjacent():
    with pytest.raises(ValueError, match="adjacent"):
        jax.grad(lambda x: maximum.over(x, (0, 2))[0])(jnp.zeros((2, 1, 2)))


def normalised(y, gain):
    """Features at zero mean and variance 1, times a gain: cheap enough that a compiler computes it several times."""
    centred = y - jnp.mean(y, -1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(jnp.square(centred), -1, keepdims=True)) * gain[None, None, None]


def affine(y, gain):
    return y * gain[None, None, None] + (0.3 - 0.7 * gain)[None, None, None]


@pytest.mark.parametrize("before", [affine, normalised])
@pytest.mark.parametrize("level", [0, 3])
def test_no_rounding_of_the_compiler_loses_the_place(rng, before, level):
    # jnp.max fails all but one: at level 0 with NaN (0 / 0), normalised at level 3, the default, with wrong numbers.
    y = jnp.asarray(rng.normal(size=(4, 5, 5, 33)), jnp.float32)
    gain = jnp.asarray(rng.normal(size=33), jnp.float32)
    top = jnp.asarray(rng.normal(size=(4, 33)), jnp.float32)

    def loss(y, gain):
        return jnp.sum(top * maximum.over(before(y, gain), (1, 2)))

    gradient = jax.jit(jax.grad(loss, (0, 1))).lower(y, gain)
    found = gradient.compile(compiler_options={"xla_backend_optimization_level": level})(y, gain)

    x, back = jax.vjp(before, y, gain)  # operation by operation: each value is computed once
    place = np.asarray(x).reshape(4, 25, 33).argmax(1)
    here = np.where(np.arange(25)[:, None] == place[:, None], top[:, None], 0).reshape(x.shape)
    for ours, wanted in zip(found, back(jnp.asarray(here))):
        np.testing.assert_allclose(ours, wanted, atol=2e-5)
