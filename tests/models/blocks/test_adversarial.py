"""Convolutions of stride two against XLA's own, and spectral norm against the singular value decomposition."""

import jax
import numpy as np
import pytest
from jax import lax
from jax import numpy as jnp

from mmjax.models.blocks.adversarial import Double, Halve, Weights, blocks, pixels

NHWC = ("NHWC", "HWIO", "NHWC")


def test_blocks_and_back(rng):
    x = jnp.asarray(rng.normal(size=(2, 4, 6, 3)), jnp.float32)
    assert blocks(x).shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(blocks(x)[1, 1, 2].reshape(2, 2, 3), x[1, 2:4, 4:6])
    np.testing.assert_array_equal(pixels(blocks(x)), x)


def test_halve_is_the_strided_convolution(rng):
    x = jnp.asarray(rng.normal(size=(2, 8, 6, 3)), jnp.float32)
    variables = Halve(5).init(jax.random.key(0), x, train=False)
    own = variables["params"]["conv"]["kernel"]  # 2 2 (dy dx c) d
    plain = own.reshape(2, 2, 2, 2, 3, 5).transpose(0, 2, 1, 3, 4, 5).reshape(4, 4, 3, 5)
    want = lax.conv_general_dilated(x, plain, (2, 2), [(1, 1), (1, 1)], dimension_numbers=NHWC)
    np.testing.assert_allclose(Halve(5).apply(variables, x, train=False), want, atol=1e-5)


def test_double_is_the_transposed_convolution(rng):
    x = jnp.asarray(rng.normal(size=(2, 3, 5, 4)), jnp.float32)
    variables = Double(6).init(jax.random.key(0), x, train=False)
    own = variables["params"]["conv"]["kernel"]  # 2 2 c (dy dx d)
    dilated = lax.conv_general_dilated(
        x, taps_of_transposed(own), (1, 1), [(2, 2), (2, 2)], lhs_dilation=(2, 2), dimension_numbers=NHWC
    )
    np.testing.assert_allclose(Double(6).apply(variables, x, train=False), dilated, atol=1e-5)


def taps_of_transposed(own):
    """The 4 x 4 kernel that XLA lays over the input with zeros between its pixels."""
    cells = np.asarray(own).reshape(2, 2, 4, 2, 2, 6)  # m n c dy dx d
    found = np.zeros((4, 4, 4, 6), np.float32)
    for k in range(4):
        for q in range(4):
            # tap k over zeros: output i meets input (i + k - 2) / 2 where that is whole
            found[k, q] = cells[k // 2, q // 2, :, 1 - k % 2, 1 - q % 2]
    return jnp.asarray(found)


@pytest.mark.parametrize("kernel", [0, 3])
def test_spectral_norm_becomes_the_largest_singular_value(rng, kernel):
    layer = Weights(6, kernel, spectral=True, bias=False)
    x = jnp.asarray(rng.normal(size=(2, 5, 5, 4) if kernel else (2, 4)), jnp.float32)
    variables = layer.init(jax.random.key(0), x, train=True)
    kept = layer.apply(variables, x, train=False, mutable=["state"])[1]["state"]
    np.testing.assert_array_equal(kept["u"], variables["state"]["u"])  # looking changes nothing
    state, step = variables["state"], jax.jit(lambda v: layer.apply(v, x, train=True, mutable=["state"]))
    for _ in range(60):
        y, updated = step({"params": variables["params"], "state": state})
        state = updated["state"]
    matrix = np.asarray(variables["params"]["kernel"]).reshape(-1, 6)
    largest = np.linalg.svd(matrix)[1][0]
    plain = Weights(6, kernel, bias=False).apply({"params": variables["params"]}, x, train=False)
    np.testing.assert_allclose(y, plain / largest, rtol=1e-4, atol=1e-5)


def test_the_gradient_through_spectral_norm_is_of_the_ratio(rng):
    layer = Weights(3, spectral=True, bias=False)
    x = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)
    variables = layer.init(jax.random.key(0), x, train=True)
    state = variables["state"]
    for _ in range(60):
        state = layer.apply({**variables, "state": state}, x, train=True, mutable=["state"])[1]["state"]
    slope = jax.grad(lambda p: jnp.sum(layer.apply({"params": p, "state": state}, x, train=False)))(variables["params"])
    kernel = np.float64(variables["params"]["kernel"])

    def value(k):
        return np.sum(np.float64(x) @ k) / np.linalg.svd(k)[1][0]

    numeric = np.zeros_like(kernel)
    for at in np.ndindex(kernel.shape):
        step = np.zeros_like(kernel)
        step[at] = 1e-5
        numeric[at] = (value(kernel + step) - value(kernel - step)) / 2e-5
    np.testing.assert_allclose(slope["kernel"], numeric, atol=1e-3)
