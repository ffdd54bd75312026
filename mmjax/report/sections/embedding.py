"""Embeddings of a split on a map: the first two principal components, coloured by a head's reference class."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from mmjax.report import html, style
from mmjax.report.html import Markup
from mmjax.report.run_files import Predictions, Run
from mmjax.report.views import components, heads
from mmjax.report.views.heads import Head

PLACE = ("classes", 20)
WANTS = tuple(("embedding/<name>", *head) for head in heads.JUDGED)

_POINTS = 1000
_COLOURS = len(style.SERIES)


def map_figure(
    points: Float[np.ndarray, "n 2"],
    shares: Float[np.ndarray, " 2"],
    classes: Int[np.ndarray, " n"],
    names: dict[int, str],
    title: str = "",
) -> Figure:
    """A scatter of `points`; the classes in `names` get a colour each and a line in the legend, the others are grey.

    Args:
      points: [n 2].
      shares: [2] of the variance, for the axis labels.
      classes: int [n].
      names: {class: its name}, at most ten.
      title: above the axes.
    """
    with style.axes(4.8, 3.5) as (figure, axes):
        other = ~np.isin(classes, list(names))
        if other.any():
            axes.scatter(*points[other].T, s=9, color=style.RULE, linewidths=0, label="other")
        for colour, (index, name) in zip(style.SERIES, names.items()):
            axes.scatter(*points[classes == index].T, s=11, color=colour, alpha=0.75, linewidths=0, label=name)
        components.label(axes, shares)
        axes.set_title(title)
        figure.legend(loc="outside right upper", handletextpad=0.2, markerscale=1.6)
    return figure


def covers(predictions: Predictions) -> set[str]:
    """The embeddings on the maps."""
    return {f"embedding/{name}" for name in _drawable(predictions)}


def _drawable(predictions: Predictions) -> dict[str, np.ndarray]:
    return {name: array for name, array in predictions.of("embedding").items() if array.ndim > 1}


def render(run: Run) -> Markup:
    """A map for each embedding, where a label colours it."""
    labelled = [head for head in heads.find(run.predictions) if head.judged.any()]
    if not labelled:
        return Markup()
    # The head with fewest classes: its colours can be told apart.
    head = min(labelled, key=lambda h: len(np.unique(h.target)))
    return html.join(_map(name, array, head) for name, array in _drawable(run.predictions).items())


def _map(name: str, array: np.ndarray, head: Head) -> Markup:
    vectors = np.nan_to_num(np.asarray(array, np.float32).reshape(len(array), -1))
    length = min(len(vectors), len(head.target))
    chosen = np.unique(np.linspace(0, length - 1, min(length, _POINTS)).round().astype(int))
    points, shares = components.project(vectors[chosen])
    classes = head.target[chosen]
    found, counts = np.unique(classes[classes >= 0], return_counts=True)
    common = sorted(found[np.argsort(-counts, kind="stable")][:_COLOURS].tolist())
    names = {index: head.class_name(index) for index in common}
    title = f"{name}, by {head.name}"
    caption = (
        f"{len(chosen):,} embeddings “{name}” on their first two principal components, "
        f"coloured by the reference class of {head.name}."
    )
    return html.plot(map_figure(points, shares, classes, names, title), f"Map of embeddings: {caption}", caption)
