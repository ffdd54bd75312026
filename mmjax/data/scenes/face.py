"""The speaker's face: a drawing that shares its hidden factors with the voice."""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np
from PIL import Image

from mmjax.data.scenes.pen import INK, Colour, Pen, arc_points, shade

FACTORS: tuple[str, ...] = ("build", "length", "age", "warmth")
OVERSIZE = 3  # a face is drawn three times too large, turned, and made smaller
LIPS: Colour = (150, 56, 62)
LIP = 0.022  # height of the closed mouth
# Skin, hair colour, hair style and glasses are drawn at random: nothing in the voice tells them.
_SKINS: tuple[Colour, ...] = (
    (255, 224, 196),
    (240, 196, 160),
    (214, 160, 118),
    (170, 116, 80),
    (122, 80, 56),
    (92, 60, 44),
)
_HAIRS: tuple[Colour, ...] = ((44, 34, 32), (92, 58, 36), (160, 100, 48), (214, 170, 90), (150, 62, 34))


def _blend(one: Colour, two: Colour, share: float) -> Colour:
    return tuple(int(a + (b - a) * share) for a, b in zip(one, two))  # type: ignore[return-value]


@dataclasses.dataclass(frozen=True)
class Look:
    """All that one drawing of a speaker's face is made from; lengths in shares of the picture, before it is turned.

    Attributes:
      build, length, age: factors of the speaker.
      wide, high: half axes of the head, whose centre is that of the sheet.
      smile: how much lower the middle of the mouth is than halfway to its corners.
      turn: of the whole sheet about its centre, in degrees against the clock.
      shift: of the turned sheet, to the right and down.
    """

    build: float
    length: float
    age: float
    wide: float
    high: float
    back: Colour
    skin: Colour
    hair: Colour
    glow: Colour
    style: int
    smile: float
    glasses: bool
    turn: float
    shift: tuple[float, float]

    @property
    def mouth(self) -> tuple[float, float]:
        """The height of the mouth's middle on the sheet, and half its width."""
        return 0.5 + self.high * 0.66, self.wide * (0.34 + 0.16 * self.build)


def look(rng: np.random.Generator, speaker: np.ndarray) -> Look:
    """Draws what the speaker's factors leave open.

    build widens the jaw and thickens the brows (and lowers the voice), length stretches head and nose (and lowers the
    formants), age greys the hair and wrinkles the skin (and slows and roughens the voice), warmth turns shirt and eyes
    from blue to red (and darkens the voice).
    """
    build, length, age, warmth = (float(v) for v in speaker)
    back: Colour = tuple(int(v) for v in rng.integers(170, 240, 3))  # type: ignore[assignment]
    skin = _SKINS[rng.integers(len(_SKINS))]
    hair = _blend(_HAIRS[rng.integers(len(_HAIRS))], (232, 232, 236), float(np.clip(age * 1.5 - 0.5, 0, 1)))
    red, green, blue = colorsys.hsv_to_rgb(0.62 - 0.62 * warmth, 0.72, 0.86)
    glow = int(255 * red), int(255 * green), int(255 * blue)
    style, smile, glasses = int(rng.integers(3)), float(rng.uniform(-0.01, 0.035)), bool(rng.random() < 0.2)
    turn, shift = float(rng.uniform(-7, 7)), rng.uniform(-0.03, 0.03, 2).tolist()
    wide, high = 0.2 + 0.085 * build, 0.25 + 0.085 * length
    return Look(
        build, length, age, wide, high, back, skin, hair, glow, style, smile, glasses, turn, (shift[0], shift[1])
    )


def draw(rng: np.random.Generator, speaker: np.ndarray, side: int) -> np.ndarray:
    """The face of a speaker, uint8 [side side 3]."""
    return paint(look(rng, speaker), side)


