"""Who earned a figure: Shapley values of players that are there or taken away, and what only several earn together.

Shapley 1953, "A value for n-person games"; as shares of an accuracy, Hu et al. 2022, "SHAPE", equations 2 to 4. The
value of a coalition may be an array, such as one number for each example: what a player earns is linear in it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Coalition = frozenset[str]
Game = Mapping[Coalition, Any]  # coalition -> its value, an array of one shape for all


def coalitions(players: Sequence[str]) -> Iterator[Coalition]:
    """All coalitions of some players, from none to all."""
    for size in range(len(players) + 1):
        yield from map(frozenset, itertools.combinations(players, size))


def shapley(game: Game, players: Sequence[str]) -> dict[str, np.ndarray]:
    """What each player adds, on the average over all orders in which they may come; the sum is all's less none's.

    Of two: phi_1 = ((v(1) - v()) + (v(12) - v(2))) / 2.

    Args:
      game: the value of every coalition of the players.
      players: n different names; 2^n values are read.

    Returns:
      {player: array of the values' shape}.
    """
    n = len(players)
    earned: dict[str, np.ndarray] = {}
    for player in players:
        others = [other for other in players if other != player]
        total = np.zeros(np.shape(game[frozenset()]))
        for before in coalitions(others):
            weight = math.factorial(len(before)) * math.factorial(n - 1 - len(before)) / math.factorial(n)
            total = total + weight * (np.asarray(game[before | {player}]) - np.asarray(game[before]))
        earned[player] = total
    return earned


def together(game: Game, players: Sequence[str]) -> np.ndarray:
    """What all have only together: the alternating sum over all coalitions (Harsanyi's dividend of the whole).

    Of two: v(12) - v(1) - v(2) + v(). Positive where both are needed at once, negative where each has what the other
    has too.
    """
    total = np.zeros(np.shape(game[frozenset()]))
    for coalition in coalitions(players):
        total = total + (-1) ** (len(players) - len(coalition)) * np.asarray(game[coalition])
    return total


def interaction(game: Game, players: Sequence[str], pair: tuple[str, str]) -> np.ndarray:
    """Shapley's interaction index of two players among n (Grabisch and Roubens 1999, equation 4).

    How much more they add together than one by one, on the average over the orders of the others; of two players it is
    `together`.
    """
    n, (one, two) = len(players), pair
    total = np.zeros(np.shape(game[frozenset()]))
    for before in coalitions([other for other in players if other not in pair]):
        weight = math.factorial(len(before)) * math.factorial(n - 2 - len(before)) / math.factorial(n - 1)
        both, first, second = (np.asarray(game[before | set(added)]) for added in ((one, two), (one,), (two,)))
        total = total + weight * (both - first - second + np.asarray(game[before]))
    return total


def perceptual_score(whole: float, permuted: float, scale: float | None = None) -> float:
    """The share of a figure that is lost with another example's modality (Gat et al. 2021, equation 4).

    Args:
      whole: the figure with everything.
      permuted: the same with the modality of other examples, a mean over permutations.
      scale: what the loss is a share of: None for `whole` (normalised by the model), or the majority's figure.

    Returns:
      the share; 0 where there is nothing to lose.
    """
    scale = whole if scale is None else scale
    return (whole - permuted) / scale if scale else 0.0
