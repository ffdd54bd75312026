"""A joint space on a map: pictures as themselves, captions and sounds as dots, a line from each picture to its own."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from mmjax.report import html, style
from mmjax.report.html import Markup
from mmjax.report.run_files import Run
from mmjax.report.views import components, joint
from mmjax.report.views.joint import Side

PLACE = ("classes", 40)
WANTS = joint.WANTS
covers = joint.covers

Points = Float[np.ndarray, "m 2"]

_SIZE = (11.2, 6.6)  # inches
_POINTS = 400  # of a side
_PICTURES = 48
_SIDE = 56  # pixels of a thumbnail, drawn half as large
_PICTURE = (0.34, 0.34)  # inches that a picture takes, and a label: what would cover another is left out
_LABEL = (2.0, 0.15)
_LABELS = 14
_LETTERS = 34  # of a label


def render(run: Run) -> Markup:
    """The map, with and without the gap between the sides; empty where there are no two sides to show."""
    sides = joint.sides(run.predictions)
    if not sides:
        return Markup()
    sides = [_few(side) for side in sides]
    clouds = [side.vectors for side in sides]
    counts = ", ".join(f"{len(side.vectors):,} {side.plural}" for side in sides)
    how = (
        f"{counts} on the first two principal components of all of them together. Lines join what belongs together; "
        "where pictures would cover each other they are dots."
    )
    whole = f"The joint space: {how} Sides that lie apart are the gap between the two clouds."
    centred = f"The same without the gap, each side's mean removed: {how}"
    moved = [cloud - cloud.mean(axis=0) for cloud in clouds]
    return html.join([_plot(sides, clouds, whole), _plot(sides, moved, centred)])


def _plot(sides: list[Side], clouds: list[np.ndarray], caption: str) -> Markup:
    points, shares = components.project(np.concatenate(clouds))
    parts = np.split(points, np.cumsum([len(cloud) for cloud in clouds])[:-1])
    return html.plot(map_figure(sides, parts, shares), f"Map. {caption}", caption, large=True)


def _few(side: Side) -> Side:
    """At most so many points, those of the first examples: the same examples on all sides."""
    kept = side.example <= (np.sort(side.example)[_POINTS - 1] if len(side.example) > _POINTS else side.example.max())
    things = side.things[kept] if side.kind == "text" else side.things
    return Side(side.name, side.kind, side.vectors[kept], side.example[kept], side.ids[kept], things)


def map_figure(sides: list[Side], points: list[Points], shares: Float[np.ndarray, " 2"]) -> Figure:
    """Draws the map.

    Args:
      sides: of the space.
      points: of each side's points their place.
      shares: [2] of the variance, for the axis labels.
    """
    every = np.concatenate(points)
    inches = np.array(_SIZE) * 0.85 / np.maximum(np.ptp(every, axis=0), 1e-12)  # of one unit along each axis, nearly
    with style.axes(*_SIZE) as (figure, axes):
        colours = dict(zip((side.name for side in sides), style.SERIES))
        for a, b in zip(sides[:1] * len(sides[1:]), sides[1:]):
            _lines(axes, a, b, points[0], points[sides.index(b)])
        for side, places in zip(sides, points):
            axes.scatter(*places.T, s=10, color=colours[side.name], alpha=0.8, linewidths=0, label=side.plural)
        for side, places in zip(sides, points):
            if side.kind == "picture":
                _pictures(axes, side, places, inches, colours[side.name])
            if side.kind == "text":
                _labels(axes, side, places, inches)
        components.label(axes, shares)
        axes.margins(0.06)
        figure.legend(loc="outside upper right", ncols=len(sides), handletextpad=0.2, markerscale=1.8)
    return figure


def _lines(axes: Axes, a: Side, b: Side, here: Points, there: Points) -> None:
    """From each point of a to the points of b of the same example."""
    ours, theirs = np.nonzero(a.example[:, None] == b.example[None])
    ends = np.stack([here[ours], there[theirs]])
    axes.plot(ends[..., 0], ends[..., 1], color=style.RULE, linewidth=0.5, zorder=0)


def spaced(places: Points, most: int, size: tuple[float, float]) -> list[int]:
    """At most `most` of the points, in order, such that boxes of `size` (width, height) at them do not overlap."""
    chosen: list[int] = []
    for index, place in enumerate(places):
        if len(chosen) < most and all((np.abs(place - places[other]) >= size).any() for other in chosen):
            chosen.append(index)
    return chosen


def _pictures(axes: Axes, side: Side, places: Points, inches: np.ndarray, colour: str) -> None:
    for index in spaced(places * inches, _PICTURES, _PICTURE):
        image = np.asarray(joint.small(side.things[side.example[index]], _SIDE))
        box = OffsetImage(image, zoom=0.5 * 72 / style.DPI * 1.4)
        frame = {"edgecolor": colour, "linewidth": 0.8, "boxstyle": "square,pad=0.02"}
        axes.add_artist(AnnotationBbox(box, places[index], pad=0.05, bboxprops=frame))


def _labels(axes: Axes, side: Side, places: Points, inches: np.ndarray) -> None:
    for index in spaced(places * inches, _LABELS, _LABEL):
        words = side.words(index)
        words = words if len(words) <= _LETTERS else f"{words[: _LETTERS - 1].rstrip()}…"
        axes.annotate(words, places[index], (3, 3), textcoords="offset points", fontsize=7)
