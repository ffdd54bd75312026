"""Vocabularies spelled as arrays, and texts there and back."""

import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.text import vocabulary

WORDS = [*vocabulary.SPECIAL, "a", "café", "dog", "'s"]


def test_spelling_by_hand_and_back():
    spelled = vocabulary.spell(["a", "é!"])
    np.testing.assert_array_equal(spelled, np.array([[97, 0, 0], [0xC3, 0xA9, 33]], np.uint8))
    assert vocabulary.words_of(spelled) == ["a", "é!"]
    assert vocabulary.words_of(vocabulary.spell(WORDS)[::2]) == WORDS[::2]  # of a view that is not contiguous
    for bad in ("", "a\0b"):
        with pytest.raises(UserError, match="cannot hold the word"):
            vocabulary.spell(["a", bad])


@pytest.mark.parametrize("spelled", [False, True])
def test_words_there_and_back(spelled):
    known = vocabulary.spell(WORDS) if spelled else WORDS
    ids, unknown = vocabulary.encode("A dog's CAFÉ, a zebra and a zebra.", known)
    np.testing.assert_array_equal(ids, [4, 6, 7, 5, 4, 3, 3, 4, 3])
    assert ids.dtype == np.int32
    assert unknown == ["zebra", "and"]
    assert vocabulary.decode([1, 4, 6, 7, 3, 2, 5, 0], known) == "a dog 's <unk>"
    assert vocabulary.decode([0, 0, 4], known) == "a"
    assert vocabulary.encode("", known)[0].shape == (0,)


def test_predictions_join_as_their_numbers_would():
    spelled = vocabulary.spell(WORDS)
    ids = np.array([[4, 6, 2, 4, 0], [1, 5, 3, 0, 0]])
    rows = spelled[ids].view(f"S{spelled.shape[1]}")[..., 0]  # as a prediction "text/..." reaches `score`
    assert [vocabulary.join(row) for row in rows] == ["a dog", "café <unk>"]


def test_characters_and_bytes():
    letters = [*vocabulary.SPECIAL, vocabulary.SPACE, "a", "b", "é"]
    ids, unknown = vocabulary.encode("A éb c", letters)
    np.testing.assert_array_equal(ids, [4, 5, 4, 7, 6, 4, 3])
    assert unknown == ["c"]
    assert vocabulary.decode([4, 5, 4, 7, 6, 2], letters) == "a éb"
    raw = [*vocabulary.SPECIAL, *vocabulary.BYTES]
    ids, unknown = vocabulary.encode("Café", raw)
    np.testing.assert_array_equal(ids, np.frombuffer("café".encode(), np.uint8) + 4)
    assert vocabulary.decode(ids, raw) == "café"
    assert not unknown
