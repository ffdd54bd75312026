"""Image tagging both ways, on the host: tags for an image, images for a tag, each beside its trivial baseline.

A list is all tags by their score for one image, or all images by their score for one tag. Where scores are equal, what
is wrong stands first, and so does what is wrong and NaN: a model that gives all the same score finds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float


def ordered(scores: Float[np.ndarray, "n c"], truth: Bool[np.ndarray, "n c"]) -> Bool[np.ndarray, "n c"]:
    """The truth in each row's order by score, highest first; ties count against us.

    Raises:
      ValueError: shapes do not agree.
    """
    scores, truth = np.asarray(scores, np.float64), np.asarray(truth, bool)
    if scores.shape != truth.shape or scores.ndim != 2:
        raise ValueError(f"scores have the shape {scores.shape}, the truth {truth.shape}: both must be one [n c]")
    scores = np.where(np.isnan(scores), np.where(truth, -np.inf, np.inf), scores)
    return np.take_along_axis(truth, np.lexsort((truth, -scores), axis=1), axis=1)


def precision_at_k(hits: Bool[np.ndarray, "n c"], k: int) -> Float[np.ndarray, " n"]:
    """The share of the first k that are right; a list shorter than k counts as filled up with wrong ones."""
    return np.sum(hits[:, :k], axis=1) / k


def recall_at_k(hits: Bool[np.ndarray, "n c"], k: int) -> Float[np.ndarray, " n"]:
    """The share of the right ones that are among the first k; lists must hold a right one."""
    return np.sum(hits[:, :k], axis=1) / np.sum(hits, axis=1)


def average_precision(hits: Bool[np.ndarray, "n c"]) -> Float[np.ndarray, " n"]:
    """The mean, over the places of the right ones, of the precision down to there; lists must hold a right one."""
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.sum(precision * hits, axis=1) / np.sum(hits, axis=1)


def chance_average_precision(length: int, right: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """What `average_precision` expects of a random order.

    E AP = 1/m sum_{k=1..m} (1 + (k - 1) (r - 1) / (m - 1)) / k, since given that place k is right each of those before
    it is so with the probability (r - 1) / (m - 1).

    Args:
      length: m, of a list.
      right: r, how many are right in each list, at least 1.
    """
    harmonic = np.sum(1 / np.arange(1, length + 1))
    return (harmonic + (np.asarray(right) - 1) / max(length - 1, 1) * (length - harmonic)) / length


def both_ways(
    scores: Float[np.ndarray, "n c"],
    truth: Bool[np.ndarray, "n c"],
    frequency: Float[np.ndarray, " c"],
    ks: Sequence[int] = (1, 5),
) -> dict[str, float]:
    """Precision and recall at k and mean average precision, of tags for a picture and of pictures for a tag.

    "tags_p@5", "tags_r@5" and "tags_map" are means over pictures, beside ".../frequency", one list for all pictures:
    the most frequent tags, equally frequent ones in the order of the columns. "pictures_p@5" and "pictures_map" are
    means over tags, beside ".../chance", the expectation of a random order, which is a tag's prevalence for precision.
    Lists without anything right are left out: "tags_pictures" and "pictures_tags" are how many pictures and tags count,
    beside ".../all" of them.

    Args:
      scores: of tags for pictures, larger is likelier; comparable along both axes.
      truth: whether a picture has a tag.
      frequency: of the tags, of the training split or of this one, in any unit.
      ks: at which precision and recall are taken.

    Raises:
      ValueError: shapes do not agree, or no picture has a tag.
    """
    truth = np.asarray(truth, bool)
    frequency = np.asarray(frequency, np.float64)
    if frequency.shape != truth.shape[1:]:
        raise ValueError(f"frequency has the shape {frequency.shape}; there are {truth.shape[-1]} tags")
    pictures, tags = np.any(truth, axis=1), np.any(truth, axis=0)
    if not pictures.any():
        raise ValueError("no picture has a tag")
    mine = ordered(scores, truth)[pictures]
    common = truth[pictures][:, np.argsort(-frequency, kind="stable")]
    figures = _beside("tags_pictures", np.sum(pictures), "all", len(truth))
    for k in ks:
        for name, measure in (("p", precision_at_k), ("r", recall_at_k)):
            figures |= _beside(f"tags_{name}@{k}", measure(mine, k), "frequency", measure(common, k))
    figures |= _beside("tags_map", average_precision(mine), "frequency", average_precision(common))
    hits = ordered(np.asarray(scores).T, truth.T)[tags]
    right, length = hits.sum(1), len(truth)
    figures |= _beside("pictures_tags", np.sum(tags), "all", len(tags))
    for k in ks:
        expected = right / length * min(k, length) / k
        figures |= _beside(f"pictures_p@{k}", precision_at_k(hits, k), "chance", expected)
    expected = chance_average_precision(length, right)
    return figures | _beside("pictures_map", average_precision(hits), "chance", expected)


def _beside(name, values, baseline, references):
    """{figure: mean, figure/baseline: mean}."""
    return {name: float(np.mean(values)), f"{name}/{baseline}": float(np.mean(references))}
