"""The eight scenes as paintings: each call paints another one, from its own random numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from mmjax.data.scenes import names
from mmjax.data.scenes.once import once
from mmjax.data.scenes.pen import Colour, Pen, Points, shade

VARIANTS = 40  # paintings of each scene and split; window, mirroring and tint are drawn anew for every example
MARGIN = 1.25  # a painting is wider and higher than the picture, which is a window cut out of it
Rng = np.random.Generator


def _vary(rng: Rng, colour: Sequence[int], spread: float = 10.0) -> Colour:
    return tuple(int(c) for c in np.clip(np.asarray(colour) + rng.normal(0, spread, 3), 0, 255))  # type: ignore


def _gradient(side: int, stops: Sequence[tuple[float, Sequence[int]]]) -> Image.Image:
    """A sheet whose rows blend from stop to stop, top (0) to bottom (1)."""
    at = (np.arange(side) + 0.5) / side
    where = [s for s, _ in stops]
    rows = np.stack([np.interp(at, where, [c[k] for _, c in stops]) for k in range(3)], -1)
    return Image.fromarray(np.broadcast_to(rows[:, None], (side, side, 3)).astype(np.uint8))


def _ridge(rng: Rng, level: float, height: float, waves: float = 2.0) -> Points:
    """The outline of hills: everything below a smooth random line at about `level`."""
    x = np.linspace(-0.05, 1.05, 48)
    y = np.full(48, level)
    for k in range(1, 4):
        y += height / k * rng.uniform(0.4, 1) * np.sin(2 * np.pi * (waves * k * x / 2 + rng.random()))
    return [(-0.05, 1.1), *zip(x.tolist(), y.tolist()), (1.05, 1.1)]


def _cloud(pen: Pen, rng: Rng, x: float, y: float, size: float, colour: Colour) -> None:
    for dx in (-0.09, -0.03, 0.04, 0.1):
        r = size * rng.uniform(0.35, 0.6)
        pen.oval(x + dx * size / 0.1, y - abs(rng.normal(0, size * 0.2)), r * 1.2, r * 0.8, colour, 0)


def _beach(side: int, rng: Rng) -> Image.Image:
    horizon, shore = rng.uniform(0.3, 0.4), rng.uniform(0.52, 0.62)
    sky, sea = _vary(rng, (120, 196, 240)), _vary(rng, (24, 140, 190))
    sand = _vary(rng, (240, 216, 160), 6)
    stops = [(0, sky), (horizon, (222, 242, 250)), (horizon + 0.002, sea), (shore, (110, 206, 210)), (1, sea)]
    pen = Pen(_gradient(side, stops))
    x = rng.uniform(0.15, 0.85)
    for r, c in ((0.1, (252, 246, 214)), (0.07, (255, 236, 140))):
        pen.oval(x, horizon - rng.uniform(0.12, 0.2), r, r, c, 0)
    for _ in range(rng.integers(1, 4)):
        _cloud(pen, rng, rng.random(), rng.uniform(0.05, horizon - 0.1), rng.uniform(0.05, 0.09), (250, 252, 255))
    for _ in range(14):
        x, y = rng.random(), rng.uniform(horizon + 0.02, shore)
        pen.line([(x, y), (x + rng.uniform(0.03, 0.12), y)], (170, 226, 232), 0.006)
    edge = _ridge(rng, shore, 0.012, 3)
    pen.shape(edge, (244, 252, 250), 0)
    pen.shape([(x, y + 0.022) for x, y in edge], shade(sand, 0.88), 0)
    pen.shape([(x, y + 0.06) for x, y in edge], sand, 0)
    for _ in range(70):
        pen.oval(rng.random(), rng.uniform(shore + 0.1, 1), 0.005, 0.003, shade(sand, rng.uniform(0.78, 0.95)), 0)
    return pen.image


def _city(side: int, rng: Rng) -> Image.Image:
    road = rng.uniform(0.68, 0.76)
    pen = Pen(
        _gradient(side, [(0, _vary(rng, (150, 172, 200))), (0.6, _vary(rng, (226, 214, 208))), (1, (120, 120, 126))])
    )
    for depth, width in ((0.8, 0.12), (1.0, 0.2)):
        x = -rng.uniform(0, 0.1)
        while x < 1.0:
            w, top = width * rng.uniform(0.7, 1.3), road - rng.uniform(0.28, 0.62) * (1.15 if depth < 1 else 0.9)
            wall = _vary(rng, [(150, 96, 84), (120, 124, 138), (172, 150, 124), (98, 108, 132)][rng.integers(4)], 9)
            wall = wall if depth == 1 else shade(wall, 1.5)
            pen.box(x, top, x + w, road, wall, 0, 0)
            lit = (255, 232, 150) if rng.random() < 0.5 else (206, 224, 236)
            for wx in np.arange(x + 0.02, x + w - 0.028, 0.042):
                for wy in np.arange(top + 0.03, road - 0.07, 0.06):
                    pane = lit if rng.random() < 0.6 else shade(wall, 0.65)
                    pen.box(wx, wy, wx + 0.022, wy + 0.034, pane, 0, 0)
            x += w + rng.choice([0.0, 0.0, 0.03])
    pen.box(-0.1, road - 0.02, 1.1, road + 0.045, (176, 172, 170), 0, 0)
    pen.box(-0.1, road + 0.035, 1.1, 1.1, _vary(rng, (78, 80, 88), 5), 0, 0)
    for x in np.arange(-rng.uniform(0, 0.2), 1, 0.2):
        pen.box(x, road + 0.15, x + 0.1, road + 0.172, (238, 236, 226), 0, 0)
    return pen.image


def _forest(side: int, rng: Rng) -> Image.Image:
    ground = rng.uniform(0.62, 0.72)
    light = _vary(rng, (176, 206, 140), 12)
    stops = [(0, shade(light, 0.7)), (ground, light), (ground + 0.01, (86, 96, 48)), (1, (54, 66, 34))]
    pen = Pen(_gradient(side, stops))
    for depth in (0.45, 0.7, 1.0):
        bark = shade(_vary(rng, (104, 74, 50), 7), 0.55 + 0.55 / (0.35 + depth) * 0.7)
        for x in rng.random(int(9 - 4 * depth)):
            w, foot = 0.035 * depth * rng.uniform(0.8, 1.4) + 0.01, ground + 0.14 * depth
            bend = rng.normal(0, 0.02)
            trunk = [(x - w, foot), (x - 0.6 * w + bend, -0.05), (x + 0.6 * w + bend, -0.05), (x + w, foot)]
            pen.shape(trunk, bark, 0)
            pen.shape([trunk[1], trunk[0], (x - 0.3 * w, foot), (x - 0.2 * w + bend, -0.05)], shade(bark, 0.8), 0)
        leaf = shade(_vary(rng, (58, 118, 52), 9), 1.5 - 0.6 * depth)
        for x in np.arange(-0.05, 1.05, 0.07):
            r = rng.uniform(0.05, 0.1)
            pen.oval(x, rng.uniform(-0.03, 0.12) * (1.7 - depth), r, r * 0.9, shade(leaf, rng.uniform(0.8, 1.05)), 0)
    for _ in range(60):
        x, y = rng.random(), rng.uniform(ground + 0.06, 1.0)
        blade = shade(_vary(rng, (74, 112, 50), 8), rng.uniform(0.8, 1.2))
        pen.line([(x, y), (x + rng.normal(0, 0.015), y - 0.035)], blade, 0.008)
    return pen.image


def _kitchen(side: int, rng: Rng) -> Image.Image:
    counter = rng.uniform(0.58, 0.66)
    tile, wood = _vary(rng, (236, 232, 218), 6), _vary(rng, (196, 148, 96), 9)
    pen = Pen(Image.new("RGB", (side, side), tile))
    tint = _vary(rng, [(178, 206, 214), (222, 196, 178), (190, 210, 180)][rng.integers(3)], 5)
    for x in np.arange(0, 1.05, 0.1):
        for y in np.arange(0, counter, 0.1):
            if rng.random() < 0.12:
                pen.box(x, y, x + 0.1, y + 0.1, tint, 0, 0)
    for a in np.arange(0, 1.05, 0.1):
        pen.line([(a, 0), (a, counter)], shade(tile, 0.9), 0.007)
        if a < counter:
            pen.line([(0, a), (1, a)], shade(tile, 0.9), 0.007)
    x = rng.uniform(0.1, 0.5)
    pen.box(x, 0.08, x + 0.3, 0.36, (252, 252, 250), 0, 0.008)
    pen.box(x + 0.02, 0.1, x + 0.28, 0.34, _vary(rng, (170, 214, 240)), 0, 0)
    pen.box(x + 0.142, 0.1, x + 0.158, 0.34, (252, 252, 250), 0, 0)
    shelf = rng.uniform(0.26, 0.34)
    left = x - 0.36 if x > 0.35 else x + 0.36
    pen.box(left, shelf, left + 0.3, shelf + 0.025, shade(wood, 0.8), 0, 0.006)
    for k in range(4):
        jar = left + 0.03 + 0.07 * k
        pen.box(jar, shelf - rng.uniform(0.06, 0.11), jar + 0.045, shelf, _vary(rng, (186, 170, 150), 30), 0.008, 0.006)
    pen.box(-0.1, counter, 1.1, counter + 0.05, shade(wood, 1.15), 0, 0.006)
    pen.box(-0.1, counter + 0.05, 1.1, 1.1, wood, 0, 0)
    for x in np.arange(-rng.uniform(0, 0.2), 1.0, 0.26):
        pen.box(x + 0.015, counter + 0.08, x + 0.245, 1.1, shade(wood, 1.12), 0.01, 0.007)
        pen.oval(x + 0.21, counter + 0.16, 0.012, 0.012, (90, 80, 74), 0)
    return pen.image


def _meadow(side: int, rng: Rng) -> Image.Image:
    horizon = rng.uniform(0.34, 0.46)
    pen = Pen(
        _gradient(side, [(0, _vary(rng, (104, 178, 244))), (horizon + 0.1, (214, 238, 252)), (1, (200, 230, 250))])
    )
    for _ in range(rng.integers(2, 5)):
        _cloud(pen, rng, rng.random(), rng.uniform(0.06, 0.26), rng.uniform(0.05, 0.1), (252, 254, 255))
    for k, green in enumerate(((134, 190, 110), (120, 196, 78), (98, 182, 60))):
        pen.shape(_ridge(rng, horizon + 0.13 * k, 0.035, 1.2), _vary(rng, green, 7), 0)
    for _ in range(60):
        x, y = rng.random(), rng.uniform(horizon + 0.3, 1.0)
        pen.line([(x, y), (x + rng.normal(0, 0.01), y - 0.03)], _vary(rng, (70, 150, 48), 8), 0.007)
    for _ in range(34):
        x, y = rng.random(), rng.uniform(horizon + 0.22, 1.0)
        r = 0.006 + 0.012 * (y - horizon)
        petal = [(255, 255, 255), (250, 232, 120), (240, 190, 220), (226, 206, 250)][rng.integers(4)]
        for a in range(5):
            pen.oval(x + r * np.cos(a * 1.257), y + r * np.sin(a * 1.257), r * 0.75, r * 0.75, petal, 0)
        pen.oval(x, y, r * 0.6, r * 0.6, (244, 176, 50), 0)
    return pen.image


def _night(side: int, rng: Rng) -> Image.Image:
    horizon = rng.uniform(0.6, 0.72)
    pen = Pen(
        _gradient(side, [(0, _vary(rng, (12, 14, 44), 5)), (horizon, _vary(rng, (58, 54, 112), 8)), (1, (40, 40, 80))])
    )
    for _ in range(60):
        r = rng.uniform(0.002, 0.006)
        pen.oval(rng.random(), rng.uniform(0, horizon), r, r, _vary(rng, (240, 240, 220), 14), 0)
    x, y = rng.uniform(0.15, 0.85), rng.uniform(0.14, 0.26)
    pen.oval(x, y, 0.115, 0.115, (42, 44, 88), 0)
    pen.oval(x, y, 0.085, 0.085, (250, 244, 210), 0)
    for dx, dy, r in ((-0.02, -0.03, 0.018), (0.03, 0.01, 0.024), (-0.03, 0.035, 0.014)):
        pen.oval(x + dx, y + dy, r, r, (228, 220, 184), 0)
    pen.shape(_ridge(rng, horizon - 0.06, 0.04, 1.5), (34, 36, 74), 0)
    pen.shape(_ridge(rng, horizon + 0.04, 0.03, 1.2), (22, 26, 52), 0)
    for x in rng.random(3):
        y = horizon + rng.uniform(0.08, 0.14)
        pen.box(x - 0.035, y - 0.05, x + 0.035, y, (12, 14, 30), 0, 0)
        pen.shape([(x - 0.05, y - 0.05), (x, y - 0.095), (x + 0.05, y - 0.05)], (12, 14, 30), 0)
        pen.box(x - 0.012, y - 0.038, x + 0.012, y - 0.014, (255, 214, 110), 0, 0)
    pen.shape(_ridge(rng, horizon + 0.2, 0.02, 1.0), (14, 18, 38), 0)
    return pen.image


def _snow(side: int, rng: Rng) -> Image.Image:
    horizon = rng.uniform(0.46, 0.56)
    pen = Pen(_gradient(side, [(0, _vary(rng, (158, 182, 208), 7)), (horizon, (226, 234, 242)), (1, (226, 234, 242))]))
    for _ in range(4):
        x, w, h = rng.random(), rng.uniform(0.2, 0.34), rng.uniform(0.18, 0.34)
        peak = (x + rng.normal(0, 0.03), horizon - h)
        pen.shape([(x - w, horizon + 0.05), peak, (x + w, horizon + 0.05)], _vary(rng, (134, 152, 178), 6), 0)
        cap = [
            (peak[0] + s * w * 0.3, peak[1] + h * d)
            for s, d in ((-1, 0.33), (-0.4, 0.25), (0, 0.38), (0.4, 0.26), (1, 0.34))
        ]
        pen.shape([peak, *cap[::-1]], (248, 250, 253), 0)
    pen.shape(_ridge(rng, horizon + 0.04, 0.025, 1.3), (214, 224, 238), 0)
    for x in rng.random(5):
        y, s = horizon + rng.uniform(0.08, 0.16), rng.uniform(0.07, 0.12)
        for k in range(3):
            top, wide = y - s * (2.2 - 0.62 * k), s * (0.34 + 0.16 * k)
            pen.shape(
                [(x - wide, top + s * 0.95), (x, top), (x + wide, top + s * 0.95)], _vary(rng, (52, 88, 84), 5), 0
            )
            pen.shape(
                [(x - wide * 0.45, top + s * 0.43), (x, top), (x + wide * 0.45, top + s * 0.43)], (240, 246, 250), 0
            )
    pen.shape(_ridge(rng, horizon + 0.2, 0.02, 1.0), (240, 245, 251), 0)
    for _ in range(70):
        r = rng.uniform(0.004, 0.01)
        pen.oval(rng.random(), rng.random(), r, r, (255, 255, 255), 0)
    return pen.image


def _water(side: int, rng: Rng) -> Image.Image:
    deep = _vary(rng, (8, 62, 116), 8)
    image = _gradient(side, [(0, _vary(rng, (84, 204, 222), 8)), (0.75, deep), (1, deep)])
    rays = Image.new("L", image.size, 0)
    ray = Pen(rays)
    for x in rng.random(6):
        w, slant = rng.uniform(0.02, 0.06), rng.uniform(-0.3, 0.3)
        ray.shape([(x - w, -0.05), (x + w, -0.05), (x + slant + 2 * w, 0.9), (x + slant - 2 * w, 0.9)], 38, 0)  # type: ignore
    image.paste((214, 250, 250), (0, 0), rays)
    pen = Pen(image)
    sand = _vary(rng, (150, 164, 130), 7)
    pen.shape(_ridge(rng, 0.86, 0.025, 1.4), shade(sand, 0.8), 0)
    pen.shape(_ridge(rng, 0.92, 0.02, 1.1), sand, 0)
    for x in rng.random(9):
        y, sway, green = rng.uniform(0.88, 0.98), rng.uniform(0.01, 0.03), _vary(rng, (30, 130, 90), 16)
        t = np.linspace(0, rng.uniform(0.18, 0.42), 16)
        blade = list(zip((x + sway * np.sin(t * 26 + rng.random() * 6)).tolist(), (y - t).tolist()))
        pen.line(blade, green, 0.02)
    for _ in range(26):
        x, y, r = rng.random(), rng.random() * 0.85, rng.uniform(0.006, 0.02)
        pen.oval(x, y, r, r, (190, 236, 244), 0)
        pen.oval(x, y, r * 0.72, r * 0.72, (94, 180, 206), 0)
        pen.oval(x - r * 0.3, y - r * 0.3, r * 0.25, r * 0.25, (240, 252, 255), 0)
    return image


PAINTINGS: tuple[Callable[[int, Rng], Image.Image], ...] = (
    _beach, _city, _forest, _kitchen, _meadow, _night, _snow, _water,
)  # fmt: skip


@once
def painting(scene: int, split: int, variant: int, side: int) -> Image.Image:
    """A painting for pictures with `side` pixels; each split has its own."""
    rng = np.random.default_rng((scene, split, variant))
    full = round(side * MARGIN)
    return PAINTINGS[scene](2 * full, rng).reduce(2)


def window(rng: Rng, scene: int, split: str, side: int) -> Image.Image:
    """A window on a random painting of the scene, perhaps mirrored, slightly tinted."""
    sheet = painting(scene, names.SPLITS.index(split), int(rng.integers(VARIANTS)), side)
    x, y = (int(v) for v in rng.integers(0, sheet.width - side + 1, 2))
    cut = sheet.crop((x, y, x + side, y + side))
    if rng.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    gains = rng.uniform(0.86, 1.1) * rng.uniform(0.96, 1.04, 3)
    table = np.minimum(np.arange(256) * gains[:, None] + 0.5, 255).astype(np.uint8)
    return cut.point(table.ravel().tolist())
