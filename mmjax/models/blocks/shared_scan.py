"""A scan over steps that share weights, whose weights get their gradient after the loop, in one piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from mmjax.ops import few_rows

Body = Callable[[Callable[[str, Any], Any], Any, Any], tuple[Any, Any]]


class Use(NamedTuple):
    """How the steps use something that they share.

    Attributes:
      value: (shared, x) -> y, of one step; differentiable in x.
      gradient: (shared, xs, dys) -> the gradient with respect to `shared`, given the inputs of all steps and the
        gradients with respect to their results, both stacked along a first axis: in the place of one sum a step.
    """

    value: Callable[[Any, Any], Any]
    gradient: Callable[[Any, Any, Any], Any]


def scan(body: Body, uses: Mapping[str, Use], shared: Mapping[str, Any], carry: Any, xs: Any) -> tuple[Any, Any]:
    """`lax.scan` of `body(use, carry, x) -> (carry, y)`; `use(name, x)` is `uses[name].value(shared[name], x)`.

    The backward pass of `lax.scan` adds each step's share to a gradient as large as the weights, and so reads and
    writes them once more than the products do, which have one step's rows and are small. Here the loop keeps what goes
    into each use and what its result's gradient is; then one product over all steps makes the gradient of the weights.
    What is not needed of it is not computed.

    Each name is used once a step, and the body closes over nothing that is to have a gradient.
    """

    def run(shared, carry, xs, taps):
        def step(carry, inputs):
            x, tap = inputs
            seen = {}

            def use(name, x):
                seen[name] = x
                y = uses[name].value(shared[name], x)
                return y if tap is None else y + tap[name]

            carry, y = body(use, carry, x)
            return carry, (y, seen)

        return lax.scan(step, carry, (xs, taps))

    @jax.custom_vjp
    def whole(shared, carry, xs):
        carry, (ys, _) = run(shared, carry, xs, None)
        return carry, ys

    def forward(shared, carry, xs):
        shapes = jax.eval_shape(lambda shared, carry, xs: run(shared, carry, xs, None), shared, carry, xs)[1][1]
        # Zeros added to each result: their gradient is the result's, and a scan stacks it.
        taps = {}
        for name in shared:
            one = jax.eval_shape(jax.vmap(uses[name].value, in_axes=(None, 0)), shared[name], shapes[name])
            taps[name] = jnp.zeros(one.shape, one.dtype)

        def outputs(carry, xs, taps):
            carry, (ys, seen) = run(shared, carry, xs, taps)
            return (carry, ys), seen

        out, pull, seen = jax.vjp(outputs, carry, xs, taps, has_aux=True)
        return out, (pull, shared, seen)

    def backward(kept, cotangents):
        pull, shared, seen = kept
        carry, xs, taps = pull(cotangents)
        return {name: uses[name].gradient(shared[name], seen[name], taps[name]) for name in shared}, carry, xs

    whole.defvjp(forward, backward)
    return whole(dict(shared), carry, xs)


def _rows(x):
    return x.reshape(-1, x.shape[-1])  # t b d -> (t b) d


def _product_gradient(kernel, xs, dys):
    del kernel
    return _rows(xs).T @ _rows(dys)


PRODUCT = Use(lambda kernel, x: few_rows.times(x, kernel), _product_gradient)


def summed(value: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """The gradient of a `Use` of this value as a sum over steps: for what is small, and has no one product."""

    def gradient(shared, xs, dys):
        def add(total, inputs):
            x, dy = inputs
            _, pull = jax.vjp(lambda shared: value(shared, x), shared)
            return jax.tree.map(jnp.add, total, pull(dy)[0]), None

        return lax.scan(add, jax.tree.map(jnp.zeros_like, shared), (xs, dys))[0]

    return gradient
