"""What is typed becomes the value that an option takes, in the notations that people use."""

import pytest

from mmjax import typed
from mmjax.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("image,caption", ("image", "caption")),
        ("image", ("image",)),
        ("", ()),
        ("()", ()),
        ("(1,1)", (1, 1)),
        ("1,2", (1, 2)),
        ("0.5", (0.5,)),
        ("('a','b')", ("a", "b")),
        ("['a']", ("a",)),
        ("('red, blue',)", ("red, blue",)),
        ("(image, caption)", ("image", "caption")),
        ("a,", ("a",)),
        ("'a'", ("a",)),
        ("/data/r.txt", ("/data/r.txt",)),
        ("a photo of a {}.", ("a photo of a {}.",)),
        ("(('a', 'b'),)", (("a", "b"),)),
        ("{'a': 1}", {"a": 1}),
    ],
)
def test_several_values(text, value):
    assert typed.several(text) == value


def test_words_that_look_like_numbers():
    assert typed.several("1984,red", words=True) == ("1984", "red")
    assert typed.several("1984", words=True) == ("1984",)
    assert typed.several("(1984,)", words=True) == (1984,)  # as Python is written, so it is meant


@pytest.mark.parametrize("text", ["('a',b)", "'a b', c", "(a"])
def test_brackets_and_quotes_that_do_not_match(text):
    with pytest.raises(UserError, match=r"write red,blue or \('red','blue'\)"):
        typed.several(text)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        *((text, bool, False) for text in ("false", "False", "no", "off", "0")),
        *((text, bool, True) for text in ("true", "True", "yes", "on", "1")),
        ("1_000", int, 1000),
        ("-3", int, -3),
        ("0", int, 0),
        ("1", float, 1.0),
        ("inf", float, float("inf")),
        ("2014", str, "2014"),
        ("", str, ""),
        ("false", None, False),
        ("2", None, 2),
        ("no", None, "no"),
    ],
)
def test_one_value(text, kind, value):
    found = typed.value(text, kind)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [("maybe", bool, "true or false"), ("1.5", int, "type int"), ("many", float, "type float"), ("5", dict, "section")],
)
def test_no_such_value(text, kind, said):
    with pytest.raises(UserError, match=said):
        typed.value(text, kind)
