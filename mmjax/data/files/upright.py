"""Decoded frames as upright pictures: square pixels, turned and mirrored as the file says."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmjax.data.files import media, pictures


def rgb(frame: Any, aspect: float, size: int, fit: str = "crop") -> pictures.Picture:
    """A decoded frame, its pixels `aspect` wide for 1 high, as an upright RGB square of `size` pixels.

    "crop" scales the short side and cuts out the middle; "squash" keeps the whole picture and gives up its proportions;
    "whole" keeps both, and is no square: its long side has `size` pixels.
    """
    if fit == "squash":
        picture = frame.reformat(width=size, height=size, format="rgb24", interpolation="BICUBIC").to_ndarray()
        return np.ascontiguousarray(turned(picture, matrix_of(frame)))
    width, height = frame.width * aspect, frame.height
    whole = fit == "whole"
    scale = size / (max(width, height) if whole else min(width, height))
    wide, high = (max(1 if whole else size, round(side * scale)) for side in (width, height))
    picture = frame.reformat(width=wide, height=high, format="rgb24", interpolation="BICUBIC").to_ndarray()
    if not whole:
        left, top = (wide - size) // 2, (high - size) // 2
        picture = picture[top : top + size, left : left + size]
    return np.ascontiguousarray(turned(picture, matrix_of(frame)))


def matrix_of(frame: Any) -> tuple[int, int, int, int] | None:
    """How a frame is to be shown: a, b, c, d of x' = a x + c y, y' = b x + d y, y pointing down."""
    kind = media.require_av().sidedata.sidedata.Type.DISPLAYMATRIX
    if kind not in frame.side_data:
        return None
    a, b, _, c, d, *_ = np.frombuffer(bytes(frame.side_data[kind]), np.int32).tolist()
    return a, b, c, d


def turned(picture: pictures.Picture, matrix: tuple[int, int, int, int] | None) -> pictures.Picture:
    """Turns and mirrors a picture by the matrix of its file, to the nearest quarter: phones write them as filmed."""
    if matrix is None or not any(matrix):
        return picture
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        right, down = a, d
    else:
        picture, right, down = picture.swapaxes(0, 1), c, b
    return picture[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]
