"""The 68 landmarks of the drawn face, in the order of 300-W (Sagonas et al., ICCV workshops 2013)."""

from __future__ import annotations

import numpy as np

from mmjax.data.scenes import face as faces
from mmjax.data.scenes.face import Look

# What lies where among the 68; left and right are those of the picture.
PARTS: dict[str, slice] = {
    "jaw": slice(0, 17),  # from the left, at the height of the eyes, round the chin to the right
    "left brow": slice(17, 22),  # all brows and lids from left to right
    "right brow": slice(22, 27),
    "bridge": slice(27, 31),  # downwards to the tip
    "nostrils": slice(31, 36),
    "left eye": slice(36, 42),  # clockwise from the left corner
    "right eye": slice(42, 48),
    "lips": slice(48, 60),  # their outer edge, clockwise from the left corner
    "opening": slice(60, 68),  # their inner edge, likewise
}


def landmarks(face: Look, side: int) -> np.ndarray:
    """(x, y) of the 68 points in shares of the picture that `face.paint` gives, float32 [68 2]; its mouth is closed."""
    points = [*faces.outline(face, 180, 0, 17)]
    apart, size = faces.eyes(face)
    left, right = 0.5 - apart, 0.5 + apart
    for x in (left, right):
        points += _between(faces.brow(face, x), 5)
    tip, bulb = faces.nose(face)
    points += _between([(0.5, 0.53), (0.5, tip)], 4)
    points += _between([(0.5 - bulb, tip), (0.5, tip + 0.012), (0.5 + bulb, tip)], 5)
    for x in (left, right):
        angles = np.deg2rad([180, 240, 300, 0, 60, 120])
        points += zip(x + 1.15 * size * np.cos(angles), 0.5 + size * np.sin(angles))
    points += _mouth(face, 7, faces.LIP / 2) + _mouth(face, 5, 0)
    return faces.turned(face, np.array(points), side).astype(np.float32)


def _between(line: list[tuple[float, float]], count: int) -> list[tuple[float, float]]:
    """Points evenly spaced, in x or in the number of corners, along a line of two or three corners."""
    corners = np.array(line)
    at = np.linspace(0, len(corners) - 1, count)
    return list(zip(*(np.interp(at, np.arange(len(corners)), corners[:, k]) for k in range(2))))


def _mouth(face: Look, count: int, reach: float) -> list[tuple[float, float]]:
    """Along the upper edge from corner to corner, and back along the lower one without them."""
    level, half = face.mouth
    across = np.linspace(-1, 1, count)
    middle = level + face.smile * (1 - 2 * across**2)
    ends = np.abs(across) < 1
    upper = list(zip(0.5 + (half + reach * ~ends) * across, middle - reach * ends))
    lower = list(zip(0.5 + half * across, middle + reach))[1:-1][::-1]
    return upper + lower
