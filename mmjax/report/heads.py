"""Classification heads among the predictions: top classes beside the reference's, right or wrong, confusion."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from mmjax.report import html, style
from mmjax.report.html import Markup, tag
from mmjax.report.workdir import Predictions

_TARGET = "_target"
_LARGEST_MATRIX = 40
# From clear to full blue: the matrix then sits well on a light and on a dark page.
_SHARES = LinearSegmentedColormap.from_list("shares", [(0.18, 0.5, 0.76, 0.05), (0.18, 0.5, 0.76, 1.0)])


@dataclasses.dataclass(frozen=True)
class Head:
    """One classifier's output over a split.

    Attributes:
      name: of the head ("object").
      names: of its classes.
      predicted: int [n], the class that the network puts first; -1 where it says nothing.
      target: int [n], the reference's class, -1 where there is none.
      scores, target_scores: probabilities [n c], or None where only the classes are stored.
    """

    name: str
    names: tuple[str, ...]
    predicted: Int[np.ndarray, " n"]
    target: Int[np.ndarray, " n"]
    scores: Float[np.ndarray, "n c"] | None = None
    target_scores: Float[np.ndarray, "n c"] | None = None

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
    """The heads of a split: every scores/<head> and label/<head> that is not itself a reference."""
    scores, labels = predictions.of("scores"), predictions.of("label")
    scores = {name: array for name, array in scores.items() if array.size}
    names = [name for name in {**scores, **labels} if not name.endswith(_TARGET)]
    return [_head(name, scores, labels, predictions.names.get(name, ())) for name in names]


def _head(name: str, scores: dict, labels: dict, names: tuple[str, ...]) -> Head:
    reference = f"{name}{_TARGET}"
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


def confusion_counts(
    predicted: Int[np.ndarray, " n"], target: Int[np.ndarray, " n"], classes: int
) -> Int[np.ndarray, "c c"]:
    """counts[t, p]: how many examples of reference class t the network took for p; -1 on either side is left out."""
    kept = (target >= 0) & (predicted >= 0)
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (target[kept], predicted[kept]), 1)
    return counts


def confusion_figure(counts: Int[np.ndarray, "c c"], names: tuple[str, ...], title: str = "") -> Figure:
    """A confusion matrix: rows are the reference, columns the network, colour the share of the row.

    Args:
      counts: [c c], as of `confusion_counts`.
      names: of the classes, c of them.
      title: above the axes.
    """
    classes = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(2.2 + 0.2 * classes, 3.6, 8.5))
    with style.axes(side + 0.5, side) as (figure, axes):
        shown = axes.imshow(shares, cmap=_SHARES, vmin=0, vmax=1, interpolation="nearest", aspect="equal")
        size = 8.5 if classes <= 20 else 6.5
        axes.set_xticks(range(classes), [_short(name) for name in names], rotation=90, fontsize=size)
        axes.set_yticks(range(classes), [_short(name) for name in names], fontsize=size)
        axes.tick_params(length=0)
        axes.set(xlabel="network", ylabel="reference", title=title)
        axes.spines[:].set_visible(False)
        if classes <= 16:
            for row, column in np.argwhere(counts):
                ink = "#ffffff" if shares[row, column] > 0.55 else style.INK
                axes.text(column, row, counts[row, column], ha="center", va="center", fontsize=8, color=ink)
        bar = figure.colorbar(shown, ax=axes, fraction=0.04, pad=0.02, label="share of the row")
        bar.outline.set_visible(False)
    return figure


def _short(name: str, most: int = 18) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def confusion(head: Head) -> Markup:
    """The confusion matrix of a head as a figure; above 40 classes its most frequent confusions as a table."""
    counted = int(head.judged.sum())
    if not counted:
        return Markup()
    widths = [len(head.names), int(head.predicted.max()) + 1, int(head.target.max()) + 1]
    widths += [array.shape[-1] for array in (head.scores, head.target_scores) if array is not None]
    classes, right = max(widths), int(head.right.sum())
    summary = f"{head.name}: {right:,} of {counted:,} right ({right / counted:.1%})"
    if classes > _LARGEST_MATRIX:
        return _frequent(head, summary)
    counts = confusion_counts(head.predicted, head.target, classes)
    names = tuple(head.class_name(i) for i in range(classes))
    caption = f"{summary}. Rows: the reference; columns: the network; colour: share of the row."
    return html.plot(confusion_figure(counts, names, head.name), f"Confusion matrix of {summary}", caption)


def _frequent(head: Head, summary: str) -> Markup:
    wrong = head.judged & ~head.right & (head.predicted >= 0)
    pairs, counts = np.unique(np.stack([head.target[wrong], head.predicted[wrong]], -1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:8]
    found = [(*map(head.class_name, pairs[i].tolist()), tag("td", counts[i], class_="num")) for i in order]
    lines = [tag("tr", tag("td", reference), tag("td", said), times) for reference, said, times in found]
    titles = tag("tr", tag("th", "reference"), tag("th", "network said"), tag("th", "times", class_="num"))
    caption = tag("caption", f"{summary}. Too many classes for a matrix; the most frequent confusions:")
    return tag("div", tag("table", caption, tag("thead", titles), tag("tbody", *lines)), class_="panel")


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
    columns.append(_column(head, "network", scores, predicted, target, most))
    return tag("div", tag("h4", head.name), tag("div", *columns, class_="pair"), class_="head")


def _column(head: Head, title: str, scores: np.ndarray | None, first: int, target: int, most: int) -> Markup:
    order = [first] if scores is None else np.argsort(-scores, kind="stable")[:most].tolist()
    lines = []
    for index in order:
        mark = None
        if target >= 0 and index in (first, target):
            mark = "hit" if index == target else "miss"
        name = head.class_name(index)
        if scores is None:
            lines.append(tag("li", tag("span", name, title=name), class_=mark))
            continue
        share = float(np.clip(scores[index], 0, 1))
        bar = tag("i", style=f"--share:{share:.1%}", aria_hidden="true")
        lines.append(tag("li", tag("span", name, title=name), tag("span", f"{share:.2f}"), bar, class_=mark))
    return tag("div", tag("h5", title), tag("ol", *lines, class_="bars"))
