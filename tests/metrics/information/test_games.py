"""Shapley values by hand, against all orders, and their sums."""

import itertools

import numpy as np
import pytest

from mmjax.metrics.information import games


def game(**values):
    """{"": v(), "a": v({a}), "ab": v({a, b}), ...}."""
    return {frozenset(name.strip("_")): value for name, value in values.items()}


def test_two_players_by_hand():
    found = game(_=0.1, a=0.5, b=0.3, ab=0.9)
    earned = games.shapley(found, "ab")
    assert earned["a"] == pytest.approx(((0.5 - 0.1) + (0.9 - 0.3)) / 2)
    assert earned["b"] == pytest.approx(((0.3 - 0.1) + (0.9 - 0.5)) / 2)
    assert games.together(found, "ab") == pytest.approx(0.9 - 0.5 - 0.3 + 0.1)
    assert games.interaction(found, "ab", ("a", "b")) == pytest.approx(0.2)


def test_three_players_are_the_mean_over_all_orders(rng):
    players = ("picture", "sound", "words")
    found = {coalition: rng.normal(size=5) for coalition in games.coalitions(players)}
    assert len(found) == 8
    orders = list(itertools.permutations(players))
    naive = dict.fromkeys(players, 0.0)
    for order in orders:
        for at, player in enumerate(order):
            before = frozenset(order[:at])
            naive[player] = naive[player] + (found[before | {player}] - found[before]) / len(orders)
    earned = games.shapley(found, players)
    for player in players:
        np.testing.assert_allclose(earned[player], naive[player], rtol=1e-12)
    np.testing.assert_allclose(sum(earned.values()), found[frozenset(players)] - found[frozenset()], rtol=1e-12)


def test_interaction_of_two_among_three_by_hand():
    """a and b open a lock together, c adds 1 whoever is there."""
    found = {s: np.array(4.0 * ({"a", "b"} <= s) + ("c" in s)) for s in games.coalitions("abc")}
    assert games.interaction(found, "abc", ("a", "b")) == pytest.approx(4)
    assert games.interaction(found, "abc", ("a", "c")) == pytest.approx(0)
    assert games.together(found, "abc") == pytest.approx(0)  # nothing needs all three
    assert {k: float(v) for k, v in games.shapley(found, "abc").items()} == pytest.approx({"a": 2, "b": 2, "c": 1})


def test_perceptual_score_by_hand():
    assert games.perceptual_score(0.8, 0.6) == pytest.approx(0.25)
    assert games.perceptual_score(0.8, 0.6, scale=0.5) == pytest.approx(0.4)
    assert games.perceptual_score(0.0, 0.0) == 0
