"""Points as numbers of clusters, so that a table can count them: k-means by Lloyd's algorithm, on the host."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def assign(points: Float[np.ndarray, "n d"], centres: Float[np.ndarray, "k d"]) -> Int[np.ndarray, " n"]:
    """The number of the nearest centre of each point; of several the first."""
    distance = np.sum(centres**2, -1)[None] - 2 * points @ centres.T  # the point's own square changes no order
    return np.argmin(distance, -1)


def centres(
    points: Float[np.ndarray, "n d"], clusters: int, seed: int = 0, rounds: int = 50
) -> Float[np.ndarray, "k d"]:
    """Centres of clusters, from a start that is spread out (k-means++, Arthur and Vassilvitskii 2007).

    Args:
      points: n >= 1.
      clusters: at most so many; fewer where fewer points differ.
      seed: of the start.
      rounds: of Lloyd's algorithm, at most.
    """
    rng = np.random.default_rng(seed)
    points = np.asarray(points, np.float64)
    found = points[rng.integers(len(points))][None]
    while len(found) < clusters:
        far = np.min(np.sum((points[:, None] - found[None]) ** 2, -1), 1)
        if far.max() <= 1e-12:
            break
        found = np.concatenate([found, points[rng.choice(len(points), p=far / far.sum())][None]])
    for _ in range(rounds):
        own = assign(points, found)
        count = np.bincount(own, minlength=len(found))
        sums = np.stack([np.bincount(own, column, len(found)) for column in points.T], 1)
        moved = np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], found)
        if np.allclose(moved, found):
            break
        found = moved
    return found
