"""The cost of a complex mask: by hand, against NumPy, at silence, and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from mmjax.losses import separation


def spectra(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def test_by_hand():
    mixture = jnp.asarray([[[2.0 + 0j, 1j, 0.0, 3 + 4j]]], jnp.complex64)
    source = jnp.asarray([[[1 + 1j, 8j, 1.0, -25.0]]], jnp.complex64)
    target = separation.ideal_mask(source, mixture)
    # (1 + i) / 2; 8, kept at 5; silence; -25 (3 - 4i) / 25 = -3 + 4i
    np.testing.assert_allclose(target[0, 0], [0.5 + 0.5j, 5, 0, -3 + 4j], rtol=1e-6)
    np.testing.assert_allclose(separation.ideal_mask(source, mixture, 3.5)[0, 0, 3], -3 + 3.5j, rtol=1e-6)
    found = jnp.asarray([[[0.5 - 0.5j, 5 + 2j, 100.0, 4j]]], jnp.complex64)
    value = jax.jit(separation.mask_error)(found, target, mixture)
    # squares 1, 4, 10,000 and 9, halved; weights log 3, log 2, .001 and log 6
    np.testing.assert_allclose(value, [(np.log(3) + 4 * np.log(2) + 10 + 9 * np.log(6)) / 8], rtol=1e-6)


def test_against_numpy(rng):
    found, target, mixture = (spectra(rng, 2, 3, 5, 7) for _ in range(3))
    mixture[0, 0] *= 1e6  # whose weight is 10 at most
    planes = np.stack([(found - target).real, (found - target).imag])
    weights = np.clip(np.log1p(np.abs(mixture.astype(np.complex128))), 1e-3, 10)
    wanted = np.mean(planes.astype(np.float64) ** 2 * weights[None], (0, 3, 4))
    np.testing.assert_allclose(jax.jit(separation.mask_error)(found, target, mixture), wanted, rtol=1e-5)


def test_gradients(rng):
    target, mixture = spectra(rng, 1, 2, 3), spectra(rng, 1, 2, 3)
    mixture[0, 0, 0] = 0
    total = lambda x: jnp.sum(separation.mask_error(jax.lax.complex(x[0], x[1]), target, mixture))  # noqa: E731
    x = rng.normal(size=(2, 1, 2, 3)).astype(np.float32)
    check_grads(jax.jit(total), (x,), order=1, modes=["rev"], rtol=1e-2, atol=1e-2)
    slope = jax.grad(lambda m: jnp.sum(jnp.abs(separation.ideal_mask(target, m))))(jnp.asarray(mixture))
    assert np.isfinite(slope).all()
