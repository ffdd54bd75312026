"""Convolution and pooling: every form against NumPy, gradients against the plain form's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from mmjax.models.blocks.convolution_1d import channels_alone1d, conv1d, conv_pool_moments, max_pool1d, steps_out


def _numpy_conv(x, kernel, stride, pad):
    x = np.pad(np.float64(x), ((0, 0), (pad, pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, len(kernel), axis=1)[:, ::stride]  # [b u c k]
    return np.einsum("buck,kco->buo", windows, np.float64(kernel))


CASES = {  # steps, channels, kernel, stride, pad, out
    "soundnet conv2": (301, 4, 32, 2, 16, 3),
    "few steps": (20, 6, 8, 2, 0, 5),
    "stride beyond two": (411, 3, 16, 12, 4, 2),
    "kernel no multiple of the stride": (200, 2, 7, 3, 1, 2),
    "stride one": (90, 2, 5, 1, 2, 3),
}


@pytest.mark.parametrize("cpu", [False, True])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_convolution_and_its_gradients(rng, case, cpu):
    steps, channels, k, stride, pad, out = case
    x = jnp.asarray(rng.normal(size=(2, steps, channels)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(k, channels, out)), jnp.float32)
    y, back = jax.vjp(lambda x, kernel: conv1d(x, kernel, stride, pad, cpu=cpu), x, kernel)
    np.testing.assert_allclose(y, _numpy_conv(x, kernel, stride, pad), atol=1e-4)
    assert y.shape[1] == steps_out(steps, k, stride, pad)
    plain, plain_back = jax.vjp(lambda x, kernel: conv1d(x, kernel, stride, pad), x, kernel)
    cotangent = jnp.asarray(rng.normal(size=plain.shape), jnp.float32)
    for ours, theirs in zip(back(cotangent), plain_back(cotangent)):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize("cpu", [False, True])
@pytest.mark.parametrize(("k", "stride", "pad"), [(32, 2, 16), (4, 2, 2), (5, 1, 0), (3, 4, 1)])
def test_channels_alone_are_a_convolution_with_a_diagonal_kernel(rng, k, stride, pad, cpu):
    x, kernel = (jnp.asarray(rng.normal(size=size), jnp.float32) for size in ((2, 91, 3), (k, 3)))
    diagonal = np.asarray(kernel)[:, :, None] * np.eye(3, dtype=np.float32)
    y, back = jax.vjp(lambda x, kernel: channels_alone1d(x, kernel, stride, pad, cpu=cpu), x, kernel)
    plain, plain_back = jax.vjp(lambda x, kernel: conv1d(x, kernel, stride, pad), x, jnp.asarray(diagonal))
    np.testing.assert_allclose(y, plain, atol=1e-4)
    of_x, of_kernel = plain_back(plain)
    np.testing.assert_allclose(back(plain)[0], of_x, atol=1e-3)
    np.testing.assert_allclose(back(plain)[1], np.einsum("kcc->kc", of_kernel), atol=2e-3)


def test_max_pool_and_its_gradient_with_ties(rng):
    x = jnp.asarray(rng.integers(0, 3, (2, 14, 3)), jnp.float32)  # many ties; the last two steps are dropped
    weight = jnp.asarray(rng.normal(size=(2, 3, 3)), jnp.float32)
    blocks = np.asarray(x)[:, :12].reshape(2, 3, 4, 3)
    np.testing.assert_array_equal(max_pool1d(x, 4), blocks.max(2))
    ours = jax.grad(lambda x: jnp.sum(weight * max_pool1d(x, 4)))(x)
    first = np.arange(4)[:, None] == blocks.argmax(2)[:, :, None]  # of equals, the first step gets it all
    np.testing.assert_array_equal(ours[:, :12].reshape(blocks.shape), first * np.asarray(weight)[:, :, None])
    np.testing.assert_array_equal(ours[:, 12:], 0)
    distinct = jnp.asarray(rng.permutation(84).reshape(2, 14, 3), jnp.float32)
    check_grads(lambda x: max_pool1d(x, 4), (distinct,), order=1, modes=["rev"], eps=0.1)


@pytest.mark.parametrize("steps", [128, 133, 142])  # u = 65, 67, 72: some left over, and none
def test_fused_pooling_and_moments(rng, steps):
    x = jnp.asarray(rng.normal(size=(8, steps, 1)) + 2, jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(16, 1, 3)), jnp.float32)

    def plain(x, kernel):
        y = conv1d(x, kernel, 2, 8)
        return max_pool1d(y, 8), jnp.mean(y, (0, 1)), jnp.var(y, (0, 1))

    def fused(x, kernel):
        pooled, (mean, var, count) = conv_pool_moments(x, kernel, 2, 8, 8)
        return (pooled, mean, var), count

    expected, back = jax.vjp(jax.jit(plain), x, kernel)
    found, fused_back, count = jax.vjp(jax.jit(fused), x, kernel, has_aux=True)
    assert count == 8 * steps_out(steps, 16, 2, 8)
    cotangents = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), expected)
    for ours, theirs in zip((*found, *fused_back(cotangents)), (*expected, *back(cotangents))):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-4)


def test_fused_moments_of_what_is_far_from_zero(rng):
    x = jnp.asarray(rng.normal(size=(2, 3000, 1)) + 1000, jnp.float32)  # 372 windows: the shift is a few of them's
    kernel = jnp.asarray(np.full((4, 1, 1), 0.25), jnp.float32)  # var 1 / 4 beside a mean of 1000
    _, (mean, var, _) = jax.jit(lambda x: conv_pool_moments(x, kernel, 1, 0, 8))(x)
    y = _numpy_conv(x, kernel, 1, 0)
    np.testing.assert_allclose(mean, y.mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(var, y.var((0, 1)), rtol=1e-2)  # mean(y^2) - mean^2 is off by a tenth
