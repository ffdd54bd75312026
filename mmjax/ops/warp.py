"""Warping pictures so that landmarks come to lie elsewhere: thin-plate splines and bilinear sampling.

Positions are (x, y) in shares of the picture: the centre of the pixel in column j and row i of a picture [h w] is
((j + 0.5) / w, (i + 0.5) / h).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from mmjax.errors import UserError
from mmjax.ops import elimination, platform

TINY = 1e-10  # below this squared distance the kernel's logarithm no longer falls


class Spline(NamedTuple):
    """f(x) = sum_i weights_i phi(|x - points_i|^2) + affine' (x, y, 1), see `spline`."""

    points: Float[Array, "b n 2"]
    weights: Float[Array, "b n k"]
    affine: Float[Array, "b 3 k"]


def kernel(square: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """phi(d^2) = d^2 log(d^2) / 2 = d^2 log d, the polyharmonic kernel of order 2; 0 where the distance is 0."""
    return 0.5 * square * _log(jnp.maximum(square, TINY))


# Of log(1 + f) / f for 1 + f from sqrt(1/2) to sqrt(2), highest power first: of all polynomials of this degree the one
# whose largest relative error is least, 2.6e-8, which float32 does not show (found by Lawson's reweighting).
_LOGARITHM = (
    0.087223552, -0.14366843, 0.14952266, -0.16562393, 0.19956833, -0.25002074, 0.33334187, -0.49999988, 1.0,
)  # fmt: skip
_ROOT_HALF = 0x3F3504F3  # bits of sqrt(1/2)


@jax.custom_jvp
def _log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The logarithm of normal numbers above 0.

    With XLA's own, which takes any number, a flow takes half as long again on a CPU: 65 ms and 44, see `evaluate`.
    """
    if x.dtype != jnp.float32 or not platform.cpu():
        return jnp.log(x)
    bits = lax.bitcast_convert_type(x, jnp.int32)
    power = (bits - _ROOT_HALF) >> 23
    f = lax.bitcast_convert_type(bits - (power << 23), jnp.float32) - 1.0
    terms: Any = _LOGARITHM[0]
    for factor in _LOGARITHM[1:]:
        terms = terms * f + factor
    return terms * f + power.astype(jnp.float32) * np.float32(np.log(2))


@_log.defjvp
def _log_tangent(primals, tangents):
    return _log(primals[0]), tangents[0] / primals[0]


def spline(points: Float[Array, "b n 2"], values: Float[Array, "b n k"], regularisation: float = 0.0) -> Spline:
    """The thin-plate spline through values at points (Duchon 1977): of all functions the one that bends least.

    Solves [[phi + r I, P], [P', 0]] [weights; affine] = [values; 0], P the points with a 1 appended.

    Args:
      points: [b n 2], at least three that are not on one line, float32 or wider.
      values: [b n k], what the spline is there.
      regularisation: r, at least 0; where it is 0 no two points may agree. It is in squared units of the points: 1e-4
        at points in shares of the picture lets the spline miss a value by hundredths of a pixel, and brings points
        that agree to the mean of their values.

    Raises:
      UserError: fewer than three points, or a negative regularisation.
    """
    n = points.shape[1]
    if n < 3:
        raise UserError(f"a spline of the plane needs at least 3 points, not {n}")
    if regularisation < 0:
        raise UserError(f"regularisation is {regularisation}: it must be at least 0")
    bend = kernel(_squares(points, points)) + regularisation * jnp.eye(n, dtype=points.dtype)[None]
    plane = jnp.concatenate([points, jnp.ones_like(points[..., :1])], -1)  # [b n 3]
    zeros = jnp.zeros((points.shape[0], 3, 3), points.dtype)
    lower = jnp.concatenate([jnp.swapaxes(plane, 1, 2), zeros], 2)
    whole = jnp.concatenate([jnp.concatenate([bend, plane], 2), lower], 1)  # [b n+3 n+3]
    right = jnp.pad(values, ((0, 0), (0, 3), (0, 0)))
    found = elimination.solve(whole, right)
    return Spline(points, found[:, :n], found[:, n:])


def evaluate(found: Spline, at: Float[Array, "b m 2"]) -> Float[Array, "b m k"]:
    """The spline's values at positions [b m 2].

    Point by point, each adding its share everywhere: the kernel's values of all points together, n times the positions,
    are never held, which on a CPU is six times faster than the product of matrices; their gradient computes them anew.
    """
    x, y = at[..., 0], at[..., 1]  # [b m]

    @jax.checkpoint
    def share(point, weight):
        across, down = x - point[:, :1], y - point[:, 1:]
        bent = kernel(across * across + down * down)
        return [bent * weight[:, i, None] for i in range(weight.shape[1])]

    def add(total, one):
        return [old + new for old, new in zip(total, share(*one), strict=True)], None

    linear = jnp.matmul(at, found.affine[:, :2], precision=lax.Precision.HIGHEST) + found.affine[:, 2:]
    start = [linear[..., i] for i in range(linear.shape[-1])]
    each = (jnp.moveaxis(found.points, 1, 0), jnp.moveaxis(found.weights, 1, 0))
    # Four points a round: sums so far are read and written less often. Of 16 pictures of 224 pixels a flow takes 44 ms
    # instead of 51 with two (two Intel cores), and the gradient of a warp a tenth less (two AMD cores).
    total, _ = lax.scan(add, start, each, unroll=4)
    return jnp.stack(total, -1)


def _squares(one: Float[Array, "*b m 2"], two: Float[Array, "*b n 2"]) -> Float[Array, "*b m n"]:
    """Squared distances, as sums of squares: in the form |a|^2 - 2 ab + |b|^2 those of close points cancel."""
    across = one[..., :, None, 0] - two[..., None, :, 0]
    down = one[..., :, None, 1] - two[..., None, :, 1]
    return across * across + down * down


def pixels(height: int, width: int) -> Float[np.ndarray, "h*w 2"]:
    """(x, y) of the centres of all pixels, row by row."""
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], -1).astype(np.float32)


def border(count: int) -> Float[np.ndarray, "n 2"]:
    """Points on the edge of the picture: none for 0, its corners for 1, with `count` - 1 between them on each edge.

    Raises UserError for a negative count.
    """
    if count < 0:
        raise UserError(f"border is {count}: it must be at least 0")
    share = np.arange(count) / max(count, 1)
    zero, one = np.zeros(count), np.ones(count)
    edges = [(share, zero), (one, share), (1 - share, one), (zero, 1 - share)]
    return np.concatenate([np.stack(edge, -1) for edge in edges]).astype(np.float32)


def flow(
    source: Float[Array, "b n 2"],
    target: Float[Array, "b n 2"],
    height: int,
    width: int,
    regularisation: float = 1e-4,
    border_points: int = 2,
) -> Float[Array, "b h w 2"]:
    """How far each pixel of the warped picture is from where its colour came from, in shares of the picture.

    Args:
      source: [b n 2], (x, y) of the landmarks in the picture.
      target: [b n 2], where they are to lie.
      height, width: of the picture in pixels.
      regularisation: see `spline`.
      border_points: see `border`; these points stay where they are.
    """
    edge = jnp.broadcast_to(
        jnp.asarray(border(border_points), target.dtype)[None], (target.shape[0], 4 * border_points, 2)
    )
    moved = jnp.concatenate([target - source, jnp.zeros_like(edge)], 1)
    found = spline(jnp.concatenate([target, edge], 1), moved, regularisation)
    at = jnp.broadcast_to(jnp.asarray(pixels(height, width), target.dtype)[None], (target.shape[0], height * width, 2))
    return evaluate(found, at).reshape(target.shape[0], height, width, 2)


def sample(image: Float[Array, "b h w c"], at: Float[Array, "b m 2"]) -> Float[Array, "b m c"]:
    """Colours of a picture at positions, bilinear between pixels; outside, those of the nearest pixel of its edge.

    Raises UserError for a picture of a single row or column.
    """
    b, height, width, channels = image.shape
    if min(height, width) < 2:
        raise UserError(f"a picture of {height} x {width} pixels has none to go between: at least 2 x 2")
    x = jnp.clip(at[..., 0] * width - 0.5, 0.0, width - 1.0)
    y = jnp.clip(at[..., 1] * height - 0.5, 0.0, height - 1.0)
    left = jnp.clip(jnp.floor(lax.stop_gradient(x)), 0, width - 2)
    top = jnp.clip(jnp.floor(lax.stop_gradient(y)), 0, height - 2)
    right, down = (x - left)[..., None], (y - top)[..., None]  # [b m 1], shares of the pixel to the right and below
    place = top.astype(jnp.int32) * width + left.astype(jnp.int32)
    flat = image.reshape(b, height * width, channels)

    def pixel(offset: int) -> Array:
        return jnp.take_along_axis(flat, (place + offset)[..., None], 1, mode="promise_in_bounds")

    above = pixel(0) * (1 - right) + pixel(1) * right
    below = pixel(width) * (1 - right) + pixel(width + 1) * right
    return above * (1 - down) + below * down


def warp(
    image: Float[Array, "b h w c"],
    source: Float[Array, "b n 2"],
    target: Float[Array, "b n 2"],
    regularisation: float = 1e-4,
    border_points: int = 2,
) -> Float[Array, "b h w c"]:
    """Warps pictures so that what lies at `source` comes to lie at `target` (Cole et al. 2017, section 3.2).

    The flow is a thin-plate spline of the plane through the landmarks' own moves, and pictures are read backwards
    along it, bilinearly. Differentiable in all three arrays. Where `source` is `target` the picture stays as it is.

    Args:
      image: [b h w c], float.
      source, target: [b n 2], (x, y) in shares of the picture, see the top of this module.
      regularisation: see `spline`.
      border_points: see `border`.
    """
    b, height, width, channels = image.shape
    moved = flow(source, target, height, width, regularisation, border_points).reshape(b, -1, 2)
    at = jnp.asarray(pixels(height, width), image.dtype)[None] - moved
    return sample(image, at).reshape(b, height, width, channels)
