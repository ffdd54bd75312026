"""What a user types to be spoken: names, numbers, letters, and refusals."""

import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.text import symbols


def test_names_numbers_and_letters():
    spelled = np.array([b"_", b"ee", b"sh"]).view(np.uint8).reshape(3, 2)
    names = symbols.names(spelled)
    assert names == ("_", "ee", "sh")
    assert symbols.numbers(" sh ee  _ 2", names, 3) == [2, 1, 0, 2]
    assert symbols.names(np.zeros((3, 1), np.uint8)) == ()
    assert symbols.numbers("2 0", (), 3) == [2, 0]
    assert symbols.numbers("Ab a", ("a", "b", " "), 3) == [0, 1, 2, 0]
    assert symbols.numbers("aA", ("a", "A"), 2) == [0, 1]


@pytest.mark.parametrize(
    ("text", "names", "words"),
    [("shh", ("_", "ee"), "'shh' is no symbol.*: _ ee"), ("3", (), "0 to 2"), ("a-b", ("a", "b", " "), "'-' is no")],
)
def test_what_is_no_symbol_is_named(text, names, words):
    with pytest.raises(UserError, match=words):
        symbols.numbers(text, names, 3)
