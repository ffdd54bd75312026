"""Transcripts: through a lexicon, or letters as they stand, spaces and letters of several bytes among them."""

import jax
import numpy as np

from mmjax.data import spec
from mmjax.decode import transcript
from mmjax.text import vocabulary


def scores(*rows, units):
    """Log-probabilities whose greedy path is each row, a blank (-1) between equal units; [b t units + 1]."""
    out = np.full((len(rows), max(map(len, rows)), units + 1), -9.0, np.float32)
    for one, row in zip(out, rows):
        one[np.arange(len(row)), [unit % (units + 1) for unit in row]] = 0.0
    return out, np.array([len(row) for row in rows], np.int32)


def texts(rows):
    rows = np.ascontiguousarray(rows)
    return [vocabulary.join(row) for row in rows.view(f"S{rows.shape[-1]}")[..., 0]]


def test_letters_are_written_with_their_spaces():
    known = {"units_names": spec.spelt((" ", "l", "o", "ď", "-"))}
    assert known["units_names"].shape[1] == 2
    found = jax.jit(transcript.of)(known, *scores([1, 2, -1, 3, 0, 0, 2, -1, 2], [2, -1], [-1], [0, 1, 0], units=5))
    assert texts(found) == ["loď oo", "o", "", "l"]


def test_a_letter_of_three_bytes_and_none_but_english():
    for letters, text in (("✓ ", "✓ ✓"), ("a ", "a a")):
        found = transcript.of({"units_names": spec.spelt(letters)}, *scores([0, 1, 0], units=2))
        assert texts(found) == [text]


def test_words_of_a_lexicon():
    known = {
        "units_names": spec.spelt(("p", "a", "b")),
        "lexicon_names": spec.spelt(("", "ba", "bab")),
        "lexicon_units": np.array([[0, -1, -1], [2, 1, -1], [2, 1, 2]], np.int32),
    }
    found = jax.jit(transcript.of)(known, *scores([2, 1, 0, 2, 1, 2], units=3))
    assert texts(found) == ["ba bab"]


def test_names_of_numbers():
    rows = transcript.spelled(spec.spelt(("ab", "c")), np.array([[1, 0, -1]]))
    assert np.asarray(rows).tolist() == [[[99, 0], [97, 98], [0, 0]]]
