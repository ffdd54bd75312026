"""Retrieval figures from a similarity matrix, on the host, each with its value by chance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

Relevant = Bool[np.ndarray, "q g"] | Int[np.ndarray, " q"] | None  # see `ranks`


def ranks(similarity: Float[np.ndarray, "q g"], relevant: Relevant = None) -> Int[np.ndarray, " q"]:
    """Rank of each query's best relevant gallery item, 1 being the first; ties count against us.

    An item that is not relevant and is as similar as the best relevant one stands before it, and so does one whose
    similarity is NaN: a model that gives every pair the same score must not retrieve anything.

    Args:
      similarity: [q g], larger is nearer.
      relevant: bool [q g]; or int [q], the one relevant item of each query; or None: item i for query i.

    Raises:
      ValueError: shapes do not agree, or a query has no relevant item.
    """
    similarity = np.asarray(similarity)
    relevant = _as_mask(similarity.shape, relevant)
    scores = np.where(relevant & ~np.isnan(similarity), similarity, -np.inf)
    best = np.max(scores, axis=1, keepdims=True)
    return 1 + np.sum(~relevant & ~(similarity < best), axis=1)


def recall_at_k(similarity: Float[np.ndarray, "q g"], k: int, relevant: Relevant = None) -> float:
    """R@k: the share of queries with a relevant item among their k nearest, in [0, 1]. Arguments as for `ranks`."""
    return float(np.mean(ranks(similarity, relevant) <= k))


def median_rank(similarity: Float[np.ndarray, "q g"], relevant: Relevant = None) -> float:
    """The median over queries of the rank of the best relevant item. Arguments as for `ranks`."""
    return float(np.median(ranks(similarity, relevant)))


def chance_recall_at_k(shape: tuple[int, int], k: int, relevant: Relevant = None) -> float:
    """What `recall_at_k` expects of random scores: the mean over queries of 1 - C(g - r, k) / C(g, k).

    Args:
      shape: (q, g) of the similarity matrix.
      k: as for `recall_at_k`.
      relevant: as for `ranks`; r is the number of items relevant to a query.
    """
    return float(chance_reached(shape[1], np.sum(_as_mask(shape, relevant), axis=1))[min(k, shape[1]) - 1])


def chance_median_rank(shape: tuple[int, int], relevant: Relevant = None) -> float:
    """The median of the rank under random scores: (g + 1) / 2 where each query has one relevant item."""
    return median_of(chance_reached(shape[1], np.sum(_as_mask(shape, relevant), axis=1)))


def chance_reached(gallery: int, relevant: Int[np.ndarray, " q"]) -> Float[np.ndarray, " g"]:
    """P(rank <= m) for m = 1..g under random scores, the mean over queries.

    Args:
      gallery: g, the number of items.
      relevant: how many of them are relevant to each query.
    """
    reached, drawn = np.zeros(gallery), np.arange(gallery)
    for count, queries in zip(*np.unique(relevant, return_counts=True)):
        # The next item is no hit either, given that none of the `drawn` ones was: a product, because C(g, k) overflows.
        miss = np.clip((gallery - count - drawn) / (gallery - drawn), 0.0, 1.0)
        reached += queries / len(relevant) * (1 - np.cumprod(miss))
    return reached


def median_of(reached: Float[np.ndarray, " g"]) -> float:
    """The median rank from P(rank <= m), m = 1..g."""
    # Between m and the next rank that occurs where exactly half of the mass lies up to m, as np.median does.
    low, high = np.argmax(reached >= 0.5 - 1e-9), np.argmax(reached > 0.5 + 1e-9)
    return float(low + high) / 2 + 1


def _as_mask(shape: tuple[int, ...], relevant: Relevant) -> Bool[np.ndarray, "q g"]:
    queries, gallery = shape
    if relevant is None:
        relevant = np.arange(queries)
    relevant = np.asarray(relevant)
    if relevant.ndim == 1:
        relevant = np.arange(gallery)[None] == relevant[:, None]
    if relevant.shape != shape:
        raise ValueError(f"relevant has the shape {relevant.shape}; the similarities have {shape}")
    if not relevant.any(1).all():
        raise ValueError(f"query {int(np.argmin(relevant.any(1)))} has no relevant item among {gallery}")
    return relevant.astype(bool)
