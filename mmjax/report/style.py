"""The look of the figures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Two colours that html.svg turns into the page's own, so that one drawing serves light and dark pages. In a bitmap
# (TensorBoard) they are what they say: slate ink and a pale rule.
INK = "#4b5563"
RULE = "#d8dce2"
SERIES = ("#2f7fc1", "#d9772b", "#3f9c6b", "#8f67c4", "#c74f74", "#a08a2c", "#2b9fa3", "#8b7565", "#6f83d6", "#b35fae")
DPI = 130

_FIGURE: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$5 note"
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
}


def _figure(width: float, height: float, within: tuple[float, float, float, float] | None) -> Figure:
    if within is None:
        return Figure(figsize=(width, height), layout="constrained")
    # Half the time of a drawing: the layout draws all text several times to find these four numbers.
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(*within)
    return figure


@contextlib.contextmanager
def axes(
    width: float, height: float, within: tuple[float, float, float, float] | None = None
) -> Iterator[tuple[Figure, Axes]]:
    """A figure of `width` x `height` inches and its axes in the house style; pyplot's global state is not touched.

    `within`: left, bottom, right and top edge as shares of the figure, where what stands around the axes is known;
    None looks for room.
    """
    with matplotlib.rc_context(_FIGURE):
        figure = _figure(width, height, within)
        yield figure, figure.add_subplot()


@contextlib.contextmanager
def rows(
    width: float,
    height: float,
    ratios: Sequence[float],
    within: tuple[float, float, float, float] | None = None,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """As `axes`, with one axes below the other, their heights in the given ratios and their x axes shared."""
    with matplotlib.rc_context(_FIGURE):
        figure = _figure(width, height, within)
        yield figure, list(figure.subplots(len(ratios), sharex=True, height_ratios=ratios))
