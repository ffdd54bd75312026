"""A picture network that is trained from scratch with what reads its map, and tells what is there and where."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from mmjax.models.blocks import stages
from mmjax.models.blocks.pictures import Block, Separable, mean_and_max, space_to_depth, standardised


class SceneEncoder(nn.Module):
    """3x3 convolutions with BatchNorm at strides 4 and 8: 14 x 14 places for a picture of 112 x 112 pixels.

    Attention over places is blind to where they are, and convolutions tell it by their padding only; so the last
    stage also sees each place's coordinates (Liu et al. 2018, "An Intriguing Failing of Convolutional Neural
    Networks and the CoordConv Solution").

    Attributes:
      widths: channels at stride 4, at stride 8, and at stride 8 with coordinates.
      depths: blocks of each.
      dtype: compute dtype; parameters and statistics stay float32.
      coordinates: whether the last stage is told where each place is; without, a thing is the same everywhere.
      separable: whether the blocks after the first convolve each channel alone and then each pixel.
    """

    widths: tuple[int, ...] = (32, 64, 96)
    depths: tuple[int, ...] = (1, 2, 2)
    dtype: Any = jnp.float32
    coordinates: bool = True
    separable: bool = False

    def __post_init__(self) -> None:
        stages.paired(self.widths, self.depths)
        super().__post_init__()

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"], *, train: bool = False) -> dict[str, Array]:
        """Runs the network.

        Args:
          image: RGB, 0..255; h and w multiples of 8.
          train: use batch statistics; the collection "state" must then be mutable.

        Returns:
          "map" [b h/8 w/8 d], d = widths[-1]; "features" [b 2d], its mean and its maximum over places, float32.
        """
        block = Separable if self.separable else Block
        x = space_to_depth(standardised(image).astype(self.dtype), 2)
        x = Block(self.widths[0], 2, self.dtype, name="stem")(x, train=train)
        for stage, (width, depth) in enumerate(stages.paired(self.widths, self.depths)):
            if self.coordinates and stage == len(self.widths) - 1:
                x = with_coordinates(x)
            for i in range(depth):
                stride = 2 if stage == 1 and i == 0 else 1
                x = block(width, stride, self.dtype, name=f"stage{stage}_block{i}")(x, train=train)
        # The maximum finds a thing wherever it is: what learns from it need not learn each place apart.
        return {"map": x, "features": mean_and_max(x)}


def with_coordinates(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c+2"]:
    """Two more channels: the row and the column of each place, from -1 to 1."""
    b, h, w, _ = x.shape
    rows, columns = jnp.meshgrid(jnp.linspace(-1, 1, h), jnp.linspace(-1, 1, w), indexing="ij")
    places = jnp.stack([rows, columns], -1).astype(x.dtype)
    return jnp.concatenate([x, jnp.broadcast_to(places[None], (b, h, w, 2))], -1)
