"""A small picture network with an object head and a scene head: the teacher of the systems on the default data."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Num

from mmjax.models.blocks import stages
from mmjax.models.blocks.pictures import mean_and_max, pyramid, pyramid_channels


class Recogniser(nn.Module):
    """What is in a picture and where it was taken: cheap enough to be called in every training step on a CPU.

    Attributes:
      objects: classes of the object head.
      scenes: classes of the scene head.
      widths: channels at strides 4, 8 and 16.
      depths: blocks at each of these strides.
      dtype: compute dtype; parameters and statistics stay float32.
      separable: whether the blocks after the first convolve each channel alone and then each pixel.
    """

    objects: int
    scenes: int
    widths: tuple[int, ...] = (32, 64, 96)
    depths: tuple[int, ...] = (1, 2, 2)
    dtype: Any = jnp.float32
    separable: bool = False

    def __post_init__(self) -> None:
        stages.paired(self.widths, self.depths)
        super().__post_init__()

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"], *, train: bool = False) -> dict[str, Array]:
        """Runs the network.

        Args:
          image: RGB, 0..255; h and w multiples of 16.
          train: use batch statistics; the collection "state" must then be mutable.

        Returns:
          "object" [b objects] and "scene" [b scenes], logits; "map" [b h/16 w/16 d]; "features" [b 2d], its mean and
          its maximum over places, from which both heads read. All but "map" float32.
        """
        x = pyramid(image, self, train=train)
        # The mean tells a scene, which is everywhere; the maximum an object, which is at one place.
        features = mean_and_max(x)
        return {
            "object": nn.Dense(self.objects, name="object")(features),
            "scene": nn.Dense(self.scenes, name="scene")(features),
            "map": x,
            "features": features,
        }

    def channels(self, params: str, state: str) -> tuple[dict[str, tuple[tuple[int, ...], int]], ...]:
        """What stands or falls together, `task.Channels`, of parameters and state that lie at these places."""
        found = pyramid_channels(self, params, state)
        heads = {f"{params}/{head}/kernel": ((0,), 2) for head in ("object", "scene")}  # of the mean and the maximum
        return (*found[:-1], {**found[-1], **heads})
