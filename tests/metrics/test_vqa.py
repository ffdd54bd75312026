"""The VQA challenge's accuracy: hand-worked values, its spelling quirk by quirk, and a second statement of it."""

import re

import numpy as np
import pytest

from mmjax.metrics import vqa


@pytest.mark.parametrize(("matching", "worth"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_ten_people(matching, worth):
    people = ["red"] * matching + [f"other{i}" for i in range(10 - matching)]
    assert vqa.accuracy("red", people) == pytest.approx(worth)


def test_a_single_answer_is_a_key():
    assert vqa.accuracy("red", ["red"]) == 1.0
    assert vqa.accuracy("red", ["blue"]) == 0.0


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("red/blue", "red blue"),  # between letters a mark leaves a space
        ("red / blue", "red  blue"),  # beside a space it leaves nothing
        ("1,000 e-mails", "1000 emails"),  # one number with a comma decides for every mark
        ("e-mail", "e mail"),
        ("it's 5:30", "it's 5:30"),  # these two are no marks
        ("1.5", "1.5"),
        ("st. john's", "st john's"),
        ("7.", "7"),
        ("." * 40, "." * 8),  # at most 32 periods go
    ],
)
def test_punctuation(text, stripped):
    assert vqa.strip_marks(text) == stripped


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("The two dogs", "2 dogs"),
        ("None of an apple", "0 of apple"),
        ("eleven", "eleven"),
        ("ISNT", "isn't"),
        ("hed've he'dve", "he'd've he'd've"),
        ("'ow'sat ow's'at", "'ow's'at 'ow's'at"),
        ("somebody'd", "somebodyd"),  # the official table has it the wrong way round
        ("lets", "lets"),  # and this one is not in it
        ("Im", "im"),  # there under a capital, which is never met
    ],
)
def test_spelling(text, spelt):
    assert vqa.spell(text) == spelt


def test_contractions_are_the_114_that_can_be_met():
    assert len(vqa.SPELLINGS) == 114
    assert all(key == key.lower() and key != right for key, right in vqa.SPELLINGS.items())


def test_nothing_is_spelt_where_all_agree():
    assert vqa.accuracy("two", ["two"] * 10) == 1.0
    assert vqa.accuracy("2", ["two"] * 10) == 0.0
    assert vqa.accuracy("2", ["two"] * 9 + ["three"]) == 1.0
    assert vqa.accuracy(" two\n", ["two"] * 10) == 1.0
    assert vqa.accuracy(" two", ["two"] * 10, "none") == 0.0


def test_the_first_version_changes_answers_and_not_people():
    people = ["two"] * 9 + ["three"]
    assert vqa.accuracy("two", people, "official_2015") == 0.0  # "2" against "two"
    assert vqa.accuracy("red", ["red!"] * 9 + ["blue"], "official_2015") == 0.0  # "red " against "red"
    assert vqa.accuracy("red", ["red !"] * 9 + ["blue"], "official_2015") == 0.0
    assert vqa.accuracy("t shirt", ["t-shirt"] * 9 + ["blue"], "official_2015") == 1.0
    assert vqa.accuracy("t shirt", ["t-shirt"] * 10, "official_2015") == 0.0
    with pytest.raises(ValueError, match="official_2015"):
        vqa.accuracy("a", ["a"], "strict")


def restated(answer, people):
    """The same metric, written letter by letter from what the official script does."""

    def clean(text):
        keep, between = [], bool(re.search("[0-9],[0-9]", text))
        near = {m for m in '/;[]"{}()=+\\_-><@`,?!' if m + " " in text or " " + m in text}
        for letter in text:
            if letter in '/;[]"{}()=+\\_-><@`,?!':
                keep.append("" if between or letter in near else " ")
            else:
                keep.append(letter)
        text, out, gone = "".join(keep), "", 0
        for i, letter in enumerate(text):
            follows = text[i + 1 : i + 2]
            if letter == "." and not follows.isdigit() and gone < 32:
                gone += 1
            else:
                out += letter
        numbers = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
        words = []
        for word in out.lower().split():
            word = "0" if word == "none" else str(numbers.index(word)) if word in numbers else word
            words += [] if word in ("a", "an", "the") else [word]
        return " ".join({"dont": "don't", "whats": "what's"}.get(word, word) for word in words)

    if any(other != people[0] for other in people):
        answer, people = clean(answer), [clean(other) for other in people]
    worth = []
    for left_out in range(10):
        nine = people[:left_out] + people[left_out + 1 :]
        worth.append(min(1, nine.count(answer) / 3))
    return sum(worth) / 10


