"""How sure is a figure? Units, whose mean is the figure; intervals by the bootstrap; p-values by permutations.

Nothing here looks at a network: units are computed once, and every draw is a weighted mean of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy import stats

LEVEL = 0.95
EXACT = 12  # pairs of which all permutations are made: few enough, and drawn ones are all alike too often by luck


def of_ratio(total: Float[np.ndarray, " n"], count: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The units of a figure that is sum(total) / sum(count): its value and each example's influence on it.

    Their mean is the figure; where every example counts once they are the totals themselves. NaN where nothing counts.
    """
    total, count = np.asarray(total, np.float64), np.asarray(count, np.float64)
    whole = count.sum()
    if not whole:
        return np.full(len(total), np.nan)
    value = total.sum() / whole
    return value + (total - value * count) * (len(total) / whole)


def of_blocks(
    score: Callable[[np.ndarray], Float[np.ndarray, " *f"]], examples: int, blocks: int = 20
) -> Float[np.ndarray, k * f]:
    """The units of figures that are no means: pseudo-values of blocks of examples that are left out one by one.

    Quenouille 1956 and Tukey 1958: with k blocks, k times the figure less (k - 1) times the figure without the block;
    moved so that their mean is the figure itself, whose bias is not removed.

    Args:
      score: positions of examples, in order, -> the figures on these alone.
      examples: how many there are.
      blocks: k, at most; each has at least one example.
    """
    at = np.arange(examples)
    k = max(min(blocks, examples), 1)
    whole = np.asarray(score(at), np.float64)
    kept = [at[at * k // examples != block] for block in range(k)] if k > 1 else [at]
    pseudo = k * whole - (k - 1) * np.array([score(some) for some in kept], np.float64)
    return pseudo + (whole - pseudo.mean(0))


def weights(units: int, draws: int = 1000, seed: int = 0) -> Float[np.ndarray, "draws units"]:
    """Bootstrap samples of so many units: how much each weighs in the mean of each draw. Rows sum to 1."""
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), draws) / units


def interval(draws: Float[np.ndarray, "draws ..."], level: float = LEVEL) -> Float[np.ndarray, "2 ..."]:
    """The lower and the upper end between which the middle `level` of the draws lie (Efron's percentile interval)."""
    return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)


def p_value(differences: Float[np.ndarray, "n ..."], permutations: int = 200, seed: int = 0) -> Float[np.ndarray, ...]:
    """Whether differences of pairs have mean 0, from permutations that swap the two of some pairs at random.

    A swap changes a difference's sign. Two-sided: the share of permutations, the given one among them, whose mean is
    as far from 0 (Phipson and Smyth 2010), so at least 1 / (permutations + 1). Of n <= EXACT pairs all 2^n are made
    instead of drawn, and p is exact: at least 2 / 2^n.
    """
    values = np.asarray(differences, np.float64).reshape(len(differences), -1)
    n, exact = len(values), len(values) <= EXACT
    if exact:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
    else:
        bits = np.random.default_rng(seed).integers(0, 2, (permutations, n))
    drawn, given = np.abs((bits * 2.0 - 1) @ values), np.abs(values.sum(0))
    reached = np.sum(drawn >= given * (1 - 1e-12), axis=0)
    p = reached / 2**n if exact else (1 + reached) / (1 + permutations)
    return p.reshape(np.shape(differences)[1:])


def over_runs(values: Float[np.ndarray, "k ..."], level: float = LEVEL) -> Float[np.ndarray, "3 ..."]:
    """Mean, lower and upper end of a few runs' figures, by Student's t; of a single run the ends are infinitely far."""
    values = np.asarray(values, np.float64)
    k, mean = len(values), values.mean(0)
    if k < 2:
        return np.stack([mean, mean - np.inf, mean + np.inf])
    half = stats.t.ppf((1 + level) / 2, k - 1) * values.std(0, ddof=1) / np.sqrt(k)
    return np.stack([mean, mean - half, mean + half])
