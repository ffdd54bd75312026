"""Tagging both ways: by hand, against loops and scikit-learn, ties against us, and chance against simulation."""

import itertools

import numpy as np
import pytest

from mmjax.metrics import tagging

#                   sky  dog  car  bell
SCORES = np.array([[0.9, 0.1, 0.8, 0.2], [0.3, 0.7, 0.5, 0.1], [0.6, 0.2, 0.4, 0.3]])
TRUTH = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]], bool)


def test_by_hand():
    figures = tagging.both_ways(SCORES, TRUTH, np.array([5, 1, 9, 1]), ks=(1, 2))
    want = {
        # Picture 1: sky car bell dog, right at places 1 and 3. Picture 2: dog car sky bell, right at 1 and 2.
        # Frequency: car sky dog bell. Picture 1 right at 2 and 4, picture 2 at 1 and 3. Picture 3 has no tag.
        "tags_pictures": (2, "all", 3),
        "tags_p@1": (1.0, "frequency", 0.5),
        "tags_r@1": (0.5, "frequency", 0.25),
        "tags_p@2": ((1 / 2 + 1) / 2, "frequency", 0.5),
        "tags_r@2": ((1 / 2 + 1) / 2, "frequency", 0.5),
        "tags_map": (((1 + 2 / 3) / 2 + 1) / 2, "frequency", ((1 / 2 + 2 / 4) / 2 + (1 + 2 / 3) / 2) / 2),
        # sky: 1 3 2, right at 1. dog: 2 3 1, at 1. car: 1 2 3, at 2. bell: 3 1 2, at 2.
        "pictures_tags": (4, "all", 4),
        "pictures_p@1": (0.5, "chance", 1 / 3),
        "pictures_p@2": (0.5, "chance", 1 / 3),
        "pictures_map": ((1 + 1 + 1 / 2 + 1 / 2) / 4, "chance", (1 + 1 / 2 + 1 / 3) / 3),
    }
    assert list(figures) == [key for name, (_, base, _) in want.items() for key in (name, f"{name}/{base}")]
    for name, (value, base, reference) in want.items():
        assert figures[name] == pytest.approx(value), name
        assert figures[f"{name}/{base}"] == pytest.approx(reference), name


def test_tags_without_a_picture_are_left_out_and_counted():
    truth = TRUTH.copy()
    truth[:, 2] = False
    figures = tagging.both_ways(SCORES, truth, truth.mean(0))
    assert (figures["pictures_tags"], figures["pictures_tags/all"]) == (3, 4)
    assert figures["pictures_map"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert figures["tags_p@5"] == pytest.approx((2 / 5 + 1 / 5) / 2)  # of a list of four


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_model_that_says_nothing_finds_nothing(value):
    figures = tagging.both_ways(np.full((3, 4), value), TRUTH, np.ones(4), ks=(1,))
    assert figures["tags_p@1"] == 0
    assert figures["tags_map"] == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert figures["pictures_p@1"] == 0
    assert figures["pictures_map"] == pytest.approx(1 / 3)


def test_nan_is_wrong_on_both_sides():
    hits = tagging.ordered(np.array([[np.nan, 0.5, np.nan, 0.1]]), np.array([[True, True, False, False]]))
    np.testing.assert_array_equal(hits, [[False, True, False, True]])


def test_against_loops(rng):
    scores, truth = rng.integers(0, 6, (40, 9)) / 6, rng.random((40, 9)) < 0.3
    hits = tagging.ordered(scores, truth)
    for n in range(40):
        order = sorted(range(9), key=lambda c: (-scores[n, c], truth[n, c]))
        right = [bool(truth[n, c]) for c in order]
        assert hits[n].tolist() == right
        if any(right):
            places = [place for place, hit in enumerate(right, 1) if hit]
            precisions = [sum(right[:place]) / place for place in places]
            assert tagging.average_precision(hits[n : n + 1])[0] == pytest.approx(np.mean(precisions))
            assert tagging.recall_at_k(hits[n : n + 1], 3)[0] == sum(right[:3]) / sum(right)
        assert tagging.precision_at_k(hits[n : n + 1], 3)[0] == sum(right[:3]) / 3


def test_average_precision_is_scikit_learns(rng):
    learn = pytest.importorskip("sklearn.metrics")
    scores, truth = rng.random((60, 7)), rng.random((60, 7)) < 0.4
    truth[0] = truth[:, 0] = True
    figures = tagging.both_ways(scores, truth, truth.mean(0))
    some = truth.any(1)
    want = [learn.average_precision_score(t, s) for t, s in zip(truth[some], scores[some])]
    assert figures["tags_map"] == pytest.approx(np.mean(want))
    want = [learn.average_precision_score(t, s) for t, s in zip(truth.T, scores.T)]
    assert figures["pictures_map"] == pytest.approx(np.mean(want))


@pytest.mark.parametrize("length", [1, 2, 5])
def test_chance_is_the_mean_over_all_orders(length):
    for right in range(1, length + 1):
        orders = {tuple(order) for order in itertools.permutations([True] * right + [False] * (length - right))}
        want = np.mean(tagging.average_precision(np.array(sorted(orders))))
        assert tagging.chance_average_precision(length, np.array([right]))[0] == pytest.approx(want)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 4\), the truth \(2, 4\)"):
        tagging.both_ways(SCORES, TRUTH[:2], np.ones(4))
    with pytest.raises(ValueError, match="there are 4 tags"):
        tagging.both_ways(SCORES, TRUTH, np.ones(3))
    with pytest.raises(ValueError, match="no picture has a tag"):
        tagging.both_ways(SCORES, np.zeros_like(TRUTH), np.ones(4))
