"""Picture files of any kind as eight-bit RGB: deep ones scaled by their type, transparent ones on white.

All readers of pictures come here. It imports quickly, as what child processes do must (`files.child_processes`).
"""

from __future__ import annotations

import functools
import io
import pathlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from mmjax.data.files.faults import Fault, Unusable

JPEG_QUALITY = 95
FITS = ("crop", "squash", "pad")
# Pillow knows these by their suffix, but they are no pixels (or only numbers), or another program would be started.
_NO_PICTURES = ("EPS", "WMF", "MPEG", "FLI", "IPTC", "HDF5", "GRIB", "BUFR", "FITS", "PCD", "GBR")
_ROUNDING = 1e-3  # beyond 0..1 by which floats may miss it, a quarter of a step of eight bits
_BITS, _FORM = 258, 339  # TIFF's tags BitsPerSample and SampleFormat
_SIGNED = 2

Picture = npt.NDArray[np.uint8]


@functools.cache
def suffixes() -> tuple[str, ...]:
    """Those of the pictures that the installed Pillow reads, in lower case with their dots."""
    known = Image.registered_extensions()  # this loads all of its readers
    return tuple(sorted(s for s, kind in known.items() if kind in Image.OPEN and kind not in _NO_PICTURES))


def read(source: pathlib.Path | bytes, least: int = 0, upright: bool = False) -> Image.Image:
    """A picture of eight bits a channel: RGBA where something may be transparent, else RGB.

    Integers are scaled by their type (or by the bits that a TIFF declares), floats have full scale 1.

    Args:
      source: a file, or the bytes of one.
      least: a JPEG may be decoded smaller, at a half, a quarter or an eighth that still has so many pixels each way;
        0 for its own size.
      upright: turned and mirrored as its EXIF data says.

    Raises:
      Unusable: it cannot be read, has floats outside 0..1, or integers so small that all is black.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            if least:
                file.draft("RGB", (least, least))
            scale = _full_scale(file)
            picture = ImageOps.exif_transpose(file) if upright else file
            picture = _shallow(picture, scale) if scale else picture
            if picture.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in picture.info:
                return picture.convert("RGBA")
            return picture.convert("RGB")
    except Unusable:
        raise
    except Exception as error:  # a damaged file leads Pillow's readers to errors of every kind
        raise Unusable("unreadable", str(error) or type(error).__name__) from error


def _full_scale(file: Image.Image) -> float:
    """What white is in a picture of more than eight bits, 0 for others."""
    if file.mode == "F":
        return 1.0
    if file.mode != "I" and not file.mode.startswith("I;16"):
        return 0.0
    tags: Any = getattr(file, "tag_v2", {})
    bits, signed = tags.get(_BITS, (16,))[0], tags.get(_FORM, (1,))[0] == _SIGNED
    return float(2 ** (bits - signed) - 1)  # what is no TIFF has 16 bits where Pillow makes it "I"


def _shallow(picture: Image.Image, full_scale: float) -> Image.Image:
    """A deep grey picture as eight bits; with an alpha channel where one value is declared transparent."""
    samples = np.asarray(picture)
    if picture.mode == "I" and full_scale > 2**31:
        samples = samples.view(np.uint32)  # Pillow knows signed ones only
    eight = _scaled(samples, full_scale)
    grey, clear = Image.fromarray(eight), picture.info.get("transparency")
    if clear is None:
        if picture.mode != "F" and not eight.any() and samples.max(initial=0) > 0:  # classes, 16 bits in a TIFF of 32
            raise Unusable("values too small for their type", f"0 to {samples.max()} of {full_scale:.0f}, all black")
        return grey
    return Image.merge("LA", (grey, Image.fromarray(np.where(samples == clear, 0, 255).astype(np.uint8))))


def eight_bit(samples: npt.NDArray[Any]) -> Picture:
    """Decoded pictures of any type as uint8 of their shape; full scale is that of the integer type, 1 of floats.

    Raises:
      Unusable: floats outside 0..1.
    """
    if samples.dtype == np.uint8:
        return samples
    return _scaled(samples, np.iinfo(samples.dtype).max if samples.dtype.kind in "iu" else 1.0)


def _scaled(samples: npt.NDArray[Any], full_scale: float) -> Picture:
    if samples.dtype.kind == "f":
        low, high = float(samples.min(initial=0)), float(samples.max(initial=0))
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # so that a NaN is outside, too
            raise Unusable("floats outside 0..1", f"{low:g} to {high:g}")
    return np.round(np.clip(samples / full_scale, 0, 1) * 255).astype(np.uint8)


def flat(picture: Image.Image) -> Image.Image:
    """RGB: what is transparent becomes white."""
    if picture.mode == "RGB":
        return picture
    rgba = picture.convert("RGBA")
    canvas = Image.new("RGBA", rgba.size, "white")
    canvas.alpha_composite(rgba)
    return canvas.convert("RGB")


def on_white(path: pathlib.Path, size: int) -> Image.Image:
    """Reads a picture and fits it whole into a white square of `size` pixels."""
    picture = read(path).convert("RGBA")
    scale = size / max(picture.size)
    # Premultiplied resizing is Pillow's for RGBA: the colour of transparent pixels does not bleed into the edges.
    picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.BICUBIC)
    canvas = Image.new("RGBA", (size, size), "white")
    canvas.alpha_composite(picture, ((size - picture.width) // 2, (size - picture.height) // 2))
    return canvas.convert("RGB")


def fitted(picture: Image.Image, size: int, fit: str) -> Image.Image:
    """An eight-bit picture as an RGB square of `size` pixels; what is transparent becomes white.

    Args:
      fit: "crop" scales the shorter side and cuts out the middle, "squash" gives up the proportions, "pad" keeps the
        whole picture on white.
    """
    picture, way = flat(picture), Image.Resampling.BICUBIC
    if fit == "squash":
        return picture.resize((size, size), way)
    if fit == "crop":
        return ImageOps.fit(picture, (size, size), way)
    return ImageOps.pad(picture, (size, size), way, "white")


class Unread(NamedTuple):
    """A picture that is no file of its own: its name and its bytes, or the error that kept them from being read."""

    name: str
    raw: bytes | Exception


def square(folder: str, size: int, fit: str, path: str | Unread) -> bytes | Fault:
    """The JPEG of a fitted picture, or why there is none: work for a child process.

    Args:
      folder, path: of the file, and its path in it; or the bytes of what is none.
      size, fit: see `fitted`.
    """
    name, source = (path, pathlib.Path(folder, path)) if isinstance(path, str) else path
    if isinstance(source, Exception):
        return Fault(name, "unreadable picture", str(source) or type(source).__name__)
    try:
        # "pad" makes pictures smaller than their shorter side: a JPEG that was decoded smaller would be too coarse.
        picture = read(source, 0 if fit == "pad" else size, upright=True)
        return encode(fitted(picture, size, fit), "jpeg")
    except Unusable as error:
        kind = "unreadable picture" if error.kind == "unreadable" else f"picture with {error.kind}"
        return Fault(name, kind, error.detail)


def stretched(path: pathlib.Path, size: int) -> Picture:
    """A picture as a square of `size` pixels without regard to its proportions, as the VQA code reads it."""
    return np.asarray(flat(read(path, least=size)).resize((size, size), Image.Resampling.BILINEAR))


def as_trained(path: pathlib.Path, size: int, fit: str) -> Picture:
    """A picture of a user's as a data set would have given it, uint8 [h w 3].

    Args:
      path: of the file.
      size: of the square, in pixels.
      fit: how the data set makes pictures square: of FITS, through a JPEG as its prepared copy is; "stretch"; "whole",
        on white; or "native", which leaves the picture as it is.

    Raises:
      Unusable: it cannot be read.
    """
    if fit == "native":
        return np.asarray(flat(read(path, upright=True)))
    if fit == "stretch":
        return stretched(path, size)
    if fit == "whole":
        return np.asarray(on_white(path, size))
    found = square(str(path.parent), size, fit, path.name)
    if isinstance(found, Fault):
        raise Unusable(found.kind, found.detail)
    return decode(found)


def whole(folder: str, size: int, path: str) -> bytes | Fault:
    """The PNG of a picture that is fitted whole into a white square, or why there is none; see `square`."""
    try:
        return encode(on_white(pathlib.Path(folder, path), size), "png")
    except Unusable as error:
        return Fault(path, error.kind, error.detail)


def encode(picture: Image.Image, file_format: str) -> bytes:
    """A picture as the bytes of a PNG (lossless) or JPEG (quality 95) file."""
    buffer = io.BytesIO()
    picture.save(buffer, file_format, quality=JPEG_QUALITY)
    return buffer.getvalue()


def decode(data: bytes) -> Picture:
    """The bytes of a picture file as RGB, uint8 [h w 3]."""
    return np.asarray(flat(read(data)))
