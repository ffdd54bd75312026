"""Captions as tokens: every one is drawn, and equal sentences have equal numbers."""

import itertools

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.ops import captions
from mmjax.text import vocabulary

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


def test_a_foil_is_wrong_in_one_group_of_words():
    # 10 rings and 11 booms go with 4 bell and 5 drum; 6, 7, 8 are colours; the vocabulary lacks a third colour, -1
    exchange = [jnp.int32([[4, 5], [10, 11]]), jnp.int32([[6, 7, 8, -1]])]
    tokens = jnp.int32([[6, 4, 10, 2], [9, 4, 10, 2], [8, 9, 2, 0], [9, 9, 2, 0]])
    seen = [set() for _ in tokens]
    for key in jax.random.split(jax.random.key(0), 60):
        found, wrong = captions.foiled(tokens, exchange, key)
        for k, row in enumerate(np.asarray(found)):
            seen[k].add(tuple(int(x) for x in row) if wrong[k] else None)
    assert seen[0] - {None} == {(6, 5, 11, 2), (7, 4, 10, 2), (8, 4, 10, 2)}  # noun and verb together, or the colour
    assert seen[1] == {(9, 5, 11, 2)}
    assert seen[2] - {None} == {(6, 9, 2, 0), (7, 9, 2, 0)}
    assert seen[3] == {None}  # nothing to exchange
    np.testing.assert_array_equal(found[3], tokens[3])


def test_foils_of_words_never_seen_together_are_known():
    words = jnp.int32([4, 5, 6, 7, -1])  # the vocabulary lacks one
    known = captions.together(jnp.int32([[4, 6, 9], [5, 7, 0], [8, 5, 6]]), words)
    want = np.eye(5)
    want[4, 4] = 0
    for a, b in ((0, 2), (1, 3), (1, 2)):
        want[a, b] = want[b, a] = 1
    np.testing.assert_array_equal(known, want)
    tokens = jnp.int32([[[4, 6, 9], [4, 7, 9]], [[7, 5, 0], [4, 9, 9]], [[9, 9, 9], [6, 7, 0]]])
    found = captions.all_known(tokens, words, known)
    np.testing.assert_array_equal(found, [[True, False], [True, True], [True, False]])
