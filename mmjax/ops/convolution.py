"""Two-dimensional convolution: XLA's own, but where a CPU is many times faster by a form that gives the same numbers.

XLA's CPU back end, told by mmjax.ops.compiler to compute convolutions as it used to, runs a forward pass about as fast
as the processor multiplies, and the gradient of a kernel at half of that. Not so these:

- the gradient of a kernel of one pixel is made by a convolution whose result is one pixel wide, slower than the product
  of matrices that it is;
- both of a convolution of each channel alone take 5 to 24 times, and its forward pass 14 to 46 times as long as a sum
  of products by the pixels of the kernel (findings/depthwise_slower_than_full.sh);
- that of the input of a strided convolution is made by one over zeros: where the kernel is a multiple of the stride and
  the picture large, a convolution of stride one over blocks of pixels takes half the time.

With the extra `onednn` what is left a convolution here is computed by that library instead (`ops.onednn`), which has a
form of its own for strides, so that blocks of pixels are not made then.

`benchmarks/convolutions.py` measures all but the second. Tried for the kernels' gradients, and not faster since XLA
computes them itself: rows of channels, one product for all pixels of the kernel with the examples scanned, Winograd's
algorithm, sums of products by pixels, products of patches. Nor is Winograd's of 2x2 for a forward pass of 3x3.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mmjax.ops import onednn, platform

_NHWC = ("NHWC", "HWIO", "NHWC")
_LARGE = 1024  # pixels of a picture, from which blocks pay for the copy that they are
_CPU: bool | None = None  # whether the forms of a CPU are used; None = on a CPU. Tests set it.

onednn.install()  # here, since all that computes convolutions imports this module

Pads = tuple[tuple[int, int], tuple[int, int]]


def convolve(
    lhs: Array,
    rhs: Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:
    """`jax.lax.conv_general_dilated`, with its arguments and its numbers; to be given to Linen's convolutions.

    On a CPU, float32 pictures [b h w c] and kernels [k l c o] without dilation and groups take the forms that this
    module is about, and so do those of each channel alone; anything else is XLA's own, and so is everything on an
    accelerator. The form is chosen when a program is traced, by the default back end. Derivatives of any order, forward
    and backward, are exact.
    """
    spec = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    ours = (
        (platform.cpu() if _CPU is None else _CPU)
        and lhs.ndim == 4
        and spec == lax.conv_dimension_numbers(lhs.shape, rhs.shape, _NHWC)
        and all(d == 1 for d in (*(lhs_dilation or ()), *(rhs_dilation or ())))
        and batch_group_count == 1
        and lhs.dtype == rhs.dtype == jnp.float32
        and preferred_element_type in (None, jnp.float32)
    )
    alone = ours and 1 < feature_group_count == lhs.shape[-1] == rhs.shape[-1]
    if not alone and not (ours and feature_group_count == 1):
        return lax.conv_general_dilated(
            lhs,
            rhs,
            window_strides,
            padding,
            lhs_dilation,
            rhs_dilation,
            dimension_numbers,
            feature_group_count,
            batch_group_count,
            precision,
            preferred_element_type,
        )
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], window_strides, padding)
    (top, bottom), (left, right) = padding
    down, across = window_strides
    if alone:
        return _alone(lhs, rhs[:, :, 0], (int(down), int(across)), ((top, bottom), (left, right)))
    if rhs.shape[:2] == (1, 1) and not any((top, bottom, left, right)):
        return _pixels(lhs[:, ::down, ::across], rhs[0, 0], precision)
    return _convolve(lhs, rhs, (int(down), int(across)), ((top, bottom), (left, right)), precision)


def _pixels(x: Float[Array, "b h w c"], matrix: Float[Array, "c o"], precision: Any) -> Float[Array, "b h w o"]:
    """Each pixel times a matrix: one product, which has the gradients that a product has."""
    y = jnp.matmul(x.reshape(-1, x.shape[-1]), matrix, precision=precision)
    return y.reshape(*x.shape[:-1], matrix.shape[-1])


def _alone(x: Float[Array, "b h w c"], kernel: Float[Array, "k l c"], strides: tuple[int, int], pads: Pads) -> Array:
    """Each channel alone: a sum of as many products as the kernel has pixels, which XLA makes one loop of."""
    x, (height, width) = _padded(x, pads), kernel.shape[:2]
    (down, across), spans = strides, (x.shape[1] - height + 1, x.shape[2] - width + 1)
    terms = (
        x[:, i : i + spans[0] : down, j : j + spans[1] : across] * kernel[i, j][None, None, None]
        for i in range(height)
        for j in range(width)
    )
    # The barrier is in the gradient, too: without it each sum that makes the kernel's would compute all behind it anew.
    return lax.optimization_barrier(functools.reduce(jnp.add, terms))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def _convolve(x, kernel, strides, pads, precision):
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=_NHWC, precision=precision)


@_convolve.defjvp
def _tangent(strides, pads, precision, primals, tangents):
    """The convolution is linear in either input, so its tangent is two more; a gradient is the transpose of these.

    Each is written in the form whose transpose is fast.
    """
    (x, kernel), (moved, turned) = primals, tangents
    value = _convolve(x, kernel, strides, pads, precision)
    whole = all(k % s == 0 for k, s in zip(kernel.shape[:2], strides, strict=True))
    by_blocks = strides != (1, 1) and whole and x.shape[1] * x.shape[2] >= _LARGE
    by_blocks = by_blocks and not (onednn.used() and x.shape[-1] > 1)  # it has a form for these
    of_input = (_blocked if by_blocks else _convolve)(moved, kernel, strides, pads, precision)
    return value, of_input + _convolve(x, turned, strides, pads, precision)


def _blocked(x, kernel, strides, pads, precision):
    """A strided convolution as one of stride one over blocks of `strides` pixels; its transpose in x is one, too."""
    (down, across), (height, width), channels = strides, kernel.shape[:2], x.shape[-1]
    a, b = height // down, width // across  # blocks under the kernel
    out = [(n + sum(p) - k) // s + 1 for n, p, k, s in zip(x.shape[1:3], pads, kernel.shape[:2], strides, strict=True)]
    i, j = out[0] - 1 + a, out[1] - 1 + b  # blocks of the picture; what lies behind the last is cut off
    behind = (i * down - x.shape[1] - pads[0][0], j * across - x.shape[2] - pads[1][0])
    x = _padded(x, ((pads[0][0], behind[0]), (pads[1][0], behind[1])))
    x = x.reshape(-1, i, down, j, across, channels).transpose(0, 1, 3, 2, 4, 5)  # b i j dy dx c
    kernel = kernel.reshape(a, down, b, across, channels, -1).transpose(0, 2, 1, 3, 4, 5)  # a b dy dx c o
    x, kernel = x.reshape(*x.shape[:3], -1), kernel.reshape(a, b, down * across * channels, -1)
    return _convolve(x, kernel, (1, 1), ((0, 0), (0, 0)), precision)


def _padded(x, pads):
    """Zeros around pictures; where a pad is negative, rows or columns are cut off."""
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)))
