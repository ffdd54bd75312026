"""Products of few rows with a large matrix, over and over, as the loop of a recurrent network has them.

On a CPU XLA multiplies [n d] by [d b] faster than [b d] by [d n], for the same numbers, where b is small and the matrix
too large for the caches: of 25 MB and 8 or 32 rows 1.6 and 1.3 times, as a gradient goes back 3.0 and 1.8 times; one of
1 MB gains nothing, and one row alone is faster as it is, 1.4 times (benchmarks/few_rows.py, two idle cores of an AMD
EPYC). Its simplifier turns a product whose result is transposed back into the slow one, unless a barrier stands
between. Other platforms get the plain product. findings/product_by_layout.sh has the four spellings of one product.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mmjax.ops import platform

LARGE = 2**20  # elements of a matrix: 4 MB


@jax.custom_vjp
def times(x: Float[Array, "b d"], kernel: Float[Array, "d n"]) -> Float[Array, "b n"]:
    """x @ kernel. The gradient of x needs the matrix as it lies."""
    return x @ kernel


def _forward(x, kernel):
    return x @ kernel, (x, kernel)


def _backward(kept, gradient):
    x, kernel = kept
    back = _matrix_first(gradient, kernel) if _gains(kernel) else gradient @ kernel.T
    return back, x.T @ gradient


times.defvjp(_forward, _backward)


def in_loop(kernel: Float[Array, "d n"]) -> Callable[[Float[Array, "b d"]], Float[Array, "b n"]]:
    """x -> x @ kernel, to be made before a loop of tens of steps and called in it: laying the matrix out costs as much
    as two or three of them."""
    if not _gains(kernel):
        return lambda x: x @ kernel
    laid_out = lax.optimization_barrier(kernel.T)
    return lambda x: x @ kernel if x.shape[0] == 1 else _matrix_first(x, laid_out)


def _gains(kernel):
    return platform.cpu() and kernel.size >= LARGE


def _matrix_first(x, kernel):
    """x @ kernel.T"""
    found: Array = lax.optimization_barrier(lax.dot_general(kernel, x, (((1,), (1,)), ((), ()))))
    return jnp.swapaxes(found, 0, 1)
