"""One-dimensional convolution and max-pooling, channel-last, in forms that suit an accelerator and a CPU.

An accelerator wants the plain convolution. XLA's CPU back end is at its best in matrix products and stride-1
convolutions, and at its worst in writing large arrays, so there the same numbers are computed in other shapes.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mmjax.ops import maximum

_FEW = 32  # output steps up to which gathering every window is cheaper than a convolution
_SOME = 64  # pooling windows of a row, at least, of which a mean is taken beforehand


def steps_out(steps: Any, kernel: int, stride: int, pad: int) -> Any:
    """Output steps of a convolution, as PyTorch counts: (t + 2 pad - k) // stride + 1. An int, or an array of them."""
    return (steps + 2 * pad - kernel) // stride + 1


def conv1d(
    x: Float[Array, "b t c"], kernel: Float[Array, "k c o"], stride: int, pad: int, *, cpu: bool = False
) -> Float[Array, "b u o"]:
    """Cross-correlation with `pad` zeros on both sides; u = steps_out(t, k, stride, pad).

    `cpu` chooses the form and not the result: windows times the kernel where they are few, a stride-1 convolution
    over groups of `stride` steps elsewhere. The gradient of a strided convolution is ten times slower there.
    """
    k, c, o = kernel.shape
    u = steps_out(x.shape[1], k, stride, pad)
    if cpu and 0 < u <= _FEW:
        x = jnp.pad(x, ((0, 0), (pad, pad), (0, 0)))
        windows = jnp.stack([x[:, i * stride : i * stride + k] for i in range(u)], axis=1)  # [b u k c]
        return windows.reshape(*windows.shape[:2], k * c) @ kernel.reshape(k * c, o)
    if cpu and stride > 1:
        groups = -(-k // stride)
        x = _grouped(x, stride, pad, u - 1 + groups)
        kernel = jnp.pad(kernel, ((0, groups * stride - k), (0, 0), (0, 0))).reshape(groups, stride * c, o)
        stride, pad = 1, 0
    return lax.conv_general_dilated(x, kernel, (stride,), [(pad, pad)], dimension_numbers=("NWC", "WIO", "NWC"))


def channels_alone1d(
    x: Float[Array, "b t c"], kernel: Float[Array, "k c"], stride: int, pad: int, *, cpu: bool = False
) -> Float[Array, "b u c"]:
    """As `conv1d`, of each channel alone ("depthwise"). On a CPU a sum of k products, which XLA makes one loop of."""
    k, c = kernel.shape
    if not cpu:
        layout = ("NWC", "WIO", "NWC")
        return lax.conv_general_dilated(
            x, kernel[:, None], (stride,), [(pad, pad)], dimension_numbers=layout, feature_group_count=c
        )
    u = steps_out(x.shape[1], k, stride, pad)
    x = jnp.pad(x, ((0, 0), (pad, pad), (0, 0)))
    terms = (x[:, i : i + (u - 1) * stride + 1 : stride] * kernel[i][None, None] for i in range(k))
    return lax.optimization_barrier(functools.reduce(jnp.add, terms))  # see `ops.convolution`


def _grouped(x, size, pad, groups):
    """Pads x [b t c] by `pad` zeros in front, cuts or fills it to whole groups of steps: [b groups size*c]."""
    wanted = groups * size
    x = jnp.pad(x, ((0, 0), (pad, max(0, wanted - pad - x.shape[1])), (0, 0)))[:, :wanted]
    return x.reshape(x.shape[0], groups, size * x.shape[2])


def max_pool1d(x: Float[Array, "b t c"], window: int) -> Float[Array, "b u c"]:
    """The maximum of each window of as many steps; a last, incomplete window is dropped."""
    steps = x.shape[1] // window
    return maximum.over(x[:, : steps * window].reshape(x.shape[0], steps, window, x.shape[2]), (2,))


def conv_pool_moments(
    x: Float[Array, "b t c"], kernel: Float[Array, "k c o"], stride: int, pad: int, window: int
) -> tuple[Float[Array, "b u o"], tuple[Float[Array, " o"], Float[Array, " o"], Float[Array, ""]]]:
    """max_pool1d(conv1d(x)) and the mean, biased variance and count of conv1d(x), which is never stored: for a CPU.

    SoundNet's first convolution makes 16 numbers of each 2 samples, 226 MB of 32 clips of 10 s. Writing and reading
    them costs more than computing them, twice. So rows are taken one at a time and stay in the cache, and the
    backward pass computes them again. Within a row, the `window` outputs of one pooling window are one matrix
    product: the steps that they all see, [u steps*c], times `window` shifted copies of the kernel.
    """
    k, c, o = kernel.shape
    span = window * stride
    u = steps_out(x.shape[1], k, stride, pad)
    cells, parts = u // window, -(-(k + span - stride) // span)
    copies = [jnp.pad(kernel, ((j * stride, parts * span - k - j * stride), (0, 0), (0, 0))) for j in range(window)]
    matrix = jnp.stack(copies, axis=2).reshape(parts * span * c, window * o)

    def rows(x):
        rest = _grouped(x, 1, pad, (u - 1) * stride + k)[:, cells * span :]
        rest = conv1d(rest, kernel, stride, 0, cpu=True)  # [r u%window o]: behind the last whole pooling window
        x = _grouped(x, span, pad, cells - 1 + parts)
        seen = jnp.concatenate([x[:, i : i + cells] for i in range(parts)], axis=-1)  # [r cells parts*span*c]
        # Sums of deviations from about the mean, that of some cells spread over the row, lose nothing by cancelling.
        some = seen[:, :: max(1, cells // _SOME)] @ matrix
        shift = lax.stop_gradient(jnp.mean(some.astype(jnp.float32).reshape(-1, o), 0))
        # The barrier keeps `window` an axis of its own: so the reduction and its gradient are vectorised along o.
        y = lax.optimization_barrier((seen.reshape(-1, matrix.shape[0]) @ matrix).reshape(-1, window, o))
        pooled, *sums = maximum.with_sums(y, shift)
        deviation = rest.astype(jnp.float32) - shift[None, None]
        count = jnp.float32(x.shape[0] * u)
        first = (jnp.sum(sums[0], 0) + jnp.sum(deviation, (0, 1))) / count
        second = (jnp.sum(sums[1], 0) + jnp.sum(jnp.square(deviation), (0, 1))) / count
        return pooled.reshape(-1, cells, o), shift + first, jnp.maximum(second - jnp.square(first), 0.0)

    # One row of every device at a time: the batch axis stays split as the mesh has split it.
    at_once = math.gcd(x.shape[0], jax.device_count()) if isinstance(x.shape[0], int) else 1  # 1: exported for any
    turns = x.reshape(at_once, -1, *x.shape[1:]).swapaxes(0, 1)
    pooled, means, variances = lax.map(jax.checkpoint(rows, prevent_cse=False), turns)
    mean = jnp.mean(means, 0)
    var = jnp.mean(variances + jnp.square(means - mean[None]), 0)
    pooled = pooled.swapaxes(0, 1).reshape(x.shape[0], *pooled.shape[2:])
    return pooled, (mean, var, jnp.float32(x.shape[0] * u))
