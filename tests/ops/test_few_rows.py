"""Products of few rows: values and gradients of the plain product, and the forms in which XLA gets them."""

import contextlib

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.ops import few_rows, platform


def test_values_and_gradients_are_those_of_the_plain_product(rng):
    x, kernel, dy = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 5), (5, 7), (3, 7)))
    value, pull = jax.vjp(jax.jit(few_rows.times), x, kernel)
    np.testing.assert_allclose(value, x @ kernel, rtol=1e-5)
    np.testing.assert_allclose(pull(dy)[0], dy @ kernel.T, rtol=1e-5)
    np.testing.assert_allclose(pull(dy)[1], x.T @ dy, rtol=1e-5)
    laid_out = few_rows.turned(jnp.asarray(kernel))
    assert laid_out.shape == (7, 5)
    np.testing.assert_allclose(jax.jit(few_rows.times_turned)(x, laid_out), x @ kernel, rtol=1e-5)
    several = jax.jit(jax.vmap(few_rows.times_turned, (0, None)))(np.stack([x, 2 * x]), laid_out)
    np.testing.assert_allclose(several[1], 2 * x @ kernel, rtol=1e-5)


@pytest.mark.parametrize("anywhere", [False, True])
def test_the_matrix_goes_first_on_a_cpu_alone(anywhere):
    def step(x, kernel):
        return jnp.tanh(few_rows.times_turned(x, kernel))

    x, kernel = jnp.zeros((3, 64)), jnp.zeros((256, 64))
    with platform.any_platform() if anywhere else contextlib.nullcontext():
        program = jax.jit(step).lower(x, kernel).compile().as_text()
    products = [line for line in program.splitlines() if " dot(" in line]
    assert len(products) == 1
    assert ("f32[256,3]" in products[0].split(" dot(")[0]) != anywhere  # or the simplifier has turned it back