def test_equal_to_an_independent_statement(rng):
    pool = ["two", "2", "2.", "the dog", "dog", "a dog.", "dont know", "don't know", "t-shirt", "t shirt", "tshirt"]
    pool += ["1,000", "1000", "red, blue", "red blue", "red/blue", "none", "0", "Yes", "yes", "yes!", "whats up"]
    answers, people = [], []
    for _ in range(400):
        some = [pool[i] for i in rng.integers(len(pool), size=3)]
        people.append([some[i] for i in rng.integers(3, size=10)])
        answers.append(some[0])
    ours = vqa.accuracies(answers, people)
    theirs = [restated(answer, others) for answer, others in zip(answers, people)]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert len(set(np.round(ours, 3))) >= 5


def spelled(*words):
    return np.array([word.encode() for word in words])


def test_score_by_hand():
    predictions = {
        "text/answer": np.stack([spelled("yes", "red", "red", "2"), spelled("no", "blue", "x", "3")], 1),
        "text/question_only": spelled("yes", "blue", "blue", "3"),
        "text/another_picture": spelled("yes", "blue", "red", "3"),
        "text/another_question": spelled("red", "yes", "yes", "yes"),
    }
    references = {
        "answer": np.array(["Yes", "red", "blue", "2"], object),
        "question_type": np.array(["yes/no", "colour", "colour", "count"], object),
    }
    figures = vqa.score(predictions, references, annotators="one", rules="official", types=True)
    assert figures["accuracy"] == 0.75
    assert figures["accuracy/question_only"] == 0.5
    assert figures["accuracy_colour"] == 0.5
    assert figures["accuracy_colour/question_only"] == 0.5
    assert figures["accuracy_yes_no"] == 1.0
    assert figures["perceptual_image"] == pytest.approx((0.75 - 0.25) / 0.75)
    assert figures["perceptual_question"] == 1.0
    kinds = vqa.score(predictions, references, annotators="one", rules="none", types=False)
    assert kinds["accuracy_number"] == 1.0
    assert kinds["accuracy_other"] == 0.5


@pytest.mark.parametrize(("annotators", "name"), [("one", "accuracy"), ("ten", "vqa_accuracy")])
def test_an_accent_may_stand_apart_from_its_letter(annotators, name):
    said = ("café", "cafe\u0301")  # as vocabularies hold it today, and held it before
    predictions = {"text/answer": spelled(*said)[:, None]}
    predictions |= {f"text/{other}": spelled(*said) for other in ("another_picture", "another_question")}
    people = np.empty(2, object)
    people[:] = [["cafe\u0301"] * 10, ["café"] * 10]
    references = {"answers": people, "answer": np.array([several[0] for several in people], object)}
    assert vqa.score(predictions, references, annotators=annotators, rules="official", types=False)[name] == 1


def test_score_with_ten_annotators():
    predictions = {
        "text/answer": spelled("two", "red")[:, None],
        "text/another_picture": spelled("two", "blue"),
        "text/another_question": spelled("one", "blue"),
    }
    people = np.empty(2, object)
    people[:] = [["2"] * 2 + ["three"] * 8, ["red"] * 10]
    references = {"answers": people, "question_type": np.array(["number", "other"], object)}
    figures = vqa.score(predictions, references, annotators="ten", rules="official", types=True)
    assert figures["vqa_accuracy"] == pytest.approx((0.6 + 1.0) / 2)
    assert figures["vqa_accuracy_number"] == pytest.approx(0.6)
    assert figures["perceptual_image"] == pytest.approx((0.8 - 0.3) / 0.8)
