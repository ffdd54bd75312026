"""Tokens by hand, as Stanford's PTBTokenizer and the VQA code cut them."""

import pytest

from mmjax.text import tokenise, vocabulary


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
        ("हिन्दी भाषा, லால் தமிழ்.", "हिन्दी भाषा லால் தமிழ்"),
        ("ภาษาไทย สีแดง", "ภาษาไทย สีแดง"),  # without white space there is one word
        ("שָׁלוֹם עוֹלָם مُحَمَّد می‌خواهم", "שָׁלוֹם עוֹלָם مُحَمَّد می‌خواهم"),
        ("Cafe\u0301 tie\u0302\u0301ng J\u030c co\u00adop", "café tiếng ǰ coop"),  # composed, also after lower-casing
        ("❤️ बच्चों का कुत्ता's 3½ m²", "❤️ बच्चों का कुत्ता 's 3½ m²"),
        ("<start> a red <b> <End>", "< start > a red <b> < end >"),  # of the data, and no marks of ours
        ("a <unk> dog", "a <unk> dog"),  # as a captioner writes it
        ("...", ""),
        ("", ""),
    ],
)
def test_captions(text, words):
    assert tokenise.caption(text) == words.split()


def test_runs_from_before_keep_their_cuts_and_text_without_marks_is_cut_alike(rng):
    assert tokenise.caption("भाषा cafe\u0301 naïve", "letters") == ["भ", "ा", "ष", "ा", "cafe", "\u0301", "naïve"]
    assert tokenise.caption("<start> a", "letters") == ["<start>", "a"]
    assert tokenise.answer("CAFE\u0301", "letters") == "cafe\u0301"
    signs = [*"abcANnt'.-_@#<>/ 12:,&$!\"éß½²日ª", "n't ", "no. ", "cannot ", "www.", "U.S."]
    texts = ["".join(rng.choice(signs, 20)) for _ in range(500)]
    assert [tokenise.caption(text, "letters") for text in texts] == [tokenise.caption(text) for text in texts]


def test_a_letter_and_its_accent_are_one_word_everywhere():
    assert tokenise.question("Un cafe\u0301?") == ["un", "café", "?"]
    assert tokenise.answer("CAFE\u0301") == "café"
    words = [*vocabulary.SPECIAL, "café", "भाषा"]
    assert vocabulary.encode("cafe\u0301 भाषा", words)[0].tolist() == [4, 5]
    assert vocabulary.encode("cafe\u0301 भाषा", words, rules="letters")[0].tolist() == [vocabulary.UNK] * 6


def test_questions_keep_their_signs():
    found = tokenise.question("Is the dog's T-shirt red/blue?\n")
    assert found == ["is", "the", "dog", "'", "s", "t", "-", "shirt", "red", "/", "blue", "?"]
    assert tokenise.question("  ") == []


def test_answers_are_compared_in_one_form():
    assert tokenise.answer(" Yes,\n it  IS ") == "yes, it is"
