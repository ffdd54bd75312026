"""The face decoder (Cole et al. 2017): a face's landmarks and its texture apart, joined by a warp.

Cole, Belanger, Krishnan, Sarna, Mosseri and Freeman, "Synthesizing Normalized Faces from Facial Identity Features",
CVPR 2017. The texture is a face whose landmarks lie where those of the mean face do; the warp brings them to where this
face has them.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.errors import OptionError
from mmjax.models.blocks import options
from mmjax.models.blocks.adversarial import pixels
from mmjax.models.blocks.pictures import Convolution
from mmjax.ops.convolution import convolve
from mmjax.ops.warp import warp


class Doubled(nn.Module):
    """A transposed 5 x 5 convolution of stride 2, [b h w c] -> [b 2h 2w features], as PyTorch's ConvTranspose2d(5,
    stride=2, padding=2, output_padding=1).

    Computed as one of stride 1 whose channels are the four pixels that come of each: XLA's CPU back end runs that as
    fast as the processor multiplies.
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        c, f = x.shape[-1], self.features
        he = nn.initializers.variance_scaling(8.0, "fan_in", "normal")  # a pixel sees a quarter of the kernel
        kernel = self.param("kernel", he, (5, 5, c, f))
        bias = self.param("bias", nn.initializers.zeros, (f,))
        # y[2q + a] = sum_d x[q + d] k[2 - 2d + a], d = -1, 0, 1, and k[5] = 0: in pairs, the last pair first.
        pairs = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0))).reshape(3, 2, 3, 2, c, f)[::-1, :, ::-1]
        by_pixel = pairs.transpose(0, 2, 4, 1, 3, 5).reshape(3, 3, c, 4 * f)  # dy a dx b c f -> dy dx c (a b f)
        y = convolve(x.astype(self.dtype), by_pixel.astype(self.dtype), (1, 1), "SAME", dimension_numbers=NHWC)
        return pixels(y) + bias.astype(self.dtype)[None, None, None]


NHWC = ("NHWC", "HWIO", "NHWC")


class FaceDecoder(nn.Module):
    """From the feature of a face to its landmarks and its texture.

    Attributes:
      side: of the picture in pixels: grid * 2 ** len(widths).
      first: units of the first layer, whose values the voice encoder's loss compares.
      grid: pixels a side of the texture's first map.
      widths: channels of that map, and after each doubling; the last is that of the picture before its colours.
      shape: units of the hidden layers that give the landmarks.
      points: landmarks.
      dtype: compute dtype; parameters and results stay float32.
    """

    first: int = 256
    grid: int = 4
    widths: tuple[int, ...] = (64, 48, 32, 24, 16)
    shape: tuple[int, ...] = (128,)
    points: int = 68
    dtype: Any = "float32"

    def checked(self) -> FaceDecoder:
        """Itself; raises OptionError for a number that is out of its range."""
        if not self.widths:
            raise OptionError("widths", "is (): the texture's first map needs channels")
        options.sizes(self, "first", "grid", "widths", "shape", "points")
        options.floating(self.dtype)
        return self

    @property
    def side(self) -> int:
        """Of the picture, in pixels."""
        return self.grid * 2 ** (len(self.widths) - 1)

    @nn.compact
    def __call__(self, feature: Float[Array, "b d"]) -> dict[str, Array]:
        """Landmarks and texture.

        Returns:
          "first" [b first], the first layer's values before its ReLU; "offsets" [b points 2], how far each landmark is
          from that of the mean face, in shares of the picture; "texture" [b side side 3], RGB in 0..1. float32.
        """
        first = nn.Dense(self.first, name="first")(feature.astype(jnp.float32))
        known = nn.relu(first)
        x = known
        for i, units in enumerate(self.shape, start=1):
            x = nn.relu(nn.Dense(units, name=f"shape{i}")(x))
        offsets = nn.Dense(2 * self.points, kernel_init=nn.initializers.normal(1e-3), name="landmarks")(x)
        x = nn.Dense(self.grid**2 * self.widths[0], dtype=self.dtype, name="texture")(known)
        x = nn.relu(x).reshape(-1, self.grid, self.grid, self.widths[0])
        for i, width in enumerate(self.widths[1:], start=1):
            x = nn.relu(Doubled(width, self.dtype, name=f"double{i}")(x))
        colours = Convolution(3, (1, 1), dtype=jnp.float32, name="colours")(x.astype(jnp.float32))
        return {
            "first": first,
            "offsets": offsets.reshape(-1, self.points, 2),
            "texture": jax.nn.sigmoid(colours),
        }


def first_layer(params: Any, feature: Float[Array, "b d"]) -> Float[Array, "b first"]:
    """The values of the first layer of a decoder with these parameters, before its ReLU: f_dec of Speech2Face."""
    return feature.astype(jnp.float32) @ params["first"]["kernel"] + params["first"]["bias"][None]


def joined(
    found: dict[str, Array], template: Float[Array, "n 2"]
) -> tuple[Float[Array, "b n 2"], Float[Array, "b side side 3"]]:
    """The landmarks, and the texture warped onto them: what the decoder drew, RGB in 0..1.

    Args:
      found: of `FaceDecoder`.
      template: landmarks of the mean face, where those of the texture lie.
    """
    still = jnp.broadcast_to(template[None], found["offsets"].shape)
    landmarks = still + found["offsets"]
    return landmarks, warp(found["texture"], still, landmarks)
