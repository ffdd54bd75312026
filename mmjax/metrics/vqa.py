"""Accuracy of answers against those of ten people, as the VQA challenge computes it, on the host.

Antol et al. 2015, section 4: an answer is worth min(1, n / 3), where n of nine people gave it; the mean is over the
ten choices of nine. So 0, 1, 2, 3 and 4 or more of ten matching people give 0, .3, .6, .9 and 1.

Before answers are compared, the official script changes their spelling (GT-Vision-Lab/VQA: vqaEval.py), with quirks
that any figure has to share which shall stand beside published ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mmjax.errors import OptionError
from mmjax.text import tokenise

RULES = ("official", "official_2015", "none")
ANNOTATORS = ("one", "ten")
# What says the same with less, where it is predicted: the suffixes of the figures that stand beside the network's.
BESIDE = (
    "question_only",
    "image_only",
    "most_frequent",
    "most_frequent_of_type",
    "another_picture",
    "another_question",
)

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS)}}
_ARTICLES = frozenset(("a", "an", "the"))
_MARKS = ';/[]"{}()=+\\_-><@`,?!'  # ":", "'" and "." are not among them
_PERIOD = re.compile(r"\.(?!\d)")  # the script's look-behind is misspelt and always true: "7." loses its period
_PERIODS = 32  # the script passes re.UNICODE (32) where re.sub takes the greatest number of replacements
_THOUSANDS = re.compile(r"\d,\d")
# Words that are spelt without one of their apostrophes get it back.
_CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _spellings() -> dict[str, str]:
    """{"hed've": "he'd've", "he'dve": "he'd've", ...}."""
    table = {}
    for right in _CONTRACTIONS.split():
        for at in (match.start() for match in re.finditer("'", right)):
            table[right[:at] + right[at + 1 :]] = right
    # In the official table this one stands the wrong way round.
    return table | {"somebody'd": "somebodyd"}


SPELLINGS: dict[str, str] = _spellings()


def strip_marks(text: str) -> str:
    """Punctuation removed: without a trace beside a space or where a number has a comma, else leaving a space.

    Whether a mark stands beside a space is asked of the text as it was given, and one number with a comma decides for
    all marks of the text.
    """
    out, thousands = text, _THOUSANDS.search(text) is not None
    for mark in _MARKS:
        beside = f"{mark} " in text or f" {mark}" in text
        out = out.replace(mark, "" if beside or thousands else " ")
    return _PERIOD.sub("", out, count=_PERIODS)


def spell(text: str) -> str:
    """Lower case, numbers to ten as digits ("none" as 0), no articles, apostrophes back in contractions."""
    words = [_DIGITS.get(word, word) for word in text.lower().split()]
    return " ".join(SPELLINGS.get(word, word) for word in words if word not in _ARTICLES)


def tidy(text: str) -> str:
    """Newlines and tabs as spaces, none at the ends."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def normalise(answer: str, people: Sequence[str], rules: str = "official") -> tuple[str, list[str]]:
    """An answer and those of the people it is compared with, spelt alike.

    Args:
      answer: the network's.
      people: the annotators'.
      rules: "official": the challenge's script, which changes nothing where all people agree; "official_2015": its
        first version, in which the network's answer is always changed and the people's only lose punctuation, and
        that only where they do not agree; "none".

    Raises:
      ValueError: unknown rules.
    """
    if rules not in RULES:
        raise ValueError(f"rules {rules!r} are unknown: choose one of {', '.join(RULES)}")
    if rules == "none":
        return answer, list(people)
    if rules == "official_2015":
        differ = len(set(people)) > 1
        return spell(strip_marks(tidy(answer))), [strip_marks(other) if differ else other for other in people]
    answer, people = tidy(answer), [tidy(other) for other in people]
    if len(set(people)) > 1:
        answer, people = spell(strip_marks(answer)), [spell(strip_marks(other)) for other in people]
    return answer, people


