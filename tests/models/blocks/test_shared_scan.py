"""The scan with shared weights has the values and the gradients of lax.scan, and adds nothing up inside its loop."""

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax.extend import core as jax_core

from mmjax.models.blocks import shared_scan

USES = {
    "inner": shared_scan.PRODUCT,
    "bias": shared_scan.Use(lambda bias, x: x + bias[None], lambda bias, xs, dys: jnp.sum(dys, (0, 1))),
}


def body(use, carry, x):
    carry = jnp.tanh(use("bias", use("inner", carry)) + x)
    return carry, carry * x


def late(shared, carry, xs):
    return shared_scan.scan(body, USES, shared, carry, xs)


def plain(shared, carry, xs):
    use = lambda name, x: USES[name].value(shared[name], x)  # noqa: E731
    return lax.scan(lambda carry, x: body(use, carry, x), carry, xs)


def total(scan, shared, carry, xs):
    carry, ys = scan(shared, carry, xs)
    return jnp.sum(jnp.sin(carry)) + jnp.sum(ys**2)


def inputs(rng):
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    return {"inner": draw(5, 5), "bias": draw(5)}, draw(2, 5), draw(7, 2, 5)


def test_values_and_gradients_are_those_of_a_plain_scan(rng):
    given = inputs(rng)
    found, wanted = (
        jax.jit(jax.value_and_grad(lambda *x, s=scan: total(s, *x), (0, 1, 2)))(*given) for scan in (late, plain)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, wanted)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), late(*given), plain(*given))


def test_the_loop_carries_no_gradient_of_the_weights(rng):
    """In the backward loop of the plain scan a [5 5] sum is carried; in this one there is none."""
    given = inputs(rng)

    def carried(scan):
        jaxpr = jax.make_jaxpr(jax.grad(lambda *x: total(scan, *x)))(*given).jaxpr
        return [v.aval.shape for e in loops(jaxpr) for v in e.outvars[: e.params["num_carry"]]]

    assert (5, 5) in carried(plain)
    assert (5, 5) not in carried(late)


def loops(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
        for inner in jax_core.jaxprs_in_params(equation.params):
            yield from loops(inner)
