"""The twelve objects as drawings: one function each, in shares of a square sheet, its colour the only freedom."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from mmjax.data.scenes import names
from mmjax.data.scenes.once import once
from mmjax.data.scenes.pen import INK, Colour, Pen, arc_points, shade

SHEET = 512  # drawn at this side, then halved again and again
WHITE, CREAM, GREY, STEEL, GOLD, GLASS, BLACK = (
    (255, 255, 255),
    (250, 240, 214),
    (120, 122, 132),
    (190, 196, 206),
    (236, 184, 62),
    (196, 230, 246),
    (58, 54, 64),
)


def _bell(pen: Pen, c: Colour) -> None:
    pen.oval(0.5, 0.12, 0.075, 0.075, GOLD)
    pen.oval(0.5, 0.87, 0.09, 0.085, GOLD)
    left = [(0.06, 0.8), (0.15, 0.7), (0.2, 0.56), (0.22, 0.4), (0.27, 0.27), (0.37, 0.18), (0.5, 0.15)]
    pen.shape(left + [(1 - x, y) for x, y in reversed(left[:-1])], c)
    pen.shape([(0.29, 0.62), (0.3, 0.42), (0.35, 0.29), (0.42, 0.24), (0.38, 0.4), (0.37, 0.62)], shade(c, 1.8), 0)
    pen.box(0.04, 0.73, 0.96, 0.84, shade(c, 0.78), 0.05)


def _bird(pen: Pen, c: Colour) -> None:
    for x in (0.42, 0.55):
        pen.line([(x, 0.74), (x, 0.93), (x + 0.09, 0.95)], GOLD, 0.035)
    pen.shape([(0.02, 0.42), (0.26, 0.5), (0.3, 0.66), (0.06, 0.62), (0.13, 0.53)], shade(c, 0.72))
    pen.shape([(0.86, 0.27), (0.99, 0.37), (0.84, 0.43)], GOLD)
    pen.oval(0.47, 0.58, 0.3, 0.22, c)
    pen.oval(0.7, 0.32, 0.2, 0.19, c)
    pen.oval(0.62, 0.46, 0.14, 0.13, c, 0)
    pen.oval(0.6, 0.65, 0.14, 0.11, shade(c, 2.2), 0)
    pen.shape([(0.2, 0.42), (0.46, 0.44), (0.55, 0.56), (0.42, 0.68), (0.26, 0.64)], shade(c, 0.78))
    pen.oval(0.76, 0.28, 0.055, 0.055, WHITE, 0.012)
    pen.oval(0.775, 0.285, 0.028, 0.028, INK, 0)


def _car(pen: Pen, c: Colour) -> None:
    pen.shape([(0.2, 0.5), (0.32, 0.27), (0.66, 0.27), (0.8, 0.5)], c)
    pen.shape([(0.27, 0.49), (0.36, 0.33), (0.47, 0.33), (0.47, 0.49)], GLASS, 0.014)
    pen.shape([(0.53, 0.49), (0.53, 0.33), (0.64, 0.33), (0.72, 0.49)], GLASS, 0.014)
    pen.box(0.02, 0.46, 0.98, 0.71, c, 0.08)
    pen.box(0.05, 0.6, 0.95, 0.66, shade(c, 0.72), 0.02, 0)
    pen.oval(0.92, 0.54, 0.045, 0.045, (255, 244, 170), 0.014)
    pen.box(0.02, 0.5, 0.07, 0.58, (250, 90, 70), 0.0, 0.014)
    for x in (0.25, 0.75):
        pen.oval(x, 0.71, 0.125, 0.125, BLACK)
        pen.oval(x, 0.71, 0.06, 0.06, STEEL, 0.012)


def _clock(pen: Pen, c: Colour) -> None:
    for x in (0.25, 0.75):
        pen.line([(0.5, 0.6), (x, 0.94)], INK, 0.075)
    pen.oval(0.5, 0.5, 0.43, 0.43, c)
    pen.oval(0.5, 0.5, 0.31, 0.31, WHITE)
    for hour in range(12):
        a = np.pi * hour / 6
        inner = 0.22 if hour % 3 == 0 else 0.25
        pen.line([(0.5 + r * np.cos(a), 0.5 + r * np.sin(a)) for r in (inner, 0.275)], INK, 0.02)
    pen.line([(0.5, 0.5), (0.5, 0.28)], INK, 0.034)
    pen.line([(0.5, 0.5), (0.65, 0.58)], INK, 0.044)
    pen.oval(0.5, 0.5, 0.035, 0.035, (220, 60, 50), 0)


def _dog(pen: Pen, c: Colour) -> None:
    pen.oval(0.5, 0.48, 0.34, 0.4, c)
    for x, s in ((0.16, 1), (0.84, -1)):
        pen.shape(
            [(x + 0.18 * s, 0.14), (x, 0.18), (x - 0.11 * s, 0.42), (x - 0.06 * s, 0.7), (x + 0.07 * s, 0.62),
             (x + 0.11 * s, 0.36)],
            shade(c, 0.62),
        )  # fmt: skip
        pen.oval(x + 0.2 * s, 0.4, 0.06, 0.07, WHITE, 0.014)
        pen.oval(x + 0.21 * s, 0.41, 0.035, 0.042, INK, 0)
    pen.shape([(0.43, 0.78), (0.57, 0.78), (0.57, 0.92), (0.5, 0.97), (0.43, 0.92)], (244, 110, 130), 0.016)
    pen.oval(0.5, 0.68, 0.21, 0.16, CREAM)
    pen.oval(0.5, 0.6, 0.095, 0.066, INK, 0)
    pen.line([(0.5, 0.62), (0.5, 0.73), (0.41, 0.77)], INK, 0.018)
    pen.line([(0.5, 0.73), (0.59, 0.77)], INK, 0.018)


def _drum(pen: Pen, c: Colour) -> None:
    pen.shape([(0.06, 0.36), *arc_points(0.5, 0.74, 0.44, 0.16, 180, 0), (0.94, 0.36)], c)
    pen.line([(0.07 + 0.123 * i, 0.47 + 0.05 * np.sin(np.pi * i / 7) + 0.3 * (i % 2)) for i in range(8)], CREAM, 0.028)
    pen.line(arc_points(0.5, 0.74, 0.44, 0.16, 180, 0), GOLD, 0.06)
    pen.line(arc_points(0.5, 0.37, 0.44, 0.16, 180, 0), GOLD, 0.07)
    pen.oval(0.5, 0.34, 0.44, 0.16, CREAM)
    for tip, end in (((0.42, 0.33), (0.08, 0.06)), ((0.6, 0.33), (0.92, 0.04))):
        pen.line([tip, end], INK, 0.062)
        pen.line([tip, end], (206, 150, 88), 0.034)
        pen.oval(*tip, 0.052, 0.045, (206, 150, 88), 0.018)


def _flute(pen: Pen, c: Colour) -> None:
    def along(t: float, off: float) -> tuple[float, float]:
        return 0.1 + 0.8 * t - 0.707 * off, 0.9 - 0.8 * t - 0.707 * off

    def band(t0: float, t1: float, w: float, fill: Colour) -> None:
        pen.shape([along(t0, -w), along(t1, -w), along(t1, w), along(t0, w)], fill)

    band(-0.03, 1.03, 0.078, c)
    band(-0.06, 0.08, 0.1, GOLD)
    band(0.66, 0.72, 0.095, GOLD)
    band(0.97, 1.06, 0.06, CREAM)
    for t in (0.16, 0.25, 0.34, 0.43, 0.52, 0.6):
        pen.oval(*along(t, 0.0), 0.028, 0.028, INK, 0)
    pen.line([along(0.76, 0.0), along(0.85, 0.0)], INK, 0.07)
    pen.line([along(0.1, 0.045), along(0.64, 0.045)], shade(c, 2.0), 0.018)


def _guitar(pen: Pen, c: Colour) -> None:
    wood = (150, 96, 54)
    pen.line([(0.5, 0.5), (0.84, 0.16)], INK, 0.13)
    pen.line([(0.5, 0.5), (0.84, 0.16)], wood, 0.085)
    pen.shape([(0.78, 0.12), (0.88, 0.02), (0.98, 0.12), (0.88, 0.22)], shade(wood, 0.7))
    for grow, fill in ((0.024, INK), (0.0, c)):  # both discs inked first, so that they melt into one body
        pen.oval(0.3, 0.7, 0.27 + grow, 0.27 + grow, fill, 0)
        pen.oval(0.5, 0.5, 0.2 + grow, 0.2 + grow, fill, 0)
    pen.oval(0.27, 0.73, 0.17, 0.17, shade(c, 1.5), 0)
    pen.oval(0.44, 0.56, 0.1, 0.1, BLACK, 0.016)
    pen.line([(0.16, 0.74), (0.26, 0.84)], INK, 0.05)
    for off in (-0.022, 0.0, 0.022):
        pen.line([(0.21 + off, 0.79 + off), (0.86 + off, 0.14 + off)], CREAM, 0.009)


def _kettle(pen: Pen, c: Colour) -> None:
    pen.line(arc_points(0.46, 0.36, 0.27, 0.27, 180, 360), INK, 0.1)
    pen.line(arc_points(0.46, 0.36, 0.27, 0.27, 180, 360), GREY, 0.052)
    pen.shape([(0.7, 0.72), (0.88, 0.4), (0.82, 0.36), (0.99, 0.27), (0.98, 0.44), (0.82, 0.82)], shade(c, 0.8))
    pen.shape([(0.27, 0.36), (0.65, 0.36), (0.8, 0.6), (0.84, 0.86), (0.08, 0.86), (0.12, 0.6)], c)
    pen.shape([(0.28, 0.42), (0.36, 0.42), (0.26, 0.62), (0.24, 0.78), (0.17, 0.78), (0.19, 0.6)], shade(c, 2.0), 0)
    pen.oval(0.46, 0.35, 0.2, 0.06, STEEL)
    pen.oval(0.46, 0.27, 0.055, 0.055, INK, 0)
    pen.box(0.06, 0.84, 0.86, 0.93, STEEL, 0.03)


def _phone(pen: Pen, c: Colour) -> None:
    pen.shape(
        [(0.3, 0.38), (0.7, 0.38), (0.8, 0.52), (0.95, 0.86), (0.92, 0.92), (0.08, 0.92), (0.05, 0.86), (0.2, 0.52)], c
    )
    pen.box(0.27, 0.28, 0.37, 0.42, shade(c, 0.7))
    pen.box(0.63, 0.28, 0.73, 0.42, shade(c, 0.7))
    pen.oval(0.5, 0.67, 0.19, 0.18, WHITE)
    for a in range(0, 360, 45):
        pen.oval(0.5 + 0.125 * np.cos(np.deg2rad(a)), 0.67 + 0.118 * np.sin(np.deg2rad(a)), 0.03, 0.03, INK, 0)
    pen.oval(0.5, 0.67, 0.06, 0.057, shade(c, 0.85), 0.014)
    handset = [*arc_points(0.5, 0.36, 0.47, 0.28, 190, 350), (0.95, 0.42), (0.76, 0.42), (0.74, 0.3)]
    pen.shape([*handset, *arc_points(0.5, 0.36, 0.3, 0.12, 330, 210), (0.26, 0.3), (0.24, 0.42), (0.05, 0.42)], c)


def _robot(pen: Pen, c: Colour) -> None:
    pen.line([(0.5, 0.2), (0.5, 0.07)], INK, 0.035)
    pen.oval(0.5, 0.065, 0.05, 0.05, (250, 80, 70))
    for s in (-1, 1):
        pen.line([(0.5 + 0.2 * s, 0.68), (0.5 + 0.41 * s, 0.72), (0.5 + 0.42 * s, 0.86)], INK, 0.085)
        pen.line([(0.5 + 0.2 * s, 0.68), (0.5 + 0.41 * s, 0.72), (0.5 + 0.42 * s, 0.86)], STEEL, 0.045)
        pen.box(0.5 + 0.13 * s - 0.07, 0.86, 0.5 + 0.13 * s + 0.07, 0.97, GREY)
        pen.box(0.5 + 0.37 * s - 0.05, 0.3, 0.5 + 0.37 * s + 0.05, 0.44, STEEL)
    pen.box(0.24, 0.58, 0.76, 0.88, shade(c, 0.82), 0.04)
    pen.box(0.15, 0.17, 0.85, 0.57, c, 0.07)
    for x in (0.35, 0.65):
        pen.oval(x, 0.32, 0.09, 0.09, (255, 250, 190))
        pen.oval(x, 0.32, 0.04, 0.04, INK, 0)
    pen.box(0.32, 0.45, 0.68, 0.52, WHITE, 0.0, 0.016)
    for x in (0.41, 0.5, 0.59):
        pen.line([(x, 0.455), (x, 0.515)], INK, 0.014)
    pen.oval(0.42, 0.72, 0.05, 0.05, (250, 90, 80), 0.014)
    pen.oval(0.58, 0.72, 0.05, 0.05, (120, 230, 120), 0.014)


def _train(pen: Pen, c: Colour) -> None:
    pen.shape([(0.8, 0.72), (0.99, 0.86), (0.8, 0.86)], GREY)
    pen.shape([(0.7, 0.14), (0.88, 0.14), (0.83, 0.24), (0.83, 0.4), (0.75, 0.4), (0.75, 0.24)], BLACK)
    pen.oval(0.55, 0.4, 0.07, 0.09, GOLD)
    pen.box(0.3, 0.39, 0.93, 0.72, c, 0.05)
    for x in (0.52, 0.68):
        pen.line([(x, 0.4), (x, 0.71)], GOLD, 0.03)
    pen.oval(0.92, 0.49, 0.045, 0.06, (255, 244, 170))
    pen.box(0.06, 0.2, 0.42, 0.74, c)
    pen.box(0.13, 0.28, 0.35, 0.48, GLASS)
    pen.box(0.02, 0.12, 0.46, 0.21, shade(c, 0.66), 0.03)
    pen.box(0.06, 0.7, 0.88, 0.78, shade(c, 0.6))
    for x, r in ((0.22, 0.14), (0.52, 0.1), (0.75, 0.1)):
        pen.oval(x, 0.94 - r, r, r, BLACK)
        pen.oval(x, 0.94 - r, r * 0.62, r * 0.62, (214, 62, 54), 0)
        pen.oval(x, 0.94 - r, r * 0.22, r * 0.22, STEEL, 0)
    pen.line([(0.22, 0.82), (0.75, 0.86)], STEEL, 0.03)


DRAWINGS: tuple[Callable[[Pen, Colour], None], ...] = (
    _bell, _bird, _car, _clock, _dog, _drum, _flute, _guitar, _kettle, _phone, _robot, _train,
)  # fmt: skip


@once
def sprite(thing: int, colour: int) -> tuple[Image.Image, ...]:
    """One object in one colour as RGBA sheets with sides 256, 128, 64 and 32, lit from the upper left."""
    sheet = Image.new("RGBA", (SHEET, SHEET), (*INK, 0))
    DRAWINGS[thing](Pen(sheet), names.PALETTE[names.COLOURS[colour]])
    pixels = np.asarray(sheet).astype(np.float32)
    pixels[..., :3] = np.clip(pixels[..., :3] * _light()[..., None], 0, 255)
    sheet = Image.fromarray(pixels.astype(np.uint8))
    return tuple(sheet.resize((side, side), Image.Resampling.BOX) for side in (256, 128, 64, 32))


@once
def _light() -> np.ndarray:
    """How bright each pixel of a sheet is lit [SHEET SHEET]."""
    y, x = np.mgrid[0:SHEET, 0:SHEET] / SHEET
    return 1.13 - 0.16 * x - 0.2 * y
