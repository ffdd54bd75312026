"""Sounds that nothing in the picture makes (silence, noise, another clip's): does a map say so?

Mo and Morgado 2022, "A Closer Look at Weakly-Supervised Audio-Visual Source Localization" (SLAVC), sections 3 and 5,
as its evaluator (stoneMo/SLAVC: utils.py) has it; pIA after Juanola et al. 2024, "A Critical Assessment of Visual Sound
Source Localization Models Including Negative Audio".
"""

from __future__ import annotations

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.metrics.localisation import grid
from mmjax.ops import order


def confidence(maps: Float[Array, "b h w"], size: int = grid.SIZE, how: str = "cubic") -> Float[Array, " b"]:
    """How sure a map is that something in the picture sounds: the mean of the largest quarter of its pixels.

    Args:
      maps: scores that compare between pictures, such as cosines: not normalised map by map.
      size, how: see `grid.resized`; SLAVC resizes by bicubic interpolation to 224.
    """
    pixels = grid.resized(maps, size, how).reshape(maps.shape[0], -1)
    quarter = -(-pixels.shape[-1] // 4)
    limit = order.kth_largest(pixels, jnp.full((maps.shape[0], 1), quarter, jnp.int32))
    above = pixels > limit
    ties = quarter - jnp.sum(above, -1, dtype=jnp.float32)
    return (jnp.sum(pixels, -1, where=above) + ties * limit[:, 0]) / quarter


def detection(
    ciou: Float[np.ndarray, " n"],
    confident: Float[np.ndarray, " n"],
    sounding: Bool[np.ndarray, " n"],
    least: float = 0.5,
) -> dict[str, float]:
    """Average precision and the largest F1 over confidences, of sounding pictures and negatives together; on the host.

    A picture counts as found where its confidence is at least a threshold: rightly where something in it sounds and its
    cIoU is at least `least`, else falsely. Missed are the sounding pictures below the threshold. As in SLAVC's
    evaluator, precision and recall of nothing are 1. The thresholds of F1 are every (n // 10)-th confidence from the
    smallest, those of AP every (n // 200)-th from the second largest down. AP adds up the best precision of this and
    all lower thresholds times the next step of recall.

    Args:
      ciou: of each picture, at the median; that of a negative does not count.
      confident: see `confidence`.
      sounding: whether something in the picture sounds.

    Returns:
      "ap" and "max_f1", 0..1; beside them "ap/random_confidence", the share of all pictures that are right, and
      "max_f1/all_found", what no threshold at all has.
    """
    ciou, confident, sounding = np.asarray(ciou), np.asarray(confident), np.asarray(sounding, bool)
    rising = np.sort(confident)
    n = len(rising)
    precision, recall = _at(rising[:-1][:: -max(1, n // 200)], ciou, confident, sounding, least)
    ap = 0.0
    if len(precision):
        best = np.maximum.accumulate(precision[::-1])[::-1]
        ap = float(np.sum(best[:-1] * np.diff(recall)))
    precision, recall = _at(rising[:: max(1, n // 10)], ciou, confident, sounding, least)
    both = precision + recall
    f1 = np.where(both > 0, 2 * precision * recall / np.where(both > 0, both, 1), 0)
    right = float(np.mean(sounding & (ciou >= least))) if n else 0.0
    return {
        "ap": ap,
        "ap/random_confidence": right,
        "max_f1": float(np.max(f1, initial=0.0)),
        "max_f1/all_found": 2 * right / (1 + right),
    }


def _at(thresholds, ciou, confident, sounding, least):
    """Precision and recall at each threshold."""
    right = sounding & (ciou >= least)
    order_up = np.sort(confident)
    found = len(confident) - np.searchsorted(order_up, thresholds, "left")
    hits = right.sum() - np.searchsorted(np.sort(confident[right]), thresholds, "left")
    missed = np.searchsorted(np.sort(confident[sounding]), thresholds, "left")
    precision = np.where(found > 0, hits / np.maximum(found, 1), 1.0)
    recall = np.where(hits + missed > 0, hits / np.maximum(hits + missed, 1), 1.0)
    return precision, recall


def counts(
    maps: Float[Array, "b h w"], truth: Float[Array, "b s s"], thresholds: Float[Array, " k"]
) -> tuple[Float[Array, "b k"], Float[Array, "b k"], Float[Array, "b k"]]:
    """Shares of the picture that are marked rightly, marked falsely, and missed, at each of k absolute thresholds.

    Places of a map are marked where they are at least the threshold; the truth is its mean over each place, so that
    nothing is resized. Negatives have no truth, and all their marks are false.
    """
    true = grid.pooled(truth, (maps.shape[1], maps.shape[2])).reshape(len(maps), 1, -1)
    marked = (maps.reshape(len(maps), 1, -1) >= thresholds[None, :, None]).astype(jnp.float32)  # b k p
    right = jnp.mean(marked * true, -1)
    wrong = jnp.mean(marked, -1) - right
    return right, wrong, jnp.mean(true, -1) - right


def best_threshold(
    right: Float[np.ndarray, "n k"],
    wrong: Float[np.ndarray, "n k"],
    missed: Float[np.ndarray, "n k"],
    thresholds: Float[np.ndarray, " k"],
) -> tuple[float, float]:
    """The threshold whose F1 over the pixels of all pictures is largest, and that F1; see `counts`. On the host."""
    right, wrong, missed = (np.sum(np.asarray(x, np.float64), 0) for x in (right, wrong, missed))
    f1 = 2 * right / np.maximum(2 * right + wrong + missed, 1e-12)
    return float(thresholds[int(np.argmax(f1))]), float(np.max(f1))


def marked_share(maps: Float[Array, "b h w"], threshold: Float[Array, ""]) -> Float[Array, " b"]:
    """pIA: the share of the picture that is at least at an absolute threshold, which for a negative should be 0."""
    return jnp.mean((maps >= threshold).astype(jnp.float32), (1, 2))