def paint(face: Look, side: int, mouth: bool = True) -> np.ndarray:
    """A look as a picture, uint8 [side side 3]; without a mouth, for one that is drawn on it."""
    full = OVERSIZE * side
    pen = Pen(Image.new("RGB", (full, full), face.back), 0.01)
    wide, high = face.wide, face.high
    _body(pen, face.glow, face.skin, wide, 0.5 + high)
    _back_hair(pen, face.style, face.hair, wide, high)
    for s in (-1, 1):
        pen.oval(0.5 + s * wide, 0.5 + 0.01, 0.035, 0.055, face.skin)
    pen.shape(outline(face), face.skin)
    _fringe(pen, face.style, face.hair, wide, high)
    _eyes(pen, face)
    _nose(pen, face)
    if mouth:
        _mouth(pen, face)
    _wrinkles(pen, face.age, shade(face.skin, 0.66), wide, high)
    shift = shifted(face, side)
    turned = pen.image.rotate(face.turn, Image.Resampling.BILINEAR, translate=shift, fillcolor=face.back)
    return np.array(turned.reduce(OVERSIZE))


def shifted(face: Look, side: int) -> tuple[int, int]:
    """The shift of a picture of this side in pixels of its oversized sheet."""
    return int(face.shift[0] * OVERSIZE * side), int(face.shift[1] * OVERSIZE * side)


def turned(face: Look, points: np.ndarray, side: int) -> np.ndarray:
    """Where points of the sheet, (x, y) [... 2], come to lie in the picture; both in shares of their sides."""
    cos, sin = np.cos(np.deg2rad(face.turn)), np.sin(np.deg2rad(face.turn))
    centre = 0.5 + np.array(shifted(face, side)) / (OVERSIZE * side)
    return (points - 0.5) @ np.array([[cos, -sin], [sin, cos]]) + centre


def turned_back(face: Look, points: np.ndarray, side: int) -> np.ndarray:
    """The inverse of `turned`."""
    cos, sin = np.cos(np.deg2rad(face.turn)), np.sin(np.deg2rad(face.turn))
    centre = 0.5 + np.array(shifted(face, side)) / (OVERSIZE * side)
    return (points - centre) @ np.array([[cos, sin], [-sin, cos]]) + 0.5


def outline(face: Look, start: float = 0.0, end: float = 360.0, points: int = 72) -> list[tuple[float, float]]:
    """The head, in degrees clockwise from three o'clock: an ellipse whose lower half grows square with build."""
    angles = np.linspace(np.deg2rad(start), np.deg2rad(end), points)
    x, y = np.cos(angles), np.sin(angles)
    power = np.where(y > 0, 2 / (2.1 + 1.5 * face.build), 1.0)
    x = np.sign(x) * np.abs(x) ** power
    y = np.sign(y) * np.abs(y) ** np.sqrt(power)
    return list(zip((0.5 + face.wide * x).tolist(), (0.5 + face.high * y).tolist()))


def _body(pen: Pen, shirt: Colour, skin: Colour, wide: float, chin: float) -> None:
    shoulders = wide * 1.75
    pen.shape(
        [(0.5 - shoulders, 1.2), *arc_points(0.5, 1.02, shoulders, 0.15, 180, 360), (0.5 + shoulders, 1.2)], shirt
    )
    neck = wide * 0.5
    pen.shape(
        [(0.5 - neck, chin - 0.1), (0.5 + neck, chin - 0.1), (0.5 + neck, 0.9), (0.5, 0.96), (0.5 - neck, 0.9)],
        shade(skin, 0.85),
    )


def _back_hair(pen: Pen, style: int, hair: Colour, wide: float, high: float) -> None:
    if style == 1:  # long
        pen.box(0.5 - wide - 0.06, 0.42, 0.5 + wide + 0.06, 0.5 + high + 0.04, shade(hair, 0.85), 0.06)
    if style == 2:  # round
        pen.oval(0.5, 0.5 - high * 0.5, wide * 1.4, high * 0.85, shade(hair, 0.9))
    pen.oval(0.5, 0.5 - high * 0.25, wide + 0.05, high * 0.8 + 0.03, hair)


