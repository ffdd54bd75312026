"""Ranks by hand, ties against us, and chance against exact values and simulation."""

from math import comb

import numpy as np
import pytest

from mmjax.metrics import retrieval


def test_by_hand():
    similarity = np.array([[0.9, 0.1, 0.5], [0.8, 0.3, 0.2], [0.1, 0.2, 0.7]])
    np.testing.assert_array_equal(retrieval.ranks(similarity), [1, 2, 1])
    assert retrieval.recall_at_k(similarity, 1) == pytest.approx(2 / 3)
    assert retrieval.recall_at_k(similarity, 2) == 1.0
    assert retrieval.median_rank(similarity) == 1.0
    np.testing.assert_array_equal(retrieval.ranks(similarity, np.array([2, 2, 0])), [2, 3, 3])


def test_ties_and_nan_count_against_us():
    np.testing.assert_array_equal(retrieval.ranks(np.zeros((4, 4))), [4, 4, 4, 4])
    assert retrieval.recall_at_k(np.full((4, 4), np.nan), 3) == 0.0
    np.testing.assert_array_equal(retrieval.ranks(np.array([[0.5, np.nan], [0.1, 0.2]])), [2, 1])


def test_several_relevant_items_and_their_own_ties_do_no_harm():
    similarity = np.array([[0.5, 0.5, 0.1, 0.5], [0.1, 0.9, 0.8, 0.7]])
    relevant = np.array([[True, True, False, False], [True, False, False, True]])
    np.testing.assert_array_equal(retrieval.ranks(similarity, relevant), [2, 3])


def test_chance_of_one_relevant_item():
    assert retrieval.chance_recall_at_k((10, 10), 3) == pytest.approx(0.3)
    assert retrieval.chance_recall_at_k((10, 10), 50) == pytest.approx(1.0)
    assert retrieval.chance_median_rank((10, 10)) == 5.5
    assert retrieval.chance_median_rank((11, 11)) == 6.0


def test_chance_of_several_relevant_items_against_simulation(rng):
    relevant = np.zeros((400, 40), bool)
    relevant[:, :3] = True
    exact = 1 - comb(37, 5) / comb(40, 5)
    assert retrieval.chance_recall_at_k(relevant.shape, 5, relevant) == pytest.approx(exact)
    trials = [rng.random(relevant.shape) for _ in range(20)]
    measured = np.mean([retrieval.recall_at_k(s, 5, relevant) for s in trials])
    assert abs(measured - exact) < 0.02
    median = np.median([retrieval.ranks(s, relevant) for s in trials])
    assert abs(median - retrieval.chance_median_rank(relevant.shape, relevant)) <= 1


def test_a_query_without_a_relevant_item_is_refused():
    with pytest.raises(ValueError, match="query 1 has no relevant item"):
        retrieval.ranks(np.zeros((2, 2)), np.array([[True, False], [False, False]]))
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        retrieval.ranks(np.zeros((2, 2)), np.ones((2, 3), bool))
