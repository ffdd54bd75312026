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

from mmjax.metrics.localisation.resizing import SIZE, resizing


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
    rows, columns = (resizing(n, size, how) for n in maps.shape[1:])
    if maps.shape[1:] == (size, size):
        return maps
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
