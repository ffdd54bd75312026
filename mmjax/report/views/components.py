"""Points on their first two principal components: what the maps of the page are drawn over."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes


def project(embedding: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " 2"]]:
    """Principal components.

    Args:
      embedding: [n d], n and d at least 1.

    Returns:
      coordinates on the first two components, [n 2], and the share of the variance that each holds, [2]. Signs are
      such that the largest coordinate of each component is positive.
    """
    centred = np.asarray(embedding, np.float64) - np.mean(embedding, axis=0, dtype=np.float64)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    pad = max(0, 2 - len(scale))
    left, scale = np.pad(left, ((0, 0), (0, pad)))[:, :2], np.pad(scale, (0, pad))
    points = left * scale[:2]
    points *= np.where(points[np.abs(points).argmax(axis=0), [0, 1]] < 0, -1, 1)
    return points, scale[:2] ** 2 / max(float(np.sum(scale**2)), 1e-30)


def label(axes: Axes, shares: Float[np.ndarray, " 2"]) -> None:
    """Names the axes of a map, with the share of the variance [2] that each holds."""
    for axis, letter, share in ((axes.xaxis, "first", shares[0]), (axes.yaxis, "second", shares[1])):
        axis.set_label_text(f"{letter} component ({share:.0%} of variance)")
