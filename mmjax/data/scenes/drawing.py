"""From a layout to pixels: every object's mask, its box and visible area, and the finished picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from mmjax.data.scenes import backgrounds
from mmjax.data.scenes.layout import Layout, Thing
from mmjax.data.scenes.sprites import sprite

Patch = tuple[Image.Image, int, int]  # RGBA and the column and row of its corner in the picture


def cut_out(thing: Thing, side: int) -> Patch:
    """One object alone, turned and scaled, as a small RGBA patch."""
    sheets = sprite(thing.object, thing.colour)
    size = thing.size * side
    # The sheet closest above the size on screen: bilinear sampling then never skips pixels.
    sheet = next((s for s in reversed(sheets) if s.width >= size), sheets[0])
    reach = size * 0.5 * (abs(np.cos(thing.angle)) + abs(np.sin(thing.angle))) + 1
    x0, y0 = int(np.floor(thing.x * side - reach)), int(np.floor(thing.y * side - reach))
    x1, y1 = int(np.ceil(thing.x * side + reach)), int(np.ceil(thing.y * side + reach))
    scale = sheet.width / size
    cos, sin = scale * np.cos(thing.angle), scale * np.sin(thing.angle)
    dx, dy = x0 - thing.x * side, y0 - thing.y * side
    across = np.array([cos, sin, cos * dx + sin * dy])
    down = np.array([-sin, cos, -sin * dx + cos * dy])
    if thing.mirrored:
        across = -across
    across[2] += sheet.width / 2
    down[2] += sheet.width / 2
    matrix = (*across.tolist(), *down.tolist())
    patch = sheet.transform((x1 - x0, y1 - y0), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return patch, x0, y0


def mask(patch: Patch, side: int) -> np.ndarray:
    """The pixels of one object alone, bool [side side]: those it covers by half or more."""
    full = Image.new("L", (side, side))
    full.paste(patch[0].getchannel("A"), patch[1:])
    return np.asarray(full) >= 128


def measure(patches: Sequence[Patch], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [n 4] of the whole objects and areas [n] of what those in front leave visible, in shares of the picture."""
    boxes = np.zeros((len(patches), 4), np.float32)
    areas = np.zeros(len(patches), np.float32)
    taken = np.zeros((side, side), bool)
    for k, patch in enumerate(patches):
        own = mask(patch, side)
        rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
        boxes[k] = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
        areas[k] = np.count_nonzero(own & ~taken)
        taken |= own
    return boxes / np.float32(side), areas / np.float32(side * side)


def picture(rng: np.random.Generator, layout: Layout, patches: Sequence[Patch], split: str, side: int) -> np.ndarray:
    """The finished picture, uint8 [side side 3]: a painting chosen by `rng`, then the objects, back to front."""
    image = backgrounds.window(rng, layout.scene, split, side)
    for patch, x, y in reversed(patches):
        image.paste(patch, (x, y), patch)
    return np.array(image)
