"""Where faces are in pictures, by OpenCV's cascade (Viola and Jones 2001), which the extra `faces` brings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from mmjax.errors import UserError

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; a square
Detect = Callable[[np.ndarray], list[Box]]
CASCADE = "haarcascade_frontalface_default.xml"
LEAST = 1 / 8  # of the picture's shorter side: a face below it is nobody who is filmed speaking
AROUND = 1.3  # a crop's side, as a multiple of the box's: chin and hair belong to a face


def detector() -> Detect:
    """A function of a picture, uint8 [h w 3], that gives the boxes of its faces. Raises UserError without the extra."""
    try:
        import cv2
    except ImportError:
        raise UserError("faces are found by OpenCV, which is not installed: pip install 'mmjax[faces]'") from None
    cascade = None
    if hasattr(cv2, "CascadeClassifier"):  # those of OpenCV 5 have none, or one without its files
        from cv2.data import haarcascades

        cascade = cv2.CascadeClassifier(haarcascades + CASCADE)
    if cascade is None or cascade.empty():
        raise UserError(f"OpenCV {cv2.__version__} has no {CASCADE}: pip install 'mmjax[faces]'")

    def detect(picture: np.ndarray) -> list[Box]:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        least = max(24, int(LEAST * min(grey.shape)))
        found = cascade.detectMultiScale(grey, 1.1, 5, minSize=(least, least))
        return [(int(x), int(y), int(x + w), int(y + h)) for x, y, w, h in found]

    return detect


def only(frames: np.ndarray, detect: Detect) -> tuple[int, Box] | str:
    """The one face of a clip: the frame [f h w 3] in which it is largest, and its box there; or why there is none.

    "no face", or "several faces" where any frame has more than one.
    """
    found = [detect(frame) for frame in frames]
    if max(map(len, found), default=0) > 1:
        return "several faces"
    seen = [(i, boxes[0]) for i, boxes in enumerate(found) if boxes]
    if not seen:
        return "no face"
    return max(seen, key=lambda one: one[1][2] - one[1][0])


def crop(picture: np.ndarray, box: Box, size: int) -> np.ndarray:
    """The face with a margin, uint8 [size size 3]; what lies outside of the picture repeats its edge."""
    left, top, right, bottom = box
    half = max(1, round(AROUND * max(right - left, bottom - top) / 2))
    x, y = (left + right) // 2, (top + bottom) // 2
    padded = np.pad(picture, ((half, half), (half, half), (0, 0)), "edge")
    cut = padded[y : y + 2 * half, x : x + 2 * half]
    return np.array(Image.fromarray(cut).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0))
