"""A pen that draws in shares of its sheet, several times too large, so that shrinking gives smooth edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

INK: Colour = (44, 36, 52)


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (factor < 1) or lighter (factor > 1) colour; lightening goes towards white."""
    if factor <= 1:
        return tuple(int(c * factor) for c in colour)  # type: ignore[return-value]
    return tuple(int(255 - (255 - c) / factor) for c in colour)  # type: ignore[return-value]


def arc_points(x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0) -> Points:
    """Points on an ellipse, degrees clockwise from three o'clock."""
    angles = np.deg2rad(np.linspace(start, end, 64))
    return list(zip((x + rx * np.cos(angles)).tolist(), (y + ry * np.sin(angles)).tolist()))


class Pen:
    """Draws filled, outlined shapes on an image whose coordinates run from 0 to 1 (in units of the height)."""

    def __init__(self, image: Image.Image, outline: float = 0.024):
        self.image = image
        self.scale = image.height
        self.outline = outline
        self._draw = ImageDraw.Draw(image)

    def shape(self, points: Points, fill: Colour | None, outline: float | None = None) -> None:
        """A closed polygon; `outline` is the width of its ink, 0 for none."""
        self._draw.polygon([(x * self.scale, y * self.scale) for x, y in points], fill=fill)
        width = self.outline if outline is None else outline
        if width:
            self.line([*points, *points[:2]], INK, width)

    def line(self, points: Points, colour: Colour = INK, width: float = 0.024) -> None:
        """A line with round joints and ends."""
        thick = max(1, round(width * self.scale))
        scaled = [(x * self.scale, y * self.scale) for x, y in points]
        self._draw.line(scaled, fill=colour, width=thick, joint="curve")
        for x, y in (scaled[0], scaled[-1]):
            r = thick / 2 - 0.5
            self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour, outline: float | None = None) -> None:
        """An ellipse about (x, y)."""
        self.shape(arc_points(x, y, rx, ry), fill, outline)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour, r: float = 0.0, outline: float | None = None
    ) -> None:
        """A rectangle with corners of radius r."""
        if not r:
            return self.shape([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill, outline)
        corners = (
            (x1 - r, y0 + r, 270),
            (x1 - r, y1 - r, 0),
            (x0 + r, y1 - r, 90),
            (x0 + r, y0 + r, 180),
        )
        points = [p for x, y, a in corners for p in arc_points(x, y, r, r, a, a + 90)[::7]]
        self.shape(points, fill, outline)
