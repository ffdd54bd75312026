"""Words from scores of units: against every path there is, ends of rows, and what greedy decoding keeps."""

import itertools

import jax
import numpy as np

from mmjax.decode import lexicon

LEXICON = np.array([[0, -1, -1], [0, 1, -1], [1, 1, 2], [2, -1, -1]], np.int32)
BLANK = 3


def likeliest(log_probs, words):
    """(score, words) of the best path through any sequence of words, by trying all paths and all sequences."""
    time, best = len(log_probs), {}
    for path in itertools.product(range(BLANK + 1), repeat=time):
        units = tuple(unit for unit, _ in itertools.groupby(path) if unit != BLANK)
        best[units] = max(best.get(units, -np.inf), sum(log_probs[range(time), path]) if time else 0.0)
    spoken = [tuple(row[row >= 0]) for row in words]
    sequences = (s for n in range(time + 1) for s in itertools.product(range(len(words)), repeat=n))
    scored = ((best.get(sum((spoken[w] for w in s), ()), -np.inf) - len(s) * np.log(len(words)), s) for s in sequences)
    return max(scored, key=lambda pair: pair[0])


def test_the_likeliest_words_are_those_of_all_paths(rng):
    log_probs = np.log(rng.dirichlet(np.full(BLANK + 1, 0.4), (12, 6))).astype(np.float32)
    steps = np.array([6, 6, 6, 6, 6, 6, 5, 4, 3, 2, 1, 0], np.int32)
    said = jax.jit(lexicon.words)(log_probs, steps, LEXICON)
    found = [tuple(row[row >= 0].tolist()) for row in np.asarray(said.words)]
    for row, count, words, score, length in zip(log_probs, steps, found, said.score, said.length):
        wanted, sequence = likeliest(row[:count], LEXICON)
        assert (words, length) == (sequence, len(sequence))
        np.testing.assert_allclose(score, wanted, atol=1e-5)
    assert len({len(words) for words in found}) > 2


def certain(units, count=5):
    """Scores [t v] of a recogniser that is sure of each unit, -1 for a blank."""
    return np.log(np.eye(count, dtype=np.float32)[np.array(units) % count] + 1e-9)


def test_a_unit_twice_in_a_row_needs_a_blank_between_within_a_word_and_between_words():
    words = np.array([[0, 1], [1, 1], [1, -1]], np.int32)
    run = jax.jit(lexicon.words, static_argnames="most")

    def heard(units, words, **more):  # padded, so that all of one vocabulary are one program
        return run(certain((*units, *[-1] * (6 - len(units))))[None], np.array([len(units)]), words, **more)

    for units, wanted in (((0, 1, 1), [0]), ((1, -1, 1), [1]), ((0, 1, -1, 1), [0, 2]), ((-1, -1), [])):
        said = heard(units, words)
        assert said.words[0][: len(wanted) + 1].tolist() == [*wanted, -1], units
    for spoken, with_blank, without in (
        ([[1, 1]], (1, -1, 1), (1, 1)),
        ([[0, 1], [1, 2]], (0, 1, -1, 1, 2), (0, 1, 1, 2)),
    ):
        sure, unsure = (heard(units, np.array(spoken, np.int32)) for units in (with_blank, without))
        assert (sure.length, sure.score > -2, unsure.score < -15) == (len(spoken), True, True), spoken
    said = heard((0, 1, 0, 1, 0, 1), words, most=2)
    assert said.words.tolist() == [[0, 0]]  # of three words the last two


def test_greedy_keeps_one_of_each_run_and_no_blank():
    units = [2, 2, -1, 2, 0, 0, -1, 1]
    found, length = lexicon.greedy(certain(units)[None].repeat(2, 0), np.array([8, 5], np.int32))
    assert found.tolist() == [[2, 2, 0, 1, -1, -1, -1, -1], [2, 2, 0, -1, -1, -1, -1, -1]]
    assert length.tolist() == [4, 3]
