"""Products of few rows with a large matrix, over and over, as the loop of a recurrent network has them.

On a CPU XLA multiplies [n d] by [d b] up to 1.7 times as fast as [b d] by [d n], for the same numbers, where b is small
and the matrix does not fit the caches (benchmarks/few_rows.py); its simplifier turns a product whose result is
transposed back into the slow one, unless a barrier stands between. Other platforms get the plain product.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mmjax.ops import platform


@jax.custom_vjp
def times(x: Float[Array, "b d"], kernel: Float[Array, "d n"]) -> Float[Array, "b n"]:
    """x @ kernel. The gradient of x needs the matrix as it lies."""
    return x @ kernel


def _forward(x, kernel):
    return x @ kernel, (x, kernel)


def _backward(kept, gradient):
    x, kernel = kept
    return times_turned(gradient, kernel), x.T @ gradient


times.defvjp(_forward, _backward)


def turned(kernel: Float[Array, "d n"]) -> Float[Array, "n d"]:
    """The matrix as `times_turned` reads it, laid out once, before a loop: that costs as much as two or three steps."""
    return lax.optimization_barrier(kernel.T) if platform.cpu() else kernel.T


def times_turned(x: Float[Array, "b d"], kernel: Float[Array, "n d"]) -> Float[Array, "b n"]:
    """x @ kernel.T; one of `turned` is x @ the matrix that was given there."""
    if not platform.cpu():
        return x @ kernel.T
    found: Array = lax.optimization_barrier(lax.dot_general(kernel, x, (((1,), (1,)), ((), ()))))
    return jnp.swapaxes(found, 0, 1)
