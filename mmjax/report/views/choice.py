"""Which examples are shown: by rule and not by eye."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int


def choose(right: Bool[np.ndarray, " n"], most: int) -> Int[np.ndarray, " k"]:
    """At most `most` examples, right and wrong in turn, evenly spaced over each; the same ones each time.

    Args:
      right: [n], whether the network was right on each example of the pool.
      most: how many to take.

    Returns:
      their indices; where one sort is short the other fills up.
    """
    groups = [np.flatnonzero(right), np.flatnonzero(~right)]
    half = most // 2
    takes = [min(len(groups[0]), max(most - half, most - len(groups[1]))), 0]
    takes[1] = min(len(groups[1]), most - takes[0])
    picked = [g[np.linspace(0, len(g) - 1, k).round().astype(int)] for g, k in zip(groups, takes)]
    keys = [np.arange(k) * 2 + offset for offset, k in enumerate(takes)]
    return np.concatenate(picked)[np.argsort(np.concatenate(keys), kind="stable")].astype(int)
