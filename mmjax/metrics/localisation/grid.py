"""Maps and boxes on the grid of pixels on which published evaluators compare them.

All of them (hche11/Localizing-Visual-Sounds-the-Hard-Way, stoneMo/EZ-VSL, stoneMo/SLAVC, kaistmm/SSLalignment) score
224 x 224 pixels, whatever the picture's size and shape. A box there has the rows and columns from int(224 * low) up to,
but without, int(224 * high), with its sides first cut to 0..1.
"""

from __future__ import annotations

import functools

import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

SIZE = 224
RESIZES = ("corners", "centres", "cubic")


@functools.cache
def _resizing(before: int, after: int, how: str) -> Float[np.ndarray, "after before"]:
    """The matrix that resizes one axis."""
    places = np.arange(after)
    middles, corners = (places + 0.5) * before / after - 0.5, places * (before - 1) / max(after - 1, 1)
    at = np.clip(middles if how == "centres" else corners, 0, before - 1)
    matrix = np.zeros((after, before))
    first = np.floor(at).astype(int)
    for tap in range(-1, 3) if how == "cubic" else range(2):
        apart = np.abs(at - (first + tap))
        weight = _cubic(apart) if how == "cubic" else np.maximum(1 - apart, 0)
        np.add.at(matrix, (places, np.clip(first + tap, 0, before - 1)), weight)
    return matrix.astype(np.float32)


def _cubic(apart: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Keys' kernel with the constant of OpenCV and PyTorch."""
    near = ((a + 2) * apart - (a + 3)) * apart**2 + 1
    far = ((apart - 5) * apart + 8) * a * apart - 4 * a
    return np.where(apart <= 1, near, np.where(apart < 2, far, 0.0))


def resized(maps: Float[Array, "b h w"], size: int = SIZE, how: str = "corners") -> Float[Array, "b s s"]:
    """Maps of any resolution as the published evaluators resize them; those of this size as they are.

    Args:
      maps: float32.
      size: s, pixels on a side.
      how: "corners": bilinear, the outermost places of both on each other (PyTorch's align_corners=True: EZ-VSL);
        "centres": bilinear, by the middles of the pixels (OpenCV's INTER_LINEAR: LVS); "cubic": bicubic with
        align_corners=True (SLAVC).

    Raises:
      ValueError: another `how`.
    """
    if how not in RESIZES:
        raise ValueError(f"how {how!r}: choose one of {', '.join(RESIZES)}")
    if maps.shape[1:] == (size, size):
        return maps
    rows, columns = (_resizing(n, size, how) for n in maps.shape[1:])
    return jnp.einsum("ih,bhw,jw->bij", rows, maps, columns, precision=lax.Precision.HIGHEST)


@functools.cache
def _pooling(before: int, after: int) -> Float[np.ndarray, "after before"]:
    edges, pixels = np.arange(after + 1) * before / after, np.arange(before)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(covered, 0) * after / before).astype(np.float32)


def pooled(maps: Float[Array, "b h w"], shape: tuple[int, int]) -> Float[Array, "b i j"]:
    """The mean of a map over each of i x j equal cells, also where these cut through its pixels."""
    rows, columns = (_pooling(before, after) for before, after in zip(maps.shape[1:], shape))
    return jnp.einsum("ih,bhw,jw->bij", rows, maps, columns, precision=lax.Precision.HIGHEST)


def inside(boxes: Float[Array, "*b 4"], size: int = SIZE) -> Bool[Array, "*b s s"]:
    """The pixels of each box ymin, xmin, ymax, xmax, 0..1; none of an empty one, and none where max < min."""
    edges = jnp.floor(jnp.clip(boxes, 0.0, 1.0) * size)[..., None]
    place = jnp.arange(size, dtype=jnp.float32).reshape((1,) * (boxes.ndim - 1) + (-1,))
    rows = (place >= edges[..., 0, :]) & (place < edges[..., 2, :])
    columns = (place >= edges[..., 1, :]) & (place < edges[..., 3, :])
    return rows[..., :, None] & columns[..., None, :]


def union(boxes: Float[Array, "b n 4"], where: Bool[Array, "b n"], size: int = SIZE) -> Float[Array, "b s s"]:
    """The truth of pictures whose boxes each count in full, as VGG-SS's: 1 inside any box that counts, else 0."""
    return jnp.any(inside(boxes, size) & where[..., None, None], 1).astype(jnp.float32)


def votes(boxes: Float[Array, "b n 4"], where: Bool[Array, "b n"], size: int = SIZE) -> Float[Array, "b s s"]:
    """The truth of several annotators, as Flickr-SoundNet's: half the number of boxes, at most 1.

    A pixel that one annotator alone has marked counts for half; boxes of one annotator that overlap count twice, as in
    the published evaluators.
    """
    marks = jnp.sum(inside(boxes, size) & where[..., None, None], 1, dtype=jnp.float32)
    return jnp.minimum(marks / 2, 1.0)
