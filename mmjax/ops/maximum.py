"""The maximum, with a gradient that goes by place; alone, or with sums in the same pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def over(x: Float[Array, "*shape"], axes: Sequence[int]) -> Float[Array, "*rest"]:
    """jnp.max(x, axes), whose gradient goes to the first place in order of memory that holds the maximum.

    JAX's own gradient is (x == max) / count, and count can be 0: a compiler may compute x anew for the comparison and
    round it otherwise than it did for the maximum (x = a * b + c with one rounding or with two), and the gradient is
    then 0 / 0, or lost (findings/max_gradient_nan.sh). Here the place is an integer, found in one pass, and no
    rounding moves it.

    Of equals JAX gives each an equal share, this function all to one; both are subgradients. After a ReLU equals are
    almost always the zeros of a channel that is silent everywhere, whose gradient the ReLU stops in either case.

    Args:
      x: without NaN; where there is one, it is the maximum and its first place gets the gradient.
      axes: of x, ascending and adjacent, counted from 0.
    """
    return jnp.max(x, axes)


@over.defjvp
def _tangent(axes, primals, tangents):
    (x,), (tangent,) = primals, tangents
    first, last = axes[0], axes[-1] + 1
    if tuple(axes) != tuple(range(first, last)):
        raise ValueError(f"axes {axes} are not ascending and adjacent")
    flat = (*x.shape[:first], math.prod(x.shape[first:last]), *x.shape[last:])
    place = lax.expand_dims(lax.argmax(x.reshape(flat), first, jnp.int32), (first,))
    here = lax.broadcasted_iota(jnp.int32, flat, first) == place
    # Linear in the tangent, so that its transpose, the gradient, is one select.
    return jnp.max(x, axes), jnp.sum(jnp.where(here, tangent.reshape(flat), jnp.zeros((), tangent.dtype)), first)


@jax.custom_jvp
def with_sums(
    x: Float[Array, "n w c"], shift: Float[Array, " c"]
) -> tuple[Float[Array, "n c"], Float[Array, "n c"], Float[Array, "n c"]]:
    """The maximum along axis 1, and the sums there of x - shift and of its square: one pass over x, and one back.

    Args:
      x: any float dtype; sums are float32.
      shift: float32, any number near the mean of x, so that the sums cancel little. It is taken as a constant.

    Returns:
      the maximum in x's dtype, with the gradient of `over`; the two sums, float32.
    """
    wide = x.astype(jnp.float32)  # all of one dtype: XLA:CPU compiles no reduction of a bfloat16 beside float32s
    apart = wide - shift[None, None]
    most, first, second = lax.reduce(
        (wide, apart, jnp.square(apart)),
        (jnp.float32(-jnp.inf), jnp.float32(0), jnp.float32(0)),
        lambda a, b: (jnp.maximum(a[0], b[0]), a[1] + b[1], a[2] + b[2]),
        (1,),
    )
    return most.astype(x.dtype), first, second


@with_sums.defjvp
def _tangents(primals, tangents):
    (x, shift), (tangent, _) = primals, tangents
    place = lax.expand_dims(lax.argmax(x, 1, jnp.int32), (1,))
    here = lax.broadcasted_iota(jnp.int32, x.shape, 1) == place
    twice = 2 * (x.astype(jnp.float32) - shift[None, None])
    wide = tangent.astype(jnp.float32)
    most = jnp.sum(jnp.where(here, tangent, jnp.zeros((), tangent.dtype)), 1)
    return with_sums(x, shift), (most, jnp.sum(wide, 1), jnp.sum(twice * wide, 1))
