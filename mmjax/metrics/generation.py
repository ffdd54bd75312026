"""Figures of pictures that were drawn, on the host, from features of some network: name the network beside them.

The distance is called FID where the features are Inception's; of other features it is another figure, which cannot be
compared with published ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float


def frechet_distance(real: Float[np.ndarray, "n d"], drawn: Float[np.ndarray, "m d"]) -> float:
    """|mu_r - mu_d|^2 + tr(S_r + S_d - 2 (S_r S_d)^(1/2)) of the Gaussians fitted to two sets of features, >= 0.

    Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", eq. 6;
    covariances are divided by n - 1, as in their code. The trace of the root is the sum of the singular values of
    S_r^(1/2) S_d^(1/2), which for fewer examples than features needs no small number on the diagonal. The fewer the
    examples, the larger the value, so that only figures of equal n compare.

    Args:
      real, drawn: features, two examples at least of each.

    Raises:
      ValueError: fewer than two examples, or widths that differ.
    """
    real, drawn = np.asarray(real, np.float64), np.asarray(drawn, np.float64)
    if min(len(real), len(drawn)) < 2 or real.shape[1] != drawn.shape[1]:
        raise ValueError(f"features of the shapes {real.shape} and {drawn.shape}: give two or more rows of one width")
    apart = np.sum((real.mean(0) - drawn.mean(0)) ** 2)
    # X'X is the covariance of rows X: the singular values of X_r X_d' are those of the roots' product.
    rows = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (real, drawn)]
    slim = [
        np.asarray(np.linalg.qr(x, mode="r")) if len(x) > x.shape[1] else x for x in rows
    ]  # the same X'X in fewer rows
    cross = np.linalg.svd(slim[0] @ slim[1].T, compute_uv=False).sum()
    return float(max(apart + sum(np.sum(x**2) for x in rows) - 2 * cross, 0.0))


def kernel_distance(
    real: Float[np.ndarray, "n d"],
    drawn: Float[np.ndarray, "m d"],
    subsets: int = 100,
    size: int = 1000,
    seed: int = 0,
) -> float:
    """The squared maximum mean discrepancy under the kernel (x . y / d + 1)^3, the mean over random subsets.

    Binkowski et al. 2018, "Demystifying MMD GANs", section 4: KID where the features are Inception's. Unbiased, so that
    its expectation does not depend on the number of examples, and it may fall below 0.

    Args:
      real, drawn: features.
      subsets: their number.
      size: examples of each set in a subset; at most all there are.
      seed: of the drawing.
    """
    real, drawn = np.asarray(real, np.float64), np.asarray(drawn, np.float64)
    size = min(size, len(real), len(drawn))
    if size < 2 or real.shape[1] != drawn.shape[1]:
        raise ValueError(f"features of the shapes {real.shape} and {drawn.shape}: give two or more rows of one width")
    if size == len(real) == len(drawn):
        subsets = 1  # all the same
    rng, found = np.random.default_rng(seed), []
    for _ in range(subsets):
        x, y = (rows[rng.choice(len(rows), size, replace=False)] for rows in (real, drawn))
        xx, yy, xy = _kernel(x, x), _kernel(y, y), _kernel(x, y)
        own = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (size * (size - 1))
        found.append(own - 2 * xy.mean())
    return float(np.mean(found))


def _kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def retrieval_precision(
    picture: Float[np.ndarray, "n d"],
    text: Float[np.ndarray, "n d"],
    same: Bool[np.ndarray, "n n"],
    others: int = 99,
    seed: int = 0,
) -> float:
    """R-precision: the share of pictures nearest to their own text among `others` texts that mismatch, 0 to 1.

    Xu et al. 2018, "AttnGAN", section 4.1: 99 mismatching captions, so that chance is 1/100; cosines. Where fewer texts
    mismatch, all are taken. A tie counts against the picture.

    Args:
      picture, text: embeddings in one space, row by row.
      same: [i, j] whether text j is no mismatch of picture i; its diagonal is True.
      others: mismatching texts beside the own one.
      seed: of their choice.
    """
    unit = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (picture, text)]
    similarity = unit[0] @ unit[1].T
    rng, right = np.random.default_rng(seed), []
    for row, (scores, own) in enumerate(zip(similarity, same)):
        apart = np.flatnonzero(~own)
        chosen = rng.choice(apart, min(others, len(apart)), replace=False)
        right.append(bool(np.all(scores[chosen] < scores[row])))
    return float(np.mean(right))


def chance_precision(same: Bool[np.ndarray, "n n"], others: int = 99) -> float:
    """What `retrieval_precision` expects of random scores."""
    return float(np.mean(1 / (1 + np.minimum(others, np.sum(~np.asarray(same), 1)))))


def pairwise_distance(features: Float[np.ndarray, "n k d"]) -> float:
    """Diversity: the mean Euclidean distance between the k pictures of each row, the mean over rows; 0 if all are one.

    Args:
      features: of k pictures of each of n captions; k of at least 2.
    """
    features = np.asarray(features, np.float64)
    count = features.shape[1]
    gaps = np.linalg.norm(features[:, :, None] - features[:, None], axis=-1)  # n k k
    return float(np.sum(gaps) / (len(features) * count * (count - 1)))


def distances(
    name: str, real: Float[np.ndarray, "n d"], others: Mapping[str, Float[np.ndarray, "m d"]]
) -> dict[str, float]:
    """Distances of drawn from real pictures by one network's features.

    Args:
      name: of the network, which stands before the figures' names.
      real: its features of real pictures, two at least.
      others: of the drawn ones under "", and of each baseline under the suffix of its figures, such as
        "/real_training_pictures", the least that can be asked for, or "/mean_picture", the mean picture each time.
    """
    found = {}
    for suffix, rows in others.items():
        found[f"{name}_fid{suffix}"] = frechet_distance(real, rows)
        found[f"{name}_kid{suffix}"] = kernel_distance(real, rows)
    return found


def diversity(
    real: Float[np.ndarray, "n d"], first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "n d"]
) -> dict[str, float]:
    """How far two drawn pictures of one caption, or class, lie apart in a network's features.

    Beside two real pictures of different ones, and 0, which is what a generator has that ignores its code.
    """
    return {
        "diversity": pairwise_distance(np.stack([first, second], 1)),
        "diversity/one_picture_each": 0.0,
        "diversity/different_real_pictures": pairwise_distance(np.stack([real, np.roll(real, 1, 0)], 1)),
    }
