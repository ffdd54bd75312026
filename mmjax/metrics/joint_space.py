"""The figures of a joint space over a whole split: retrieval, tags, trust, and how the clouds lie."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from jax import numpy as jnp
from scipy import stats

from mmjax.metrics import embedding_space, ranking, tagging

ALONE = -2  # the number of a sentence with an unknown word, before `figures` gives each its own


Side = tuple[Any, Any]  # points of length 1 [... d], and uncertainties [...] or None


def comparable(a: Side, b: Side) -> tuple[Any, Any]:
    """Both sides, (points [... d], uncertainties [...] or None), as vectors whose inner product orders all pairs.

    Of Gaussians minus the expected squared distance, but for a part that is the query's alone in either direction:
    (2 mu, -|mu|^2 - sum sigma^2, 1) . (mu', 1, -|mu'|^2 - sum sigma'^2).
    """
    if a[1] is None:
        return a[0], b[0]
    norms = [-jnp.sum(jnp.square(mean), -1, keepdims=True) - spread[..., None] for mean, spread in (a, b)]
    ones = [jnp.ones_like(norm) for norm in norms]
    one = jnp.concatenate([2 * a[0], norms[0], ones[0]], -1)
    return one, jnp.concatenate([b[0], ones[1], norms[1]], -1)


def _apart(numbers):
    """The captions' numbers with one of its own for each that is ALONE."""
    numbers = numbers.astype(np.int64)
    return np.where(numbers == ALONE, 2**31 + np.arange(numbers.size).reshape(numbers.shape), numbers)


def score(sides: tuple[str, ...], predictions: Mapping[str, Any], references: Mapping[str, Any]) -> dict[str, float]:
    """Retrieval among all examples for every two sides and both ways, tags both ways, and how the clouds lie.

    Args:
      sides: whose points are in predictions["embedding/<side>"], [n d], of "caption" [n c d].
      predictions: also "number/caption_ids" [n c], equal for equal sentences, -1 for none, ALONE for one that matches
        no other; of Gaussians "number/uncertainty_<side>"; "number/tag_scores", "number/tag_truth" [n tags] and
        "number/tag_frequency" where there are tags.
      references: nothing is read from them.
    """
    del references
    seen = {side: (predictions[f"embedding/{side}"], predictions.get(f"number/uncertainty_{side}")) for side in sides}
    captions = _apart(predictions["number/caption_ids"]) if "caption" in sides else None
    figures: dict[str, float] = {}
    for one, two in itertools.combinations(sides, 2):
        one, two = (two, one) if one == "caption" else (one, two)  # several captions an example come second
        ids = captions if captions is not None and two == "caption" else np.arange(len(seen[one][0]))
        figures |= ranking.both_ways((one, two), *comparable(seen[one], seen[two]), ids)
    if predictions.get("number/tag_truth", np.zeros(1)).any():
        frequency = predictions["number/tag_frequency"][0]
        figures |= tagging.both_ways(predictions["number/tag_scores"], predictions["number/tag_truth"], frequency)
    # An example without a caption has no point there.
    there = slice(None) if captions is None else captions[:, 0] >= 0
    clouds = {side: seen[side][0][there] for side in sides}
    clouds = {side: cloud[:, 0] if side == "caption" else cloud for side, cloud in clouds.items()}
    return figures | _trust(seen, sides, captions) | embedding_space.figures(clouds)


def _trust(seen, sides, captions):
    """Of Gaussians: does a picture's uncertainty tell how far down its caption is found? Spearman's correlation."""
    if seen[sides[0]][1] is None or captions is None:
        return {}
    side = next(side for side in sides if side != "caption")
    ours, theirs = (np.asarray(x) for x in comparable(seen[side], seen["caption"]))
    own = captions >= 0
    there = own.any(1)
    ranks = ranking.ranks(ours[there], theirs[own], captions[there], captions[own][:, None])
    unsure = seen[side][1][there]
    shuffled = np.random.default_rng(0).permutation(unsure)
    name = f"uncertainty_{side}_with_rank"
    return {name: _spearman(unsure, ranks), f"{name}/shuffled": _spearman(shuffled, ranks)}


def _spearman(a, b):
    """Correlation of ranks, ties in the middle; 0 where either is the same everywhere."""
    a, b = (stats.rankdata(x) for x in (a, b))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
