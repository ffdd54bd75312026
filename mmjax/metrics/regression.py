"""Linear maps fitted on the host, with or without powers of what goes in, and what share of a variance they explain."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float


def powers(count: int, degree: int) -> tuple[tuple[int, ...], ...]:
    """Exponents of all monomials of `count` variables up to a degree, the constant first."""
    every = itertools.product(range(degree + 1), repeat=count)
    return tuple(sorted((e for e in every if sum(e) <= degree), key=lambda e: (sum(e), e)))


def ridge(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n k"], penalty: float = 1e-3
) -> dict[str, Float[np.ndarray, ...]]:
    """The linear map of least squares with a penalty on its weights, {"weights" [d k], "offset" [k]}, float32.

    Args:
      x, y: of n examples.
      penalty: on squared weights of the standardised inputs, as a share of n; above 0 whatever in x is constant, or
        repeats, does no harm.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    mean, spread = x.mean(0), x.std(0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    inside = (x - mean) / scale
    gram = inside.T @ inside + penalty * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, inside.T @ (y - y.mean(0))) / scale[:, None]
    return {"weights": weights.astype(np.float32), "offset": (y.mean(0) - mean @ weights).astype(np.float32)}


def explained(truth: Float[np.ndarray, "n k"], guess: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " k"]:
    """R^2 of each column: 1 - sum (truth - guess)^2 / sum (truth - mean)^2, at most 1; below 0 is worse than the mean.

    NaN for a column that does not vary.
    """
    truth, guess = np.asarray(truth, np.float64), np.asarray(guess, np.float64)
    left, whole = np.sum((truth - guess) ** 2, 0), np.sum((truth - truth.mean(0)) ** 2, 0)
    return np.where(whole > 0, 1 - left / np.where(whole > 0, whole, 1), np.nan)
