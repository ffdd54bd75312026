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
    squares = jax.jit(lambda x: maximum.over(x, (0, 1)) ** 2 / 9)
    check_grads(squares, (distinct,), order=2, modes=["fwd", "rev"], eps=0.1)


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


def test_with_sums_by_hand():
    x = jnp.asarray([[[1.0, -4.0], [3.0, -2.0], [3.0, -3.0]]])  # the first column has a tie
    found, back = jax.vjp(lambda x: maximum.with_sums(x, jnp.asarray([2.0, -3.0])), x)
    for ours, wanted in zip(found, ([[3, -2]], [[-1 + 1 + 1, -1 + 1 + 0]], [[3, 2]])):
        np.testing.assert_array_equal(ours, wanted)
    of_most, of_first, of_second = (jnp.asarray([[a, a]]) for a in (10.0, 0.5, 3.0))
    # The sums' part is 0.5 + 3 * 2 (x - shift); the maximum's ten goes to the first of equals.
    wanted = [[-5.5, -5.5], [6.5 + 10, 6.5 + 10], [6.5, 0.5]]
    np.testing.assert_array_equal(back((of_most, of_first, of_second))[0], [wanted])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_with_sums_is_the_maximum_and_the_moments(rng, dtype):
    # Far from zero, where x^2 - mean^2 would cancel: in float32 by 1e-7 * 1e6, against a variance of 1.
    x = jnp.asarray(rng.normal(size=(6, 8, 5)) + (1000 if dtype == jnp.float32 else 4), dtype)
    shift = jnp.mean(x.astype(jnp.float32), (0, 1))
    weights = [jnp.asarray(rng.normal(size=(6, 5)), d) for d in (dtype, jnp.float32, jnp.float32)]

    def plain(x):
        apart = x.astype(jnp.float32) - shift[None, None]
        return jnp.max(x, 1), jnp.sum(apart, 1), jnp.sum(jnp.square(apart), 1)

    def fused(x):
        return maximum.with_sums(x, shift)

    (wanted, back), (found, fused_back) = (jax.vjp(jax.jit(f), x) for f in (plain, fused))
    assert [a.dtype for a in found] == [dtype, jnp.float32, jnp.float32]
    np.testing.assert_array_equal(found[0], wanted[0])
    for ours, theirs in zip(found[1:], wanted[1:]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
    if dtype == jnp.float32:  # distinct numbers; in bfloat16 there are ties
        np.testing.assert_allclose(fused_back(tuple(weights))[0], back(tuple(weights))[0], rtol=1e-5, atol=1e-5)
        sums = jax.jit(lambda x: maximum.with_sums(x, jnp.zeros(5))[1:])
        check_grads(sums, (x - 1000,), order=2, modes=["fwd", "rev"], eps=1e-2)
