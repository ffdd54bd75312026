"""Which of XLA's convolutions oneDNN has a fast form for, and what it is asked for in their place: sizes alone."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from typing import Any

_LEAST = 2**20  # multiply-adds below which a call costs more than it saves


@dataclasses.dataclass(frozen=True)
class Convolution:
    """One convolution as oneDNN knows it, or one of its two gradients. Sizes in elements; layouts are row-major.

    Attributes:
      kind: "forward", or the gradient of the "input" or of the "kernel"; in the gradients `picture` and `result` are
        those of the forward pass.
      picture: [batch, channels, *space], and `picture_strides` the elements from one to the next along each.
      kernel: [channels out, channels in, *space]; and its strides.
      result: [batch, channels out, *space]; and its strides.
      strides, dilation: of the forward pass, along each dimension of space; dilation 1 = none.
      low, high: zeros around the picture.
      threads: that compute it; 0 = as many as there are.
      turned: whose pixels are turned round first, or last: "kernel" of an "input", "result" of the gradient of a
        transposed convolution's kernel, in which picture and result have also changed places; "" = none.
      blocks: of a "kernel", picture and result are first copied into blocks of channels.
    """

    kind: str
    picture: tuple[int, ...]
    picture_strides: tuple[int, ...]
    kernel: tuple[int, ...]
    kernel_strides: tuple[int, ...]
    result: tuple[int, ...]
    result_strides: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    threads: int = 0
    turned: str = ""
    blocks: bool = False

    @property
    def key(self) -> int:
        """63 bits by which a compiled program finds it; the same in every process, since programs are cached."""
        return int.from_bytes(hashlib.sha256(repr(self).encode()).digest()[:8], "little") >> 1 or 1

    @property
    def products(self) -> int:
        """Multiply-adds."""
        return math.prod(self.result) * math.prod(self.kernel[1:])


def plan(
    lhs: tuple[int, ...],
    rhs: tuple[int, ...],
    out: tuple[int, ...],
    *,
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    dimension_numbers: Any,
) -> Convolution | None:
    """What oneDNN is asked for in the place of a convolution of XLA's without groups; None where it has no fast form.

    The gradients are known by what JAX writes for them: that of the input is a convolution over zeros (`lhs_dilation`),
    that of the kernel one with the channels for examples and the result's gradient for a kernel.

    Args:
      lhs, rhs, out: shapes. The others are those of `jax.lax.conv_general_dilated`, dimension numbers as resolved.
    """
    (left, right, of_out), space = dimension_numbers, len(lhs) - 2
    if space not in (1, 2) or min(*lhs, *rhs, *out) < 1:
        return None
    last, first, turned = space + 1, 0, ""
    if any(list(spec[2:]) != sorted(spec[2:]) for spec in dimension_numbers) or all(rhs[i] == 1 for i in right[2:]):
        return None  # no fast form of what lies across, and one pixel is a product of matrices

    def seen(shape: tuple[int, ...], spec: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Sizes and strides, in the order of the specification."""
        steps = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        return tuple(shape[i] for i in spec), tuple(steps[i] for i in spec)

    span = [d * (k - 1) + 1 for d, k in zip(rhs_dilation, (rhs[i] for i in right[2:]))]
    apart = any(d != 1 for d in lhs_dilation)
    if (left[0], left[1], of_out[0], of_out[1]) == (first, last, first, last) and not apart:
        (x, xs), (k, ks), (y, ys) = seen(lhs, left), seen(rhs, right), seen(out, of_out)
        kind, strides, dilation, low = "forward", window_strides, rhs_dilation, [p for p, _ in padding]
    elif (left[0], left[1], of_out[0], of_out[1]) == (first, last, first, last):
        if any(s != 1 for s in window_strides):
            return None
        # The picture is what comes out, and the kernel is turned round and read from its other side.
        (y, ys), (x, xs) = seen(lhs, left), seen(out, of_out)
        k, ks = seen(rhs, (right[1], right[0], *right[2:]))
        kind, strides, dilation, turned = "input", lhs_dilation, rhs_dilation, "kernel"
        low = [s - 1 - p for s, (p, _) in zip(span, padding)]
        if x[1] < 2:  # one channel: XLA's form takes a third of the time
            return None
    elif (left[0], left[1], right[0], right[1]) == (last, first, last, first):
        # Channels for examples: the gradient of a kernel, whose pixels are what comes out.
        if (of_out[0], of_out[1]) != (space, space + 1) or space == 1:  # over time XLA's form is the faster
            return None
        x, xs = seen(lhs, (left[1], left[0], *left[2:]))
        y, ys = seen(rhs, (right[1], right[0], *right[2:]))
        k, ks = seen(out, (of_out[1], of_out[0], *of_out[2:]))
        kind, strides, dilation, low = "kernel", rhs_dilation, window_strides, [p for p, _ in padding]
        span = [d * (n - 1) + 1 for d, n in zip(dilation, k[2:])]
        if apart:  # of a transposed convolution: what it makes is the picture of the one that it transposes
            if any(d != 1 for d in rhs_dilation):
                return None
            (x, xs), (y, ys), strides, turned = (y, ys), (x, xs), lhs_dilation, "result"
            k, ks = (k[1], k[0], *k[2:]), (ks[1], ks[0], *ks[2:])
            low = [s - 1 - p for s, p in zip(span, low)]
    else:
        return None
    # What lies behind the last place that a kernel reaches does not count; where it is cut off, the zeros are negative.
    high = [(n - 1) * s + w - h - a for n, s, w, h, a in zip(y[2:], strides, span, x[2:], low)]
    if kind == "forward" and y[1] < 2:
        return None
    if min(low) < 0 or any(a >= w for a, w in zip(low, span)) or any(a >= w for a, w in zip(high, span)):
        return None
    whole = [tuple(int(n) for n in v) for v in (x, xs, k, ks, y, ys, strides, dilation, low, high)]
    names = [field.name for field in dataclasses.fields(Convolution)[1:11]]
    made = Convolution(kind, turned=turned, **dict(zip(names, whole)))  # type: ignore[arg-type]
    return made if made.products >= _LEAST else None
