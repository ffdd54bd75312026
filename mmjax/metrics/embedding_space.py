"""What a joint space looks like: the gap between its clouds, how many dimensions each fills, how far pairs agree.

On the host. All vectors are taken at length 1: directions are what cosine similarity compares.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

_SPLITS = 32  # random halves whose gaps are averaged


def unit(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Vectors of length 1 in float64; a zero vector stays zero."""
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def gap(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Distance of the clouds' means, in [0, 2]: the modality gap of Liang et al. 2022, "Mind the Gap", section 2."""
    return float(np.linalg.norm(np.mean(unit(a), axis=0) - np.mean(unit(b), axis=0)))


def gap_of_halves(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"], seed: int = 0) -> float:
    """What chance makes: the gap of two random parts of both clouds, as large as a and b; the mean of 32 splits."""
    pool, rng = np.concatenate([unit(a), unit(b)]), np.random.default_rng(seed)
    weights = np.r_[np.full(len(a), 1 / len(a)), np.full(len(b), -1 / len(b))]
    gaps = rng.permuted(np.tile(weights, (_SPLITS, 1)), axis=1) @ pool
    return float(np.mean(np.linalg.norm(gaps, axis=1)))


def effective_rank(vectors: Float[np.ndarray, "n d"]) -> float:
    """exp(H(p)), p the singular values of the centred unit vectors divided by their sum: Roy and Vetterli 2007.

    They take a matrix as it is; the mean is removed here, because of a cloud far from the origin, as those of a joint
    space are, its first singular value would tell the mean once more, which the gap tells already.

    Returns:
      in [1, min(n - 1, d)]: the dimensions in which the examples differ; 1, the least, where all are the same.
    """
    centred = unit(vectors)
    centred -= np.mean(centred, axis=0)
    gram = centred.T @ centred if len(centred) > centred.shape[1] else centred @ centred.T
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))  # in float64: the small ones hold their own
    values = values[values > 1e-7 * np.max(values, initial=1e-12)]  # what rounding makes of zeros
    share = values / np.sum(values)
    return float(np.exp(-np.sum(share * np.log(share))))


def isotropic_rank(count: int, dimensions: int, seed: int = 0) -> float:
    """The effective rank of as many directions drawn evenly from the sphere: what n examples in d dimensions allow."""
    return effective_rank(np.random.default_rng(seed).standard_normal((count, dimensions)))


def cosines(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "n d"]) -> tuple[float, float]:
    """Mean cosine of the pairs (i, i), and of all others (i, j); the latter 0 where there is one pair only."""
    a, b = unit(a), unit(b)
    matched = np.sum(a * b)
    others = np.sum(a, axis=0) @ np.sum(b, axis=0) - matched  # the sum over all pairs is the product of the sums
    return float(matched / len(a)), float(others / max(len(a) * (len(a) - 1), 1))


def figures(sides: Mapping[str, Float[np.ndarray, "n d"]]) -> dict[str, float]:
    """Gap, mean cosine and effective ranks, each beside what would be there without any structure.

    "gap_image_caption" beside "/halves", a gap of random halves of both; "cosine_image_caption", of pairs, beside
    "/mismatched"; "effective_rank_image" beside "/isotropic". All are NaN where a vector is not finite.

    Args:
      sides: name -> vectors; row i of all sides is example i. An example that has several vectors on one side comes
        with one of them, or once for each.

    Raises:
      ValueError: the sides do not agree in shape, or are empty.
    """
    shapes = {name: np.shape(vectors) for name, vectors in sides.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 2 or 0 in shape for shape in shapes.values()):
        raise ValueError(f"sides must be vectors [n d] of one shape; they are {shapes}")
    count, dimensions = next(iter(shapes.values()))
    whole = {name: bool(np.isfinite(vectors).all()) for name, vectors in sides.items()}
    nothing = (float("nan"), float("nan"))
    found: dict[str, float] = {}
    for (one, a), (other, b) in itertools.combinations(sides.items(), 2):
        both = whole[one] and whole[other]
        gaps = (gap(a, b), gap_of_halves(a, b)) if both else nothing
        found |= dict(zip((f"gap_{one}_{other}", f"gap_{one}_{other}/halves"), gaps))
        pairs = cosines(a, b) if both else nothing
        found |= dict(zip((f"cosine_{one}_{other}", f"cosine_{one}_{other}/mismatched"), pairs))
    isotropic = isotropic_rank(count, dimensions)
    for name, vectors in sides.items():
        found[f"effective_rank_{name}"] = effective_rank(vectors) if whole[name] else float("nan")
        found[f"effective_rank_{name}/isotropic"] = isotropic
    return found