def accuracy(answer: str, people: Sequence[str], rules: str = "official") -> float:
    """What an answer is worth, in [0, 1]: the mean over the people of min(1, matches among the others / 3).

    Args:
      answer: the network's.
      people: the annotators', usually ten. A single one counts as a key: 1 where it matches, else 0.
      rules: see `normalise`.
    """
    answer, people = normalise(answer, people, rules)
    matches = [other == answer for other in people]
    if len(matches) < 2:
        return float(any(matches))
    return float(np.mean([min(1.0, (sum(matches) - own) / 3) for own in matches]))


def accuracies(
    answers: Sequence[str], people: Sequence[Sequence[str]], rules: str = "official"
) -> Float[np.ndarray, " n"]:
    """`accuracy` of each answer."""
    known: dict[tuple, float] = {}  # few different answers meet few different lists: spelling them is the whole cost
    values = np.empty(len(answers))
    for i, (answer, others) in enumerate(zip(answers, people, strict=True)):
        key = (answer, *others)
        if key not in known:
            known[key] = accuracy(answer, others, rules)
        values[i] = known[key]
    return values


def check(annotators: str, rules: str, types: bool) -> None:
    """Raises OptionError for a wrong option of `score`."""
    del types
    for option, value, choices in (("annotators", annotators, ANNOTATORS), ("rules", rules, RULES)):
        if value not in choices:
            raise OptionError(option, f"{value!r} is unknown: choose {', '.join(choices)}")


def score(
    predictions: Mapping[str, Any], references: Mapping[str, Any], *, annotators: str, rules: str, types: bool
) -> dict[str, float]:
    """Accuracy against what people answered, overall and by type of question, and the perceptual scores.

    With ten annotators the figure is the challenge's, under its rules of spelling; with one it is the share of right
    answers. Where the data set names no types, they are the challenge's kinds of answers. A perceptual score (Gat et
    al. 2021) is the share of the accuracy that is lost when another example's picture, or question, is given.

    Args:
      predictions: "text/answer" [n k], likeliest first; "text/another_picture", "text/another_question" and others of
        BESIDE [n].
      references: "answers" of ten annotators or "answer" of one; "question_type", with `types`.
      annotators: "one" or "ten".
      rules: of spelling, see `normalise`.
      types: whether the data set says what a question asks for.
    """
    spelled = {name: _texts(predictions[f"text/{name}"]) for name in BESIDE if f"text/{name}" in predictions}
    first = _texts(predictions["text/answer"][:, 0])
    if annotators == "ten":
        people = [[tokenise.composed(str(one)) for one in several] for several in references["answers"]]
        name = "vqa_accuracy"
    else:
        people, name, rules = [[tokenise.answer(str(one))] for one in references["answer"]], "accuracy", "none"
    kinds = references["question_type"] if types else [answer_kind(several) for several in people]
    worth = {"": accuracies(first, people, rules)}
    worth |= {f"/{beside}": accuracies(texts, people, rules) for beside, texts in spelled.items()}
    figures = {f"{name}{k}": float(np.mean(values)) for k, values in worth.items()}
    for what in ("image", "question"):
        lost = figures[name] - figures[f"{name}/another_{'picture' if what == 'image' else what}"]
        figures[f"perceptual_{what}"] = lost / figures[name] if figures[name] else 0.0
        figures[f"perceptual_{what}/blind"] = 0.0  # what a network scores that is not given it
    named = np.array([str(kind) for kind in kinds])
    for kind in sorted(set(named)):
        at, safe = named == kind, "".join(c if c.isalnum() else "_" for c in kind)
        figures |= {f"{name}_{safe}{k}": float(np.mean(values[at])) for k, values in worth.items()}
    return figures


def _texts(values: Any) -> list[str]:
    """Strings from UTF-8 letters [n letters], or from what the evaluation made of them [n]."""
    values = np.asarray(values)
    if values.dtype == np.uint8:
        values = np.ascontiguousarray(values).view(f"S{values.shape[-1]}")[..., 0]
    texts = (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values)
    return [tokenise.composed(text) for text in texts]  # answers are known in this form, but for runs from before


def answer_kind(answers: Sequence[str]) -> str:
    """The kind of an answer as the challenge tells them apart, "yes/no", "number" or "other": of the most frequent."""
    most = max(answers, key=list(answers).count)
    if most in ("yes", "no"):
        return "yes/no"
    return "number" if most.replace(".", "").replace(",", "").isdigit() else "other"
