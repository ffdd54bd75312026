"""The maximum of each window of a picture, with a gradient that a CPU is fast at.

XLA's own gradient visits windows one after another on a CPU: for the 3 x 3 windows of stride 2 of 112 x 112 pixels and
64 channels it takes twenty times as long as the maxima themselves. Here each offset in the window is a picture of its
own, of which one holds the maximum.
"""

from __future__ import annotations

import functools

import jax
from flax import linen as nn
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from mmjax.ops import platform

Two = tuple[int, int]
Pads = tuple[Two, Two]

_CPU: bool | None = None  # whether the form of a CPU is used; None = on a CPU. Tests set it.


def max_pool(
    x: Float[Array, "b h w c"], window: Two, strides: Two, pads: Pads = ((0, 0), (0, 0))
) -> Float[Array, "b i j c"]:
    """`flax.linen.max_pool` and its gradient: of equal numbers in a window the first has all of it.

    Args:
      x: without NaN.
      window: at most 127 pixels in all.
      strides: rows, columns.
      pads: what lies around the picture and is never the maximum.
    """
    if platform.cpu() if _CPU is None else _CPU:
        return _pooled(x, window, strides, pads)
    return nn.max_pool(x, window, strides, pads)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _pooled(x, window, strides, pads):
    return nn.max_pool(x, window, strides, pads)


@_pooled.defjvp
def _tangent(window, strides, pads, primals, tangents):
    (x,), (moved,) = primals, tangents
    best = place = None
    for number, picture in enumerate(_offsets(x, -jnp.inf, window, strides, pads)):
        more = jnp.ones(picture.shape, bool) if best is None else picture > best
        best = picture if best is None else jnp.where(more, picture, best)
        place = jnp.where(more, jnp.int8(number), 0 if place is None else place)
    zero = jnp.zeros((), x.dtype)
    moves = _offsets(moved, 0.0, window, strides, pads)
    kept = [jnp.where(place == number, picture, zero) for number, picture in enumerate(moves)]
    return best, functools.reduce(jnp.add, kept)  # linear in the tangent; its transpose is the gradient


def _offsets(x, fill, window, strides, pads):
    """What lies at each offset in the windows: pictures of their size, row by row."""
    around = ((0, 0, 0), *((*pad, 0) for pad in pads), (0, 0, 0))
    padded = lax.pad(x, jnp.asarray(fill, x.dtype), around)
    (down, across), (rows, columns) = strides, padded.shape[1:3]
    for top in range(window[0]):
        for left in range(window[1]):
            yield padded[:, top : rows - window[0] + top + 1 : down, left : columns - window[1] + left + 1 : across]
