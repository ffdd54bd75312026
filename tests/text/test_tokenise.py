"""Tokens by hand, as Stanford's PTBTokenizer and the VQA code cut them."""

import pytest

from mmjax.text import tokenise


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A man's dog doesn't like red T-shirts.", "a man 's dog does n't like red t-shirts"),
        ("I can't, won't; they've -- well... cannot gonna", "i ca n't wo n't they 've well can not gon na"),
        ("\"Hello\" she said: 'stop' (now)!", "hello she said stop -lrb- now -rrb-"),
        ("black/white and/or 1/2 1,000 people, $5 50% #1", "black/white and/or 1/2 1,000 people $ 5 50 % # 1"),
        ("Mr. Smith of the U.S. at 10:30 a.m. and 9:00am.", "mr. smith of the u.s. at 10:30 a.m. and 9:00 am"),
        ("the dogs' bed, 1990s 60's 5' o'clock ma'am", "the dogs bed 1990s 60 's 5 o'clock ma'am"),
        ("“curly” ‘quotes’ don’t … a–b", "curly quotes do n't a b"),
        ("café naïve grün 日本", "café naïve grün 日本"),
        ("a cat sits in. wow!! what?!", "a cat sits in wow !! what ?!"),
        ("a\tcat\n\x00sits", "a cat sits"),
        ("...", ""),
        ("", ""),
    ],
)
def test_captions(text, words):
    assert tokenise.caption(text) == words.split()


def test_questions_keep_their_signs():
    found = tokenise.question("Is the dog's T-shirt red/blue?\n")
    assert found == ["is", "the", "dog", "'", "s", "t", "-", "shirt", "red", "/", "blue", "?"]
    assert tokenise.question("  ") == []


def test_answers_are_compared_in_one_form():
    assert tokenise.answer(" Yes,\n it  IS ") == "yes, it is"
