"""Pictures as arrays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt8


def resize(pictures: UInt8[Array, "n h w 3"], size: int) -> Array:
    """To size x size, bilinear and antialiased as Pillow's, 0..255; untouched where it has that size already.

    The whole picture is kept: what lies at the border of a video frame is heard as well.
    """
    if pictures.shape[1:3] == (size, size):
        return pictures
    shape = (pictures.shape[0], size, size, 3)
    return jax.image.resize(pictures.astype(jnp.float32), shape, "linear", antialias=True)
