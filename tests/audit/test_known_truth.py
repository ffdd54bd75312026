"""The drawn world's bias: what the audit says of the words alone is what the generator makes them tell, exactly."""

import collections

import numpy as np
import pytest

from mmjax.audit import bits
from mmjax.data.sets import sounding_scenes

FIELDS = ("question", "answer", "question_type")
# Type of question: the share that is known; of it the questions that begin so.
KNOWN = {
    "colour": ("colour_from_class", "what colour"),
    "existence": ("existence_from_question", "is there"),
    "count": ("count_from_question", "how many"),
}


def asked(split, bias, examples, seed, shift="keep"):
    """Questions and answers of a split, and its exact shares."""
    source = sounding_scenes.source(split, FIELDS, bias=bias, shift=shift, examples=examples, seed=seed)
    rows = [source[i] for i in range(examples)]
    return [row["question"] for row in rows], [row["answer"] for row in rows], source.constants


def counted(questions, answers):
    """A reader of the words alone: how often each question had each answer, and the commonest answers behind."""
    table = collections.defaultdict(lambda: np.zeros(len(sounding_scenes.ANSWERS)))
    for question, answer in zip(questions, answers, strict=True):
        table[question][sounding_scenes.ANSWERS.index(answer)] += 1
    common = sum(table.values()) / len(questions)

    def logits(asked):
        return np.log(np.stack([table[q] if q in table else 0 * common for q in asked]) + 0.1 * common + 1e-9)

    return logits


@pytest.mark.parametrize("bias", [0.0, 0.5, 1.0])
def test_the_words_alone_are_right_as_often_as_the_generator_makes_them(bias):
    reader = counted(*asked("train", bias, 6000, 0)[:2])
    sides = {}
    for split, examples in (("validation", 500), ("test", 2000)):
        questions, answers, exact = asked(split, bias, examples, 1)
        label = np.array([sounding_scenes.ANSWERS.index(answer) for answer in answers])
        told = reader(questions)
        sides[split] = label, {"": told, "picture": np.zeros_like(told), "words": told}
    kinds = {kind: np.array([q.startswith(begin) for q in questions]) for kind, (_, begin) in KNOWN.items()}
    found = bits.measure(sides["validation"], sides["test"], ("picture", "words"), 19, 0, kinds)
    exact = exact or known_without_a_bias()
    for kind, (name, _) in KNOWN.items():
        span = found["right"]["words"][kind]
        assert span["low"] <= float(exact[name][0]) <= span["high"], kind
        assert span["high"] - span["low"] < 0.12
    assert found["tells"]["picture"]["value"] == pytest.approx(0, abs=1e-9)
    assert [who for who, span in found["tells"].items() if span["low"] > 0.3] == ["", "words"]


def known_without_a_bias():
    """The constants are there with a bias only."""
    from mmjax.data.scenes import shares

    return shares.known("test", 0.0, "keep", (1, 3), "any")
