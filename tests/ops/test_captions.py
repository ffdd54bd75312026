"""Captions as tokens: every one is drawn, and equal sentences have equal numbers."""

import itertools

import jax
import numpy as np

from mmjax import vocabulary
from mmjax.ops import captions

B, C, T = 8, 3, 6


def test_draws_every_caption_that_is_there_and_no_other(rng):
    length = rng.integers(2, T + 1, (B, C)).astype(np.int32)
    length[0, 1:] = 0
    several = np.where(np.arange(T) < length[..., None], rng.integers(4, 99, (B, C, T)), 0).astype(np.int32)
    seen = {row: set() for row in range(B)}
    for seed in range(60):
        tokens, own = captions.drawn(several, length, jax.random.key(seed))
        for row in range(B):
            found = [c for c in range(C) if (several[row, c] == tokens[row]).all()]
            assert int(own[row]) in length[row, found]
            seen[row].update(found)
    assert seen[0] == {0}  # it has one caption
    assert all(seen[row] == set(range(C)) for row in range(1, B))


def test_equal_sentences_and_no_others_have_the_same_number():
    words = [0, 1, 2, 4, 5, 6]  # all but <unk>
    tokens = np.array(list(itertools.product(words, repeat=5)), np.int32)
    numbers = np.asarray(captions.number_of(tokens, np.arange(len(tokens))))
    assert len(set(numbers.tolist())) == len(tokens)
    assert (numbers >= 0).all()
    other = np.asarray(captions.number_of(tokens[:7].reshape(7, 1, 5), np.full((1, 1), 3)))
    assert (other[:, 0] == numbers[:7]).all()


def test_sentences_with_an_unknown_word_match_no_other():
    tokens = np.array([[4, vocabulary.UNK, 2], [4, vocabulary.UNK, 2], [4, 5, 2], [4, 5, 2]], np.int32)
    one, two, three, four = np.asarray(captions.number_of(tokens, np.arange(4))).tolist()
    assert one != two
    assert three == four
