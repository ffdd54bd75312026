"""How published evaluators resize a map, as matrices; without JAX, for what child processes import."""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float

SIZE = 224
RESIZES = ("corners", "centres", "cubic")


@functools.cache
def resizing(before: int, after: int, how: str) -> Float[np.ndarray, "after before"]:
    """The matrix that resizes one axis; see `resized`."""
    if how not in RESIZES:
        raise ValueError(f"how {how!r}: choose one of {', '.join(RESIZES)}")
    places = np.arange(after)
    middles, corners = (places + 0.5) * before / after - 0.5, places * (before - 1) / max(after - 1, 1)
    at = np.clip(middles if how == "centres" else corners, 0, before - 1)
    matrix = np.zeros((after, before))
    first = np.floor(at).astype(int)
    for tap in range(-1, 3) if how == "cubic" else range(2):
        apart = np.abs(at - (first + tap))
        weight = _cubic(apart) if how == "cubic" else np.maximum(1 - apart, 0)
        np.add.at(matrix, (places, np.clip(first + tap, 0, before - 1)), weight)
    return matrix.astype(np.float32)


def _cubic(apart: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Keys' kernel with the constant of OpenCV and PyTorch."""
    near = ((a + 2) * apart - (a + 3)) * apart**2 + 1
    far = ((apart - 5) * apart + 8) * a * apart - 4 * a
    return np.where(apart <= 1, near, np.where(apart < 2, far, 0.0))
