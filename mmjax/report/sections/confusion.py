"""Confusion matrices of the classification heads, and the pairs that are confused most.

They show a whole split; the bars of single examples are left to the gallery, so that nothing is covered here.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from mmjax.report import html, style
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Run
from mmjax.report.views import heads
from mmjax.report.views.heads import Head

PLACE = ("classes", 10)
WANTS = heads.JUDGED

_LARGEST = 160  # classes; the labels of more could not be read at the page's full width
_WIDE = 40  # classes from which a matrix takes the page's full width
_COUNTED = 16  # classes up to which the counts are written into the cells
_PAIRS = 10
# From clear to full blue: the matrix then sits well on a light and on a dark page.
_SHARES = LinearSegmentedColormap.from_list("shares", [(0.18, 0.5, 0.76, 0.05), (0.18, 0.5, 0.76, 1.0)])


def counts(predicted: Int[np.ndarray, " n"], target: Int[np.ndarray, " n"], classes: int) -> Int[np.ndarray, "c c"]:
    """counts[t, p]: how many examples of reference class t the network took for p; -1 on either side is left out."""
    kept = (target >= 0) & (predicted >= 0)
    found = np.zeros((classes, classes), np.int64)
    np.add.at(found, (target[kept], predicted[kept]), 1)
    return found


def figure(counted: Int[np.ndarray, "c c"], names: tuple[str, ...], title: str = "") -> Figure:
    """A confusion matrix: rows are the reference, columns the network, colour the share of the row.

    Args:
      counted: [c c], as of `counts`.
      names: of the classes, c of them.
      title: above the axes.
    """
    classes = len(counted)
    shares = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)
    wide = classes > _WIDE
    # A label needs its line's height beside its row: 0.2 inch at 8.5 points, 0.084 at 5.5.
    side = 2.2 + 0.084 * classes if wide else float(np.clip(2.2 + 0.2 * classes, 3.6, 8.5))
    size = 5.5 if wide else 8.5 if classes <= 20 else 6.5
    short = [_short(name, 24 if wide else 18) for name in names]
    with style.axes(side + 0.5, side) as (drawn, axes):
        # Of many classes a row is spread over many cells: the root keeps small shares visible.
        norm = PowerNorm(0.5 if wide else 1, 0, 1)
        shown = axes.imshow(shares, cmap=_SHARES, norm=norm, interpolation="nearest", aspect="equal")
        axes.set_xticks(range(classes), short, rotation=90, fontsize=size)
        axes.set_yticks(range(classes), short, fontsize=size)
        axes.tick_params(length=0, pad=2)
        axes.set(xlabel="network", ylabel="reference", title=title)
        axes.spines[:].set_visible(False)
        if wide:  # thin rules that lead the eye from a cell to its labels
            axes.set_xticks(np.arange(9.5, classes - 1, 10), minor=True)
            axes.set_yticks(np.arange(9.5, classes - 1, 10), minor=True)
            axes.tick_params(which="minor", length=0)
            axes.grid(which="minor", linewidth=0.4)
            axes.plot((-0.5, classes - 0.5), (-0.5, classes - 0.5), color=style.RULE, linewidth=1, zorder=-1)
        if classes <= _COUNTED:
            for row, column in np.argwhere(counted):
                ink = "#ffffff" if shares[row, column] > 0.55 else style.INK
                axes.text(column, row, counted[row, column], ha="center", va="center", fontsize=8, color=ink)
        bar = drawn.colorbar(
            shown, ax=axes, fraction=0.04, pad=0.02, aspect=50 if wide else 25, label="share of the row"
        )
        bar.outline.set_visible(False)
    return drawn


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def render(run: Run) -> Markup:
    """Every head with a reference, as `of_head`."""
    return html.join(map(of_head, heads.find(run.predictions)))


def of_head(head: Head) -> Markup:
    """The matrix of a head as a figure, where its classes are not too many, and its most frequent confusions."""
    judged = int(head.judged.sum())
    if not judged:
        return Markup()
    widths = [len(head.names), int(head.predicted.max()) + 1, int(head.target.max()) + 1]
    widths += [array.shape[-1] for array in (head.scores, head.target_scores) if array is not None]
    classes, right = max(widths), int(head.right.sum())
    summary = f"{head.name}: {right:,} of {judged:,} right ({right / judged:.1%})"
    if classes > _LARGEST:
        return _pairs(head, f"{summary}. Too many classes for a matrix; the most frequent confusions:")
    names = tuple(head.class_name(i) for i in range(classes))
    drawn = figure(counts(head.predicted, head.target, classes), names, head.name)
    caption = f"{summary}. Rows: the reference; columns: the network; colour: share of the row."
    matrix = html.plot(drawn, f"Confusion matrix of {summary}", caption, large=classes > _WIDE)
    return html.join([matrix, _pairs(head, f"{head.name}: the most frequent confusions")])


def most_confused(head: Head, most: int = _PAIRS) -> list[tuple[int, int, int, int]]:
    """The most frequent confusions: (reference, what the network said, times, examples of that reference)."""
    wrong = head.judged & ~head.right & (head.predicted >= 0)
    pairs, times = np.unique(np.stack([head.target[wrong], head.predicted[wrong]], -1), axis=0, return_counts=True)
    order = np.argsort(-times, kind="stable")[:most]
    return [(*pairs[i].tolist(), int(times[i]), int((head.target == pairs[i, 0]).sum())) for i in order]


def _pairs(head: Head, title: str) -> Markup:
    found = most_confused(head)
    if not found:
        return Markup()
    lines = [
        tag(
            "tr",
            *(tag("td", head.class_name(index)) for index in (target, said)),
            tag("td", times, tag("span", f" of {count:,}", class_="quiet"), class_="num"),
        )
        for target, said, times, count in found
    ]
    titles = tag("tr", tag("th", "reference"), tag("th", "network said"), tag("th", "times", class_="num"))
    table = tag("table", tag("caption", title), tag("thead", titles), tag("tbody", *lines))
    return tag("div", table, class_="panel")
