"""The picture's side of a joint embedding that is trained beside a text encoder."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from mmjax.models.vision.scene_encoder import SceneEncoder


class PictureSide(nn.Module):
    """A small network for pictures and a linear map of what it sees.

    Attributes:
      features: d of the result.
      widths, depths: of `SceneEncoder`.
      dtype: compute dtype.
    """

    features: int = 64
    widths: tuple[int, ...] = (32, 64, 96)
    depths: tuple[int, ...] = (1, 1, 1)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"], *, train: bool = False) -> Float[Array, "b d"]:
        """Embeds pictures of 0..255."""
        seen = SceneEncoder(self.widths, self.depths, dtype=self.dtype, name="encoder")(image, train=train)
        return nn.Dense(self.features, name="out")(seen["features"])
