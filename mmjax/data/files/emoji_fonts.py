"""Colour fonts: which emoji one can draw, and their pictures. FreeType through Pillow; nothing is stored."""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import pathlib
import sys
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont, features

from mmjax.errors import UserError

# Pixels that a font is opened at. Fonts of bitmaps have one size only: Noto's 109, Apple's 160 and others.
SIZES = (128, 109, 160, 136, 96, 64)
NOWHERE = "\U0010ffff"  # no character: a font draws its sign for a missing one
WIDE = 1.5  # advances of one emoji: more is a sequence that the font cannot join, drawn as its parts
MARGIN = 2  # pixels around the largest emoji of a font

Box = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True, eq=False)  # compared by identity: `style` gives one for the same arguments
class Style:
    """How emoji are drawn: the font, what it draws, and the square of its canvas that holds every one of them."""

    path: str
    texts: frozenset[str]
    box: Box
    size: int

    @functools.cached_property
    def digest(self) -> str:
        """Hexadecimal digits of the font's bytes."""
        return hashlib.blake2b(pathlib.Path(self.path).read_bytes(), digest_size=8).hexdigest()

    def draw(self, text: str) -> np.ndarray:
        """uint8 [size size 3] on white. Emoji keep their sizes: a small square stays small."""
        picture = _canvas(self.path, text).crop(self.box)
        return np.asarray(picture.resize((self.size, self.size), Image.Resampling.LANCZOS))


@functools.lru_cache(maxsize=8)
def style(path: str, texts: tuple[str, ...], size: int) -> Style:
    """The style that draws those of `texts` that its font has; of texts drawn exactly alike the first.

    Raises:
      UserError: the font draws none of them.
    """
    opened = font(path)
    lengths = {text: opened.getlength(text) for text in texts}
    usual = collections.Counter(round(length) for length in lengths.values()).most_common(1)[0][0]
    missing, pictures, found = _digest(_canvas(path, NOWHERE)), set(), set()
    around: Box | None = None
    left: collections.Counter[str] = collections.Counter()
    for text in texts:
        picture = _canvas(path, text)
        ink, digest = _ink(picture), _digest(picture)
        if ink is None or digest == missing or lengths[text] > WIDE * usual:
            left["that it lacks"] += 1
        elif digest in pictures:
            left["drawn like another"] += 1
        else:
            pictures.add(digest)
            found.add(text)
            around = ink if around is None else _union(around, ink)
    if around is None:
        raise UserError(f"the font {path} draws none of these emoji")
    _tell(path, len(found), left)
    return Style(path, frozenset(found), _square(around), size)


def _tell(path: str, count: int, left: collections.Counter[str]) -> None:
    """Prints how many emoji a font gives, and how many were left out and why."""
    out = ", ".join(f"{number:,} {kind}" for kind, number in sorted(left.items()))
    # Flags, families and professions are sequences, which Pillow joins with the help of two libraries.
    joins = features.check("raqm") and features.check("fribidi")
    hint = (
        "" if joins or not left["that it lacks"] else " (Pillow is without Raqm or FriBiDi: sequences are not joined)"
    )
    print(
        f"emoji: {pathlib.Path(path).name} draws {count:,}" + (f"; left out {out}{hint}" if out else ""),
        file=sys.stderr,
    )


@functools.lru_cache(maxsize=8)
def font(path: str) -> Any:
    """The font at the first of SIZES that it has. Raises UserError for a damaged file."""
    for size in SIZES:
        try:
            return ImageFont.truetype(path, size)
        except OSError as error:
            reason = str(error)
    raise UserError(f"the font {path} cannot be opened: {reason}")


def _canvas(path: str, text: str) -> Image.Image:
    opened = font(path)
    side = round(2 * opened.size)  # an emoji is about 1.3 times the size wide
    picture = Image.new("RGB", (side, side), "white")
    place = (opened.size // 4, opened.size // 4)
    ImageDraw.Draw(picture).text(place, text, fill="black", font=opened, embedded_color=True)
    return picture


def _ink(picture: Image.Image) -> Box | None:
    return ImageChops.difference(picture, Image.new("RGB", picture.size, "white")).getbbox()


def _digest(picture: Image.Image) -> bytes:
    return hashlib.sha256(picture.tobytes()).digest()


def _union(one: Box, other: Box) -> Box:
    return (min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3]))


def _square(box: Box) -> Box:
    left, top, right, bottom = box
    side = max(right - left, bottom - top) + 2 * MARGIN
    left, top = (left + right - side) // 2, (top + bottom - side) // 2
    return left, top, left + side, top + side
