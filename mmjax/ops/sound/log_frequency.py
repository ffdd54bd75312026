"""Spectrograms on a logarithmic frequency axis, and back: Sound of Pixels' warp (Zhao et al. 2018, section 3.1).

Row y of the warped spectrogram, in -1..1 from the lowest to the highest, lies at (BASE^((y + 1) / 2) - 11) / 10 on the
linear axis of the bins, which runs from -1 to 1 as well; both ends stay where they are. Values between bins are
interpolated linearly, as grid sampling with aligned corners does.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmjax.errors import UserError

BASE = 21.0  # how many times wider, in hertz, the highest row is than the lowest


def warp(x: Float[Array, "*b bins frames"], rows: int) -> Float[Array, "*b rows frames"]:
    """From bins that are evenly spaced in hertz to rows that are denser at low frequencies.

    Raises:
      UserError: fewer than two bins or rows.
    """
    return _sampled(x, "warp", rows)


def unwarp(x: Float[Array, "*b rows frames"], bins: int) -> Float[Array, "*b bins frames"]:
    """The inverse axis: from rows back to `bins` that are evenly spaced in hertz.

    What the warp left out at high frequencies, where several bins share a row, does not come back.

    Raises:
      UserError: fewer than two bins or rows.
    """
    return _sampled(x, "unwarp", bins)


def _sampled(x, way: str, wanted: int):
    low, share = _places(way, x.shape[-2], wanted)
    above = jnp.asarray(share, x.dtype).reshape((1,) * (x.ndim - 2) + (-1, 1))
    return x[..., low, :] * (1 - above) + x[..., low + 1, :] * above


@functools.lru_cache(maxsize=16)
def _places(way: str, given: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """For each wanted row the place below it among the given ones, and the share of the place above."""
    if min(given, wanted) < 2:
        raise UserError(f"{given} rows of frequency to {wanted}: both must be at least 2")
    y = np.linspace(-1, 1, wanted)
    to = (BASE ** ((y + 1) / 2) - 11) / 10 if way == "warp" else 2 * np.log(10 * y + 11) / np.log(BASE) - 1
    place = np.clip((to + 1) / 2, 0, 1) * (given - 1)
    low = np.minimum(np.floor(place), given - 2).astype(np.int32)
    return low, place - low
