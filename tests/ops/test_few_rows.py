"""Products of few rows: values and gradients of the plain product, and the forms in which XLA gets them."""

import contextlib

import jax
import numpy as np
import pytest
from jax import lax
from jax import numpy as jnp

from mmjax.ops import few_rows, platform


@pytest.mark.parametrize("large", [1, 2**20])
def test_values_and_gradients_are_those_of_the_plain_product(rng, monkeypatch, large):
    monkeypatch.setattr(few_rows, "LARGE", large)
    x, kernel, dy = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 5), (5, 7), (3, 7)))
    value, pull = jax.vjp(lambda *a: few_rows.times(*a), x, kernel)
    np.testing.assert_allclose(value, x @ kernel, rtol=1e-5)
    np.testing.assert_allclose(pull(dy)[0], dy @ kernel.T, rtol=1e-5)
    np.testing.assert_allclose(pull(dy)[1], x.T @ dy, rtol=1e-5)

    @jax.jit
    def loop(x, kernel):
        product = few_rows.in_loop(kernel)
        return lax.scan(lambda x, _: (product(x)[:, :5], product(x)), x, None, length=2)[1]

    first, second = loop(x, jnp.asarray(kernel))
    np.testing.assert_allclose(first, x @ kernel, rtol=1e-5)
    np.testing.assert_allclose(second, (x @ kernel)[:, :5] @ kernel, rtol=1e-4, atol=1e-5)
    several = jax.jit(jax.vmap(lambda x: few_rows.in_loop(jnp.asarray(kernel))(x)))(np.stack([x, 2 * x]))
    np.testing.assert_allclose(several[1], 2 * x @ kernel, rtol=1e-5)


@pytest.mark.parametrize(("anywhere", "large"), [(False, 1), (True, 1), (False, 2**20)])
def test_a_large_matrix_goes_first_on_a_cpu_alone(anywhere, large, monkeypatch):
    monkeypatch.setattr(few_rows, "LARGE", large)
    with platform.any_platform() if anywhere else contextlib.nullcontext():
        x, kernel = jnp.zeros((3, 64)), jnp.zeros((64, 256))
        step = jax.jit(lambda x, kernel: jnp.tanh(few_rows.in_loop(kernel)(x)))
        back = jax.jit(lambda y, kernel: jnp.tanh(jax.vjp(lambda x: few_rows.times(x, kernel), x)[1](y)[0]))
        programs = [step.lower(x, kernel), back.lower(jnp.zeros((3, 256)), kernel)]
    for program, size in zip(programs, (256, 64), strict=True):
        (product,) = [line for line in program.compile().as_text().splitlines() if " dot(" in line]
        # Otherwise the simplifier has turned it back.
        assert (f"f32[{size},3]" in product.split(" dot(")[0]) == (not anywhere and large == 1)


def test_one_row_stays_as_it_is(rng, monkeypatch):
    monkeypatch.setattr(few_rows, "LARGE", 1)
    x, kernel = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((1, 64), (64, 256)))
    program = jax.jit(lambda x, kernel: few_rows.in_loop(kernel)(x)).lower(x, kernel)
    assert "optimization_barrier" not in program.as_text().split("dot_general")[1]
    np.testing.assert_allclose(program.compile()(x, kernel), x @ kernel, rtol=1e-4, atol=1e-5)
