"""Our convolution against XLA's own: values and derivatives over sizes, strides, pads and the rest."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mmjax.ops import convolution

NHWC = ("NHWC", "HWIO", "NHWC")


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Small sizes take the forms of large ones."""
    monkeypatch.setattr(convolution, "_LARGE", 1)
    monkeypatch.setattr(convolution, "_CPU", True)
    monkeypatch.setattr(convolution.onednn, "_installed", False)


def draw(rng, size, kernel, channels=3, out=4, groups=1):
    x = rng.normal(size=(2, *size, channels)).astype(np.float32)
    return x, rng.normal(size=(*kernel, channels // groups, out)).astype(np.float32)


def everything(conv, x, kernel):
    """Value, gradients of something curved in both inputs, and the gradient of a squared gradient (R1)."""

    def value(x, kernel):
        return jnp.sum(jnp.sin(conv(x, kernel)))

    def penalty(x, kernel):
        return jnp.sum(jnp.square(jax.grad(value)(x, kernel)))

    return conv(x, kernel), *jax.grad(value, (0, 1))(x, kernel), *jax.grad(penalty, (0, 1))(x, kernel)


GRID = [
    ((5, 6), (1, 1), (1, 1), "SAME", {}),
    ((5, 6), (1, 1), (2, 2), "VALID", {}),
    ((5, 6), (1, 1), (2, 1), ((1, 0), (0, 1)), {}),
    ((5, 6), (2, 2), (1, 1), "VALID", {}),
    ((5, 4), (2, 2), (1, 1), "SAME", {}),
    ((5, 6), (2, 1), (1, 1), ((-1, 2), (0, 1)), {}),
    ((8, 8), (4, 4), (2, 2), ((1, 1), (1, 1)), {}),
    ((9, 7), (3, 3), (2, 2), "SAME", {}),
    ((8, 9), (3, 3), (2, 2), "VALID", {}),
    ((8, 10), (3, 4), (3, 2), ((2, 1), (0, 2)), {}),
    ((7, 9), (4, 2), (2, 2), ((-1, 1), (1, -1)), {}),
    ((9, 8), (3, 3), (1, 2), ((1, 1), (1, 1)), {}),
    ((8, 7), (2, 2), (3, 3), "VALID", {}),
    ((6, 6), (3, 3), (1, 1), "SAME", {}),
    ((6, 6), (2, 2), (1, 1), "SAME", {"rhs_dilation": (2, 2)}),
    ((4, 4), (4, 4), (1, 1), ((2, 2), (2, 2)), {"lhs_dilation": (2, 2)}),
    ((6, 6), (3, 3), (2, 2), "SAME", {"feature_group_count": 2}),
    ((6, 7), (3, 3), (1, 1), "SAME", {"feature_group_count": 4}),  # each channel alone
    ((7, 8), (3, 2), (2, 3), ((1, 0), (-1, 2)), {"feature_group_count": 4}),
]


@pytest.mark.parametrize(("size", "kernel", "strides", "padding", "more"), GRID)
def test_values_and_derivatives_are_those_of_xla(rng, size, kernel, strides, padding, more):
    arrays = draw(rng, size, kernel, 4, 4, more.get("feature_group_count", 1))
    options = {"window_strides": strides, "padding": padding, "dimension_numbers": NHWC, **more}
    both = [
        jax.jit(functools.partial(everything, functools.partial(conv, **options)))(*arrays)
        for conv in (convolution.convolve, lax.conv_general_dilated)
    ]
    for ours, own in zip(*both, strict=True):
        np.testing.assert_allclose(ours, own, atol=1e-5 * np.abs(own).max())


@pytest.mark.parametrize(
    ("kernel", "strides", "slow"),
    [((1, 1), (1, 1), "conv_general_dilated"), ((4, 4), (2, 2), "lhs_dilation=(2, 2)")],
)
def test_the_slow_gradients_are_not_computed(rng, kernel, strides, slow):
    """XLA's gradients are made of convolutions that our gradients are not made of."""
    x, k = draw(rng, (8, 8), kernel)

    def written(conv):
        def value(x, k):
            return jnp.sum(jnp.sin(conv(x, k, strides, "VALID", dimension_numbers=NHWC)))

        return str(jax.make_jaxpr(jax.grad(value, (0, 1)))(x, k))

    assert slow not in written(convolution.convolve)
    assert slow in written(lax.conv_general_dilated)


@pytest.mark.parametrize("which", [0, 1])
def test_one_gradient_costs_two_convolutions(rng, which):
    """That of a frozen kernel, or of a picture, is not computed, nor is anything made of zeros in its place."""

    def value(x, k):
        return jnp.sum(jnp.sin(convolution.convolve(x, k, (1, 1), "SAME", dimension_numbers=NHWC)))

    text = jax.jit(jax.grad(value, which)).lower(*draw(rng, (6, 6), (3, 3))).as_text()
    assert text.count("stablehlo.convolution") == 2


def test_an_accelerator_gets_xlas_own(rng, monkeypatch):
    monkeypatch.setattr(convolution, "_CPU", False)
    x, k = draw(rng, (4, 4), (1, 1))
    text = str(jax.make_jaxpr(lambda x, k: convolution.convolve(x, k, (1, 1), "SAME", dimension_numbers=NHWC))(x, k))
    assert "conv_general_dilated" in text
    assert "dot_general" not in text


def stacked(conv):
    """Three layers in a scan, each with its kernel, with the forms of all kinds; remat, jit inside."""

    def layer(x, kernels):
        one, two, four = kernels
        x = conv(jnp.sin(x), one, (1, 1), "SAME", dimension_numbers=NHWC)
        x = conv(x, two, (1, 1), "SAME", dimension_numbers=NHWC)
        small = conv(x, four, (2, 2), ((1, 1), (1, 1)), dimension_numbers=NHWC)
        return jnp.repeat(jnp.repeat(small, 2, 1), 2, 2), None

    return jax.jit(lambda x, kernels: jnp.sum(jnp.square(lax.scan(jax.checkpoint(layer), x, kernels)[0])))


def layers(rng):
    x = rng.normal(size=(8, 4, 6, 2)).astype(np.float32)
    return x, tuple(rng.normal(size=(3, k, k, 2, 2)).astype(np.float32) / k for k in (1, 2, 4))


TRANSFORMS = {
    "gradient through jit, scan and remat": lambda f: jax.grad(f, (0, 1)),
    "vmap over pictures": lambda f: jax.vmap(jax.grad(lambda x, k: f(x[None], k), (0, 1)), (0, None)),
    "vmap over kernels": lambda f: lambda x, k: jax.vmap(jax.grad(f), (None, 1))(x, _twice(k)),
    "forward": lambda f: lambda x, k: jax.jvp(f, (x, k), (x, k)),
    "forward over backward": lambda f: lambda x, k: jax.jvp(jax.grad(f), (x, k), (x, k)),
    "pmap": lambda f: lambda x, k: jax.pmap(jax.grad(f), in_axes=(0, None))(x.reshape(8, 1, *x.shape[1:]), k),
}


def _twice(tree):
    return jax.tree.map(lambda a: jnp.stack([a, -a], 1), tree)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_under_transformations(rng, name):
    arrays = layers(rng)
    both = [TRANSFORMS[name](stacked(conv))(*arrays) for conv in (convolution.convolve, lax.conv_general_dilated)]
    for ours, own in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(ours, own, atol=1e-5 * np.abs(own).max())


def test_over_several_devices(rng):
    x, kernels = layers(rng)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    spread = jax.device_put(x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    gradient = jax.jit(jax.grad(stacked(convolution.convolve), 1))
    for apart, whole in zip(gradient(spread, kernels), gradient(x, kernels), strict=True):
        np.testing.assert_allclose(apart, whole, atol=1e-5 * np.abs(whole).max())
