"""The speaker's mouth in motion: how far it opens and how round it is for each unit, and pictures of it.

Vowels open the mouth as their first formant is high, and back vowels round it; b, m and p close it (the visible
classes, or visemes, of Fisher 1968). Between units it moves as the straight line from target to target.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmjax.data.scenes import face as faces
from mmjax.data.scenes.face import Look
from mmjax.data.scenes.units import INVENTORY, UNITS

RATE = 25  # pictures a second
Shape = tuple[float, float]  # opening, 0 (closed) to 1; rounding, -0.3 (spread) over 0 (at rest) to 1 (pursed)
CLOSED: Shape = (0.0, 0.0)
# The shapes that a unit goes through; one, or two for a diphthong.
SHAPES: dict[str, tuple[Shape, ...]] = {
    "_": (CLOSED,),
    "a": ((0.85, -0.1),), "e": ((0.6, -0.15),), "i": ((0.42, -0.15),), "o": ((0.75, 0.45),), "u": ((0.6, 0.0),),
    "ee": ((0.35, -0.3),), "oo": ((0.32, 1.0),), "er": ((0.48, 0.3),), "ar": ((1.0, 0.0),), "or": ((0.6, 0.75),),
    "ai": ((0.62, -0.15), (0.38, -0.3)), "ie": ((0.9, 0.0), (0.4, -0.25)), "oi": ((0.6, 0.75), (0.38, -0.2)),
    "oa": ((0.58, 0.65), (0.34, 0.9)), "ow": ((0.9, 0.0), (0.36, 0.85)), "air": ((0.62, -0.1), (0.45, 0.1)),
    "b": ((0.0, 0.0),), "p": ((0.0, 0.0),), "m": ((0.0, 0.0),),
    "f": ((0.14, -0.1),), "v": ((0.14, -0.1),), "th": ((0.26, 0.0),),
    "d": ((0.26, 0.0),), "t": ((0.26, 0.0),), "n": ((0.28, 0.0),), "l": ((0.36, 0.0),),
    "s": ((0.2, -0.2),), "z": ((0.2, -0.2),), "sh": ((0.24, 0.6),), "ch": ((0.24, 0.6),), "j": ((0.24, 0.6),),
    "g": ((0.34, 0.0),), "k": ((0.34, 0.0),), "ng": ((0.34, 0.0),), "h": ((0.45, 0.0),),
    "r": ((0.28, 0.5),), "w": ((0.18, 1.0),), "y": ((0.3, -0.3),),
}  # fmt: skip
INSIDE = 0.016  # seconds that the mouth still moves, or moves already, within a pause
GAPE = 0.3  # height of the widest opening, in half heights of the head
RAISED = 0.3  # the share of the opening by which the upper lip goes up; the jaw does the rest
CAVITY, TEETH, TONGUE = (58, 20, 30), (246, 242, 234), (196, 88, 98)


def follow(spoken: Sequence[int], times: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Opening and rounding of the mouth at moments [f] in seconds, float32 [f 2]; closed before and after.

    Args:
      spoken: units.
      times: start and end of each in seconds, [units 2].
      at: moments.
    """
    when: list[float] = []
    shapes: list[Shape] = []
    for unit, (start, end) in zip(spoken, times):
        name, lasts = UNITS[unit], end - start
        targets = SHAPES[name]
        if name == "_":
            edge = min(INSIDE, lasts / 3)
            moments = [start + edge, end - edge]
            targets = (CLOSED, CLOSED)
        elif len(targets) == 2:
            moments = [start + 0.25 * lasts, start + 0.75 * lasts]
        else:  # a stop is heard after its closure, and its shape is that of the closure
            moments = [start + (INVENTORY[name].closure or 1) * lasts / 2]
        when += moments
        shapes += targets
    found = np.array(shapes)
    return np.stack([np.interp(at, when, found[:, k]) for k in range(2)], -1).astype(np.float32)


def moments(seconds: float, most: int) -> np.ndarray:
    """The middle of each picture of an utterance, in seconds, [f]: as many as cover it, `most` at most."""
    return (np.arange(min(int(np.ceil(seconds * RATE)), most)) + 0.5) / RATE


