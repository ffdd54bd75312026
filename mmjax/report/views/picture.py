"""Pictures and heatmaps as data URIs."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image

from mmjax.report import html
from mmjax.report.html import Markup, tag

_LARGEST = 384
_LOSSLESS = 160  # up to this side PNG, whose bytes then matter little; beyond, JPEG


def pixels(image: Shaped[np.ndarray, "h w *c"]) -> UInt8[np.ndarray, "h w 3"]:
    """Any picture as 8-bit RGB: uint8 as it is, floats taken as 0..1, grey ones repeated, extra channels dropped."""
    image = np.asarray(image)
    if image.dtype != np.uint8:
        scale = 255.0 if np.issubdtype(image.dtype, np.floating) else 1.0
        image = np.clip(np.nan_to_num(image.astype(np.float64)) * scale, 0, 255).round().astype(np.uint8)
    image = image[..., None] if image.ndim == 2 else image
    return np.repeat(image[..., :1], 3, axis=-1) if image.shape[-1] < 3 else image[..., :3]


def image_uri(image: UInt8[np.ndarray, "h w 3"]) -> str:
    """A PNG (small pictures) or JPEG (large ones, at most 384 pixels a side) data URI."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    small = max(picture.size) <= _LOSSLESS
    picture.thumbnail((_LARGEST, _LARGEST))
    buffer = io.BytesIO()
    if small:
        picture.save(buffer, format="PNG", optimize=True)
    else:
        picture.save(buffer, format="JPEG", quality=88)
    return html.data_uri(buffer.getvalue(), "image/png" if small else "image/jpeg")


def bounds(heatmap: Float[np.ndarray, "h w"]) -> tuple[float, float]:
    """The least and the greatest finite value; zeros where there is none."""
    finite = heatmap[np.isfinite(heatmap)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def overlay(
    heatmap: Float[np.ndarray, "h w"],
    image: UInt8[np.ndarray, "H W 3"] | None,
    limits: tuple[float, float] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """A heatmap in colour over the greyed picture, from a minimum (clear) to a maximum.

    Args:
      heatmap: any size and range; what is not finite counts as the minimum.
      image: the picture below; None shows the map alone, enlarged to at least 112 pixels.
      limits: the minimum and maximum, where several maps are to compare; None for the map's own.

    Returns:
      uint8 [H W 3].
    """
    values = np.asarray(heatmap, np.float64)
    low, high = bounds(values) if limits is None else limits
    share = np.nan_to_num((values - low) / (high - low or 1.0), nan=0.0, posinf=0.0, neginf=0.0).clip(0, 1)
    height, width = np.maximum(values.shape, 112) if image is None else image.shape[:2]
    share = np.asarray(Image.fromarray(share.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
    colour = matplotlib.colormaps["inferno"](share)[..., :3] * 255
    if image is None:
        return colour.round().astype(np.uint8)
    grey = np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)
    alpha = 0.25 + 0.55 * share[..., None]
    return (alpha * colour + (1 - alpha) * grey).round().astype(np.uint8)


def figure(image: UInt8[np.ndarray, "h w 3"], label: str, caption: str) -> Markup:
    """A picture with its caption; `label` is the text for those who do not see it."""
    height, width = image.shape[:2]
    shown = tag("img", src=image_uri(image), alt=label, width=width, height=height)
    return tag("figure", shown, tag("figcaption", caption))
