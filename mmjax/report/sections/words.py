"""Embeddings whose rows have names: the names on a map, and the nearest names of each.

`embedding/<name>` with `text/<name>` beside it gives the map; `text/neighbours` [n k] gives the table.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from mmjax.report import html, style
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Predictions, Run
from mmjax.report.views import components
from mmjax.report.views.texts import plain

PLACE = ("classes", 30)
WANTS = (("embedding/<name>", "text/<name>"),)

_ON_MAP = 80  # more names cover each other
_IN_TABLE = 24


def covers(predictions: Predictions) -> set[str]:
    """Embeddings; their names and these names' neighbours where the table has all of them."""
    found = set()
    for name, array in _named(predictions).items():
        found.add(f"embedding/{name}")
        if len(array) <= _IN_TABLE and _neighbours(predictions, name) is not None:
            found |= {f"text/{name}", "text/neighbours"}
    return found


def _named(predictions: Predictions) -> dict[str, np.ndarray]:
    """The embeddings [n d] that have names."""
    texts = predictions.of("text")
    return {name: array for name, array in predictions.of("embedding").items() if name in texts and array.ndim == 2}


def _neighbours(predictions: Predictions, name: str) -> np.ndarray | None:
    """Those of the names of an embedding, where there are as many rows."""
    near = predictions.get("text/neighbours")
    return near if near is not None and len(near) == len(predictions.of("text")[name]) else None


def render(run: Run) -> Markup:
    """A map and a table for each embedding with names."""
    texts, found = run.predictions.of("text"), []
    for name, array in _named(run.predictions).items():
        names = [plain(entry) for entry in texts[name].reshape(len(texts[name]), -1)[:, 0]]
        found.append(_map(name, array, names))
        near = _neighbours(run.predictions, name)
        found += [] if near is None else [_table(names, near)]
    return html.join(found)


def _map(name: str, array: np.ndarray, names: list[str]) -> Markup:
    count = min(len(array), len(names), _ON_MAP)
    vectors = np.nan_to_num(np.asarray(array[:count], np.float32))
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    points, shares = components.project(
        vectors / np.maximum(length, 1e-12)
    )  # directions: what cosine similarity compares
    caption = f"{count:,} of the embeddings “{name}”, each at length 1, on their first two principal components."
    return html.plot(map_figure(points, shares, names[:count], name), f"Map of {name}: {caption}", caption)


def map_figure(
    points: Float[np.ndarray, "n 2"], shares: Float[np.ndarray, " 2"], names: list[str], title: str = ""
) -> Figure:
    """The names at their points.

    Args:
      points: [n 2].
      shares: [2] of the variance, for the axis labels.
      names: n of them.
      title: above the axes.
    """
    with style.axes(7.2, 5.2) as (figure, axes):
        axes.scatter(*points.T, s=5, color=style.SERIES[0], linewidths=0)
        for (x, y), name in zip(points, names):
            # A dollar sign would begin a formula.
            axes.annotate(name.replace("$", r"\$"), (x, y), (2, 2), textcoords="offset points", fontsize=7)
        components.label(axes, shares)
        axes.set_title(title)
    return figure


def _table(names: list[str], neighbours: np.ndarray) -> Markup:
    rows = [
        tag("tr", tag("th", name, scope="row"), tag("td", ", ".join(plain(entry) for entry in near.flat)))
        for name, near in zip(names[:_IN_TABLE], neighbours)
    ]
    heading = tag("tr", tag("th", "word", scope="col"), tag("th", "nearest by cosine similarity", scope="col"))
    caption = tag("caption", f"Neighbours of {len(rows)} words, nearest first")
    return tag("div", tag("table", caption, tag("thead", heading), tag("tbody", *rows)), class_="panel")
