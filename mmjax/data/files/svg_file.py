"""Pictures in SVG drawn as pixels, by resvg: an optional package."""

from __future__ import annotations

from typing import Any

from PIL import Image

from mmjax.data.files import pictures
from mmjax.data.files.faults import Unusable
from mmjax.errors import UserError


def require_resvg() -> Any:
    """The package resvg_py; raises UserError where it is missing."""
    try:
        import resvg_py
    except ImportError as error:
        raise UserError(
            "pictures in SVG are drawn with the extra `instruments`: pip install --no-deps resvg-py"
        ) from error
    return resvg_py


def draw(content: bytes, width: int) -> Image.Image:
    """The picture with its transparency.

    Args:
      content: of an SVG file, UTF-8.
      width: in pixels; the height follows.

    Raises:
      UserError: the package is missing.
      Unusable: it is no SVG.
    """
    resvg = require_resvg()
    try:
        # Fonts of the machine would make its picture another one's.
        drawn = resvg.svg_to_bytes(svg_string=content.decode("utf-8"), width=width, skip_system_fonts=True)
    except ValueError as error:
        raise Unusable("no SVG picture", str(error)) from error
    return pictures.read(bytes(drawn))
