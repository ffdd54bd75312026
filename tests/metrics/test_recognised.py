"""Errors of what was understood, by hand and against the plain recursion."""

import functools

import numpy as np

from mmjax.metrics import recognised


def test_distances_are_those_of_the_recursion(rng):
    @functools.cache
    def plain(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(plain(a[1:], b) + 1, plain(a, b[1:]) + 1, plain(a[1:], b[1:]) + (a[0] != b[0]))

    for _ in range(40):
        a, b = (tuple(rng.integers(0, 3, rng.integers(0, 7)).tolist()) for _ in range(2))
        assert recognised.distance(a, b) == plain(a, b)


def test_error_rates_by_hand():
    wanted = [["a", "red", "bell"], ["the", "dog"], ["a", "car"]]
    said = [["a", "bell"], ["the", "the", "dog"], ["a", "cat"]]
    found = recognised.figures("word_error", said, wanted)
    assert found["word_error"] == 3 / 7  # one is missing, one is too many, one is another
    assert found["word_error/silence"] == 1
    assert found["word_error/another_sentence"] == (2 + 3 + 2) / 7
    assert np.isnan(recognised.error_rate([["a"]], [[]]))


def test_another_sentence_is_another_one_where_several_voices_say_the_same():
    wanted = [["a", "car"], ["a", "car"], ["the", "dog"], ["the", "dog"], ["the", "dog"]]
    found = recognised.figures("word_error", wanted, wanted)
    assert found["word_error/another_sentence"] == 1
    assert recognised.others(wanted) == [4, 4, 1, 1, 1]
    for same in (wanted[:2], wanted[:1], []):  # there is no other
        assert set(recognised.figures("word_error", same, same)) == {"word_error", "word_error/silence"}


def test_words_are_those_that_are_heard():
    assert recognised.words(["Under water, a red bell.", ""]) == [["under", "water", "a", "red", "bell"], []]
