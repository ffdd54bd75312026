"""Classification heads among the predictions: top classes beside the reference's, right or wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from mmjax.predictions import TARGET
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Predictions
from mmjax.report.views.texts import plain

Arrays = Mapping[str, np.ndarray]  # of one kind, by name

# What a head with a reference is made of, each line one way: for WANTS of sections.
JUDGED = (
    ("scores/<head>", "scores/<head>_target"),
    ("scores/<head>", "label/<head>_target"),
    ("label/<head>", "label/<head>_target"),
    ("label/<head>", "scores/<head>_target"),
    ("scores/<head>", "text/<head>", "text/<head>_target"),
)


@dataclasses.dataclass(frozen=True)
class Head:
    """One classifier's output over a split.

    Attributes:
      name: of the head ("object").
      names: of its classes.
      predicted: int [n], the class that the network puts first; -1 where it says nothing.
      target: int [n], the reference's class, -1 where there is none.
      scores, target_scores: probabilities [n c], or None where only the classes are stored.
      columns: int [n k], the classes that the columns of `scores` [n k] belong to, where only an example's likeliest
        are stored; None where they are all classes in order.
    """

    name: str
    names: tuple[str, ...]
    predicted: Int[np.ndarray, " n"]
    target: Int[np.ndarray, " n"]
    scores: Float[np.ndarray, "n c"] | None = None
    target_scores: Float[np.ndarray, "n c"] | None = None
    columns: Int[np.ndarray, "n k"] | None = None

    @property
    def judged(self) -> Bool[np.ndarray, " n"]:
        """Where there is a reference."""
        return self.target >= 0

    @property
    def right(self) -> Bool[np.ndarray, " n"]:
        """Where the network's first class is the reference's."""
        return self.judged & (self.predicted == self.target)

    def class_name(self, index: int) -> str:
        """The name of class `index`, "class 7" where it has none, "none" below zero."""
        if index < 0:
            return "none"
        return self.names[index] if index < len(self.names) else f"class {index}"


def probabilities(scores: np.ndarray) -> Float[np.ndarray, "n c"]:
    """Scores as probabilities: steps averaged ([n steps c] -> [n c]); values outside 0..1 are taken for logits."""
    scores = np.nan_to_num(np.asarray(scores, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    scores = scores.reshape(len(scores), -1, scores.shape[-1]) if scores.ndim > 1 else scores[:, None, None]
    if scores.size and (scores.min() < -1e-3 or scores.max() > 1 + 1e-3):
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores = scores / scores.sum(axis=-1, keepdims=True)
    return scores.mean(axis=1)


def find(predictions: Predictions) -> list[Head]:
    """The heads of a split: every scores/<head> and label/<head> that is not itself a reference.

    Where text/<head> names the columns of scores/<head> example by example, text/<head>_target is the reference.
    """
    scores, labels, texts = predictions.of("scores"), predictions.of("label"), predictions.of("text")
    scores = {name: array for name, array in scores.items() if array.size}
    names = [name for name in {**scores, **labels} if not name.endswith(TARGET)]
    return [
        _ranked(name, scores[name], texts)
        if spelt(name, scores, texts)
        else _head(name, scores, labels, predictions.names.get(name, ()))
        for name in names
    ]


def spelt(name: str, scores: Arrays, texts: Arrays) -> bool:
    """Whether text/<name> names each of the scores/<name>."""
    return name in scores and name in texts and scores[name].ndim == 2 and texts[name].shape == scores[name].shape


def _ranked(name: str, scores: np.ndarray, texts: Arrays) -> Head:
    said = texts[name]
    truth = texts.get(f"{name}{TARGET}", np.zeros(len(said), said.dtype)).reshape(len(said), -1)[:, :1]
    known, ids = np.unique(np.concatenate([said, truth], axis=1), return_inverse=True)
    ids = ids.reshape(len(said), -1)  # NumPy 2.0 and 2.1 differ in its shape
    names = tuple(plain(word) for word in known)
    target = np.where(truth[:, 0] == truth.dtype.type(), -1, ids[:, -1])  # an empty reference is none
    columns, own = ids[:, :-1], probabilities(scores)
    predicted = np.take_along_axis(columns, own.argmax(axis=-1)[:, None], axis=1)[:, 0]
    return Head(name, names, predicted, target, own, columns=columns)


def _head(name: str, scores: Arrays, labels: Arrays, names: tuple[str, ...]) -> Head:
    reference = f"{name}{TARGET}"
    own = probabilities(scores[name]) if name in scores else None
    theirs = probabilities(scores[reference]) if reference in scores else None
    predicted = own.argmax(axis=-1) if own is not None else _labels(labels[name])
    target = np.full(len(predicted), -1)
    if theirs is not None:
        target = theirs.argmax(axis=-1)
    elif reference in labels:
        target = _labels(labels[reference])
    length = min(len(predicted), len(target))
    own, theirs = (array if array is None else array[:length] for array in (own, theirs))
    return Head(name, names, predicted[:length], target[:length], own, theirs)


def _labels(array: np.ndarray) -> Int[np.ndarray, " n"]:
    return np.asarray(array).reshape(len(array), -1)[:, 0].astype(np.int64)


def chip(head: Head, example: int) -> Markup:
    """A mark that says whether the head is right on an example."""
    right = bool(head.right[example])
    words = f"✓ {head.name} right" if right else f"✗ {head.name} wrong"
    return tag("span", words, class_=f"chip {'good' if right else 'bad'}")


def bars(head: Head, example: int, most: int = 5) -> Markup:
    """The reference's and the network's top classes of one example, side by side, as bars."""
    target = int(head.target[example])
    predicted = int(head.predicted[example])
    columns = []
    if target >= 0:
        scores = None if head.target_scores is None else head.target_scores[example]
        columns.append(_column(head, "reference", scores, target, target, most))
    scores = None if head.scores is None else head.scores[example]
    classes = None if head.columns is None else head.columns[example]
    columns.append(_column(head, "network", scores, predicted, target, most, classes))
    return tag("div", tag("h4", head.name), tag("div", *columns, class_="pair"), class_="head")


def _column(
    head: Head,
    title: str,
    scores: np.ndarray | None,
    first: int,
    target: int,
    most: int,
    classes: np.ndarray | None = None,
) -> Markup:
    order = [0] if scores is None else np.argsort(-scores, kind="stable")[:most].tolist()
    lines = []
    for at in order:
        index = first if scores is None else at if classes is None else int(classes[at])
        mark = None
        if target >= 0 and index in (first, target):
            mark = "hit" if index == target else "miss"
        name = head.class_name(index)
        if scores is None:
            lines.append(tag("li", tag("span", name, title=name), class_=mark))
            continue
        share = float(np.clip(scores[at], 0, 1))
        bar = tag("i", style=f"--share:{share:.1%}", aria_hidden="true")
        lines.append(tag("li", tag("span", name, title=name), tag("span", f"{share:.2f}"), bar, class_=mark))
    return tag("div", tag("h5", title), tag("ol", *lines, class_="bars"))
