"""The figures of a joint space over a whole split: retrieval, trust, and how the clouds lie."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.metrics import embedding_space, ranking

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


def first_of_batch(
    scores: Float[Array, "b b"], same: Int[Array, "b ..."], valid: Bool[Array, " b"]
) -> tuple[Bool[Array, " b"], Float[Array, " b"]]:
    """Whether each query of a batch finds a match of its own before all else, and how often chance would.

    Args:
      scores: of all queries by all examples; a wrong one that is as high as the best match comes before it.
      same: equal numbers for examples that match each other; or [b k], of which any in common will do.
      valid: which examples are there to be found.
    """
    same = same.reshape(len(valid), -1)
    match = jnp.any(same[:, None] == same[None], -1) & valid[None]
    best = jnp.max(scores, 1, where=match, initial=-jnp.inf)
    wrong = jnp.any((scores >= best[:, None]) & ~match & valid[None], 1)
    count = jnp.maximum(jnp.sum(valid, dtype=jnp.float32), 1.0)
    return ~wrong, jnp.sum(match, 1, dtype=jnp.float32) / count


def _apart(numbers: Int[np.ndarray, "n c"]) -> Int[np.ndarray, "n c"]:
    """The captions' numbers with one of its own for each that is ALONE."""
    numbers = numbers.astype(np.int64)
    return np.where(numbers == ALONE, 2**31 + np.arange(numbers.size).reshape(numbers.shape), numbers)


def figures(seen: Mapping[str, Side], captions: Int[np.ndarray, "n c"] | None) -> dict[str, float]:
    """Retrieval among all examples for every two sides and both ways, the trust of Gaussians, and how the clouds lie.

    Args:
      seen: the points of each side, [n d], of "caption" those of several, [n c d].
      captions: equal for equal sentences, -1 for none, ALONE for one that matches no other; None without captions.
    """
    captions = None if captions is None else _apart(captions)
    found: dict[str, float] = {}
    for one, two in itertools.combinations(seen, 2):
        one, two = (two, one) if one == "caption" else (one, two)  # several captions an example come second
        ids = captions if captions is not None and two == "caption" else np.arange(len(seen[one][0]))
        found |= ranking.both_ways((one, two), *comparable(seen[one], seen[two]), ids)
    if captions is not None:
        found |= _trust(seen, captions)
    # An example without a caption has no point there.
    there = slice(None) if captions is None else captions[:, 0] >= 0
    clouds = {side: points[there] for side, (points, _) in seen.items()}
    return found | embedding_space.figures({k: x[:, 0] if k == "caption" else x for k, x in clouds.items()})


def _trust(seen: Mapping[str, Side], captions: Int[np.ndarray, "n c"]) -> dict[str, float]:
    """Of Gaussians: does a picture's uncertainty tell how far down its caption is found? Spearman's correlation."""
    if seen["caption"][1] is None:
        return {}
    side = next(side for side in seen if side != "caption")
    ours, theirs = (np.asarray(x) for x in comparable(seen[side], seen["caption"]))
    own = captions >= 0
    there = own.any(1)
    queries: Any = ours[there]  # of the host, as `ranks` takes them, too
    gallery: Any = theirs[own]
    ranks = ranking.ranks(queries, gallery, captions[there], captions[own][:, None])
    unsure = seen[side][1][there]
    shuffled = np.random.default_rng(0).permutation(unsure)
    name = f"uncertainty_{side}_with_rank"
    return {name: _spearman(unsure, ranks), f"{name}/shuffled": _spearman(shuffled, ranks)}


def _spearman(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Correlation of ranks, ties in the middle; 0 where either is the same everywhere."""
    a, b = (_ranked(x) for x in (a, b))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _ranked(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """`scipy.stats.rankdata`, which takes a second to import."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]