def draw(face: Look, shapes: np.ndarray, side: int, crop: bool = False, pictures: int = 0) -> np.ndarray:
    """The face with its mouth in each of the shapes [f 2], uint8 [f side side 3]; black ones follow up to `pictures`.

    With `crop`, the square of half the side about the mouth: [f side//2 side//2 3].
    """
    still = faces.paint(face, side, mouth=False)
    top, left, bottom, right = _around(face, side)
    size = side
    if crop:
        size = side // 2
        y, x = (min(max((a + b - size) // 2, 0), side - size) for a, b in ((top, bottom), (left, right)))
        still = still[y : y + size, x : x + size]
        top, bottom, left, right = max(top - y, 0), min(bottom - y, size), max(left - x, 0), min(right - x, size)
    else:
        y = x = 0
    out = np.zeros((max(len(shapes), pictures), size, size, 3), np.uint8)
    out[: len(shapes)] = still
    rows, columns = (np.arange(top, bottom) + y + 0.5) / side, (np.arange(left, right) + x + 0.5) / side
    points = faces.turned_back(face, np.stack(np.meshgrid(columns, rows), -1), side).astype(np.float32)
    patch = still[top:bottom, left:right].astype(np.float32)
    together = max(1, 20_000 // points[..., 0].size)  # pictures whose arrays stay in the cache
    for first in range(0, len(shapes), together):
        several = slice(first, min(first + together, len(shapes)))
        out[several, top:bottom, left:right] = _mouths(face, shapes[several], points, patch, 1 / side)
    return out


def _around(face: Look, side: int) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of the pixels that a mouth of any shape may touch."""
    level, half = face.mouth
    across, reach = 1.15 * half + faces.LIP, abs(face.smile) + 1.5 * faces.LIP
    up, down = level - reach - RAISED * GAPE * face.high, level + reach + (1 - RAISED) * GAPE * face.high
    corners = faces.turned(face, np.array([(0.5 + s * across, y) for s in (-1, 1) for y in (up, down)]), side) * side
    (left, top), (right, bottom) = np.floor(corners.min(0)), np.ceil(corners.max(0))
    return max(int(top), 0), max(int(left), 0), min(int(bottom), side), min(int(right), side)


def _mouths(face: Look, shapes: np.ndarray, points: np.ndarray, patch: np.ndarray, pixel: float) -> np.ndarray:
    """Mouths of shapes [f 2] over a patch [h w 3] whose pixels lie at `points` of the sheet, [h w 2]: [f h w 3].

    Edges are as soft as a pixel is wide.
    """
    opening, rounding = (shapes[:, k, None, None] for k in range(2))  # f 1 1
    pursed = np.maximum(rounding, 0)
    level, half = (np.float32(v) for v in face.mouth)
    half = half * (1 - 0.4 * pursed + 0.4 * np.maximum(-rounding, 0))
    bow = np.float32(face.smile) * (1 - 0.8 * pursed) * (1 - 0.6 * opening)
    gape = opening * np.float32(GAPE * face.high)
    x, y = points[..., 0] - np.float32(0.5), points[..., 1]  # h w
    t = np.clip(x / half, -1, 1)  # f h w
    squared = t * t
    middle = level + bow * (1 - 2 * squared)
    gape = gape * np.sqrt(1 - squared)
    upper = middle - np.float32(RAISED) * gape
    lower = upper + gape
    beside = np.abs(x) - half
    np.maximum(beside, 0, out=beside)
    apart = np.maximum(np.maximum(upper - y, y - lower), 0)
    slope = 4 * bow / half * t
    thick = faces.LIP / 2 * (1 + 0.5 * opening + 0.5 * pursed)
    distance = np.sqrt(beside * beside + apart * apart / (1 + slope * slope)) - thick
    lips = np.clip(np.float32(0.5) - distance / pixel, 0, 1)

    def covered(above: np.ndarray, below: np.ndarray) -> np.ndarray:
        """The share of each pixel between two lines."""
        return np.clip((np.minimum(y + pixel / 2, below) - np.maximum(y - pixel / 2, above)) / pixel, 0, 1)

    cavity = covered(upper, lower)
    teeth = covered(upper, upper + np.minimum(0.3 * gape, 0.02))
    tongue = covered(lower - 0.3 * gape * np.clip(2 * opening - 0.3, 0, 1), lower)
    lips = np.maximum(lips, cavity)
    layers = np.stack([lips - cavity, cavity - teeth - tongue, teeth, tongue], -1)
    colours = np.array([faces.LIPS, CAVITY, TEETH, TONGUE], np.float32)
    mixed = layers @ colours + patch * (1 - lips)[..., None]
    return (mixed + np.float32(0.5)).astype(np.uint8)
