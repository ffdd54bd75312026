"""One figure's share for each modality, with intervals and p-values, from units that are computed once."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.metrics.information import games, trust
from mmjax.metrics.information.games import Game

DRAWS = 1000  # of the bootstrap
# {replacement: {those that are there: {figure: (what a unit is, units)}}}
Looks = Mapping[str, Mapping[games.Coalition, Mapping[str, tuple[str, np.ndarray]]]]


@functools.lru_cache(maxsize=8)
def weights(units: int, seed: int) -> np.ndarray:
    """Bootstrap samples, the same for every figure with so many units."""
    return trust.weights(units, DRAWS, seed)


def span(units: np.ndarray, seed: int) -> dict[str, float]:
    """The mean of units with its interval."""
    value = float(np.mean(units))
    low, high = trust.interval(weights(len(units), seed) @ units)
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}  # but for the last digit


def ratio(part: np.ndarray, whole: np.ndarray, seed: int) -> dict[str, float] | None:
    """The share of a part with its interval; None where the whole may be nothing or of the other sign."""
    drawn = weights(len(whole), seed) @ np.stack([part, whole], 1)
    low, high = trust.interval(drawn[:, 1])
    if low <= 0 <= high:
        return None
    some = drawn[drawn[:, 1] != 0]
    ends = trust.interval(some[:, 0] / some[:, 1])
    return {"value": float(np.mean(part) / np.mean(whole)), "low": float(ends[0]), "high": float(ends[1])}


def of_game(game: Game, players: Sequence[str], permutations: int, seed: int) -> dict[str, Any]:
    """What one replacement says of one figure.

    Args:
      game: {those that are there: units}.
      players: the modalities.
      permutations: of the p-values.
      seed: of all that is drawn.

    Returns:
      without: {modality: the figure with it replaced}, with "p", whether that changes it at all;
      alone: {modality: the figure with all others replaced}; nothing: with all replaced;
      shapley: {modality: what it adds}; share: {modality: of the gain over nothing}, and alone_share, how much of the
      gain it brings by itself, None where there is no sure gain; together: what only all of them at once add;
      perceptual: {modality: the share of the figure that is lost without it}.
    """
    everyone, nobody = frozenset(players), frozenset[str]()
    whole, nothing = game[everyone], game[nobody]
    gain, earned = whole - nothing, games.shapley(game, players)
    lost = np.stack([whole - game[everyone - {m}] for m in players], 1)
    p = trust.p_value(lost, permutations, seed)
    value = float(np.mean(whole))
    return {
        "without": {m: {**span(game[everyone - {m}], seed), "p": float(p[i])} for i, m in enumerate(players)},
        "alone": {m: span(game[frozenset({m})], seed) for m in players},
        "nothing": span(nothing, seed),
        "shapley": {m: span(earned[m], seed) for m in players},
        "share": {m: ratio(earned[m], gain, seed) for m in players},
        "alone_share": {m: ratio(game[frozenset({m})] - nothing, gain, seed) for m in players},
        "together": span(games.together(game, players), seed),
        "perceptual": {
            m: games.perceptual_score(value, value - float(lost[:, i].mean())) for i, m in enumerate(players)
        },
    }


def of_figures(looks: Looks, players: Sequence[str], permutations: int, seed: int) -> dict[str, dict[str, Any]]:
    """{figure: its value, what its units are, and what each replacement says of it}.

    Args:
      looks: of every replacement.
      players, permutations, seed: see `of_game`.
    """
    everyone = frozenset(players)
    first = next(iter(looks.values()))
    found: dict[str, dict[str, Any]] = {}
    for name, (kind, units) in first[everyone].items():
        found[name] = {**span(units, seed), "units": kind, "number": len(units), "replaced": {}}
        for by, several in looks.items():
            if all(name in look for look in several.values()):  # or it means nothing with that in the place
                game = {there: look[name][1] for there, look in several.items()}
                found[name]["replaced"][by] = of_game(game, players, permutations, seed)
    return {name: of for name, of in found.items() if of["replaced"]}