def _fringe(pen: Pen, style: int, hair: Colour, wide: float, high: float) -> None:
    line = 0.5 - high * 0.55
    top = arc_points(0.5, 0.5 - high * 0.2, wide * 1.04, high * 0.86, 195, 345)
    if style == 0:  # parted at one side
        under = [(0.5 + wide * 0.9, line + 0.06), (0.5 + wide * 0.4, line - 0.02), (0.5 - wide * 0.3, line - 0.05)]
        pen.shape([*top, *under, (0.5 - wide * 0.8, line + 0.05)], hair)
    elif style == 1:
        pen.shape([*top, *arc_points(0.5, line + 0.04, wide * 0.94, 0.05, 0, -180)], hair)
    else:
        pen.shape([*top, *arc_points(0.5, line + 0.03, wide * 0.9, 0.08, 0, -180)], hair)


def eyes(face: Look) -> tuple[float, float]:
    """How far from the middle the eyes are, and their half height; they are 1.15 times as wide, at 0.5."""
    return face.wide * 0.45, 0.046 - 0.013 * face.age


def brow(face: Look, x: float) -> list[tuple[float, float]]:
    """The brow above an eye at x."""
    y = 0.428 - 0.01 * (1 - face.build)
    return [(x - 0.052, y + 0.012), (x, y - 0.008), (x + 0.052, y + 0.012)]


def nose(face: Look) -> tuple[float, float]:
    """The height of the nose's tip, and half its width there; its bridge begins at 0.53."""
    return 0.5 + face.high * (0.26 + 0.14 * face.length), 0.026 + 0.02 * face.build


def _eyes(pen: Pen, face: Look) -> None:
    apart, size = eyes(face)
    iris = face.glow
    for s in (-1, 1):
        x = 0.5 + s * apart
        pen.oval(x, 0.5, size * 1.15, size, (255, 255, 255), 0.008)
        pen.oval(x, 0.503, size * 0.66, size * 0.7, iris, 0)
        pen.oval(x, 0.503, size * 0.32, size * 0.34, INK, 0)
        pen.oval(x + 0.008, 0.494, 0.007, 0.007, (255, 255, 255), 0)
        pen.line(brow(face, x), shade(face.hair, 0.8), 0.01 + 0.026 * face.build)
        if face.glasses:
            pen.line(arc_points(x, 0.505, 0.075, 0.066), (40, 44, 60), 0.014)
    if face.glasses:
        pen.line([(0.5 - apart + 0.075, 0.5), (0.5 + apart - 0.075, 0.5)], (40, 44, 60), 0.014)


def _nose(pen: Pen, face: Look) -> None:
    tip, bulb = nose(face)
    pen.line([(0.5, 0.53), (0.5 - bulb, tip), (0.5, tip + 0.012), (0.5 + bulb, tip)], shade(face.skin, 0.68), 0.015)
    for s in (-1, 1):
        pen.oval(0.5 + s * face.wide * 0.62, tip, 0.035, 0.024, _blend(face.skin, (240, 110, 110), 0.35), 0)


def _mouth(pen: Pen, face: Look) -> None:
    level, half = face.mouth
    across = np.linspace(-1, 1, 16)
    curve = list(zip((0.5 + half * across).tolist(), (level + face.smile * (1 - 2 * across**2)).tolist()))
    pen.line(curve, LIPS, LIP)


def _wrinkles(pen: Pen, age: float, line: Colour, wide: float, high: float) -> None:
    """Lines that appear one after the other as age goes from 0.35 to 1."""
    width = 0.004 + 0.006 * age
    for k, level in enumerate((0.35, 0.55, 0.75)):
        if age > level:
            y = 0.5 - high * (0.36 + 0.1 * k)
            pen.line(arc_points(0.5, y + 0.012, wide * 0.5, 0.012, 200, 340), line, width)
    for s in (-1, 1):
        if age > 0.45:
            pen.line(
                [(0.5 + s * wide * 0.3, 0.5 + high * 0.38), (0.5 + s * wide * 0.52, 0.5 + high * 0.62)], line, width
            )
        if age > 0.6:
            pen.line(arc_points(0.5 + s * wide * 0.45, 0.545, 0.05, 0.02, 20, 160), line, width)
        if age > 0.8:
            for dy in (-0.014, 0.012):
                x = 0.5 + s * wide * 0.8
                pen.line([(x, 0.5 + dy * 0.4), (x + s * 0.03, 0.5 + dy)], line, width)
