"""What a user types: tokens as the data spells them, what is said of it, and classes by name or number."""

import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.text import asking, vocabulary

WORDS = vocabulary.spell([*vocabulary.SPECIAL, "a", "red", "blue", "bell", "drum", "above"])


def test_a_sentence_is_spelled_as_the_data_spells_it():
    tokens, notes = asking.sentence("A red bell.", WORDS, length=6)
    np.testing.assert_array_equal(tokens, [4, 5, 7, vocabulary.END, 0, 0])
    assert tokens.dtype == np.int32
    assert notes == ()
    tokens, _ = asking.sentence("red", WORDS, length=4, align="right")
    np.testing.assert_array_equal(tokens, [0, 0, 5, vocabulary.END])


def test_unknown_words_are_named_and_long_sentences_cut():
    tokens, notes = asking.sentence("a purple belle", WORDS, length=6)
    assert notes == ("not in the vocabulary: 'purple', 'belle' (did you mean bell?)",)
    np.testing.assert_array_equal(tokens, [4, vocabulary.UNK, vocabulary.UNK, vocabulary.END, 0, 0])
    tokens, notes = asking.sentence("a red bell above a blue drum", WORDS, length=4)
    assert notes == ("the network reads 3 tokens: the last 4 of 7 are cut off",)
    np.testing.assert_array_equal(tokens, [4, 5, 7, vocabulary.END])
    with pytest.raises(UserError, match="'purple belle': no word of it is in the vocabulary"):
        asking.sentence("purple belle", WORDS)
    with pytest.raises(UserError, match=r"\(it has none\)"):
        asking.sentence("...", WORDS)


def test_a_class_by_its_name_or_number():
    names = ("Bell", "dog", "drum kit")
    assert asking.class_of("DRUM kit", names) == 2
    assert asking.class_of(" 1", names) == 1
    assert asking.class_of("CAFE\u0301", ("tea", "café")) == 1
    assert asking.class_of("2", (), 3) == 2
    with pytest.raises(UserError, match=r"it has numbers, 0 to 2$"):
        asking.class_of("bell", (), 3)
    with pytest.raises(UserError, match=r"'dgo' is no class of this run; it has dog$"):
        asking.class_of("dgo", names)
    with pytest.raises(UserError, match=r"it has Bell, dog, drum kit$"):
        asking.class_of("zzz", names)
    with pytest.raises(UserError, match=r"it has 0, 1, .*, 11, \.\.\.$"):
        asking.class_of("zzz", tuple(str(n) for n in range(20)))
