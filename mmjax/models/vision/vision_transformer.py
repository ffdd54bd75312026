"""The vision transformer that CLIP calls its image tower: patches, a class token, one vector of the shared space."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from mmjax.errors import UserError
from mmjax.models.blocks.transformer import LayerNorm, Transformer

# Of the pictures that CLIP was trained on, in 0..255: what its towers subtract and divide by.
MEAN = (0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255)
STD = (0.26862954 * 255, 0.26130258 * 255, 0.27577711 * 255)


def standardised(image: Num[Array, "b h w 3"], size: int) -> Float[Array, "b h w 3"]:
    """A picture of 0..255 as CLIP's towers see it, float32. Raises UserError unless it is a square of side `size`."""
    if image.shape[1:] != (size, size, 3):
        h, w = image.shape[1:3]
        raise UserError(f"the image tower is for {size} x {size} pixels (image_size), and the pictures have {h} x {w}")
    mean, std = (jnp.asarray(v, jnp.float32).reshape(1, 1, 1, 3) for v in (MEAN, STD))
    return (image.astype(jnp.float32) - mean) / std


class VisionTransformer(nn.Module):
    """ViT (Dosovitskiy et al. 2021) with a norm before the first block (Radford et al. 2021, section 2.4).

    Initial values are drawn as CLIP's code draws those of its text tower, scaled by depth: for the blocks of images
    it leaves PyTorch's defaults, and the paper says no more than that they differ from Dosovitskiy's.

    Attributes:
      width: of the tokens.
      layers: blocks.
      heads: of each block.
      patch: side of a patch, in pixels; what is left over at the right and below is not seen.
      embed: width of the output.
      image_size: side of the picture, which fixes the number of learned positions.
      activation: "quick_gelu" (OpenAI's weights) or "gelu".
      dtype: compute dtype; parameters are float32.
      remat: compute the blocks again in the backward pass instead of keeping what they made.
      inside: width of each block's network between its two layers; 0 = four times `width`.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    patch: int = 32
    embed: int = 512
    image_size: int = 224
    activation: str = "quick_gelu"
    dtype: Any = jnp.float32
    remat: bool = False
    inside: int = 0

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"], *, train: bool = False) -> Float[Array, "b d"]:
        """One vector a picture, float32, not normalised.

        Args:
          image: RGB, 0..255, image_size squared.
          train: changes nothing; the residual network of the same place needs it.

        Raises:
          UserError: pictures of another size, or smaller than a patch.
        """
        del train
        side, scale = self.image_size // self.patch, self.width**-0.5
        if not side:
            raise UserError(f"a patch of {self.patch} pixels is larger than image_size, {self.image_size}")
        x = patches(standardised(image, self.image_size).astype(self.dtype), self.patch)
        # PyTorch's default for a convolution has this deviation, but is uniform.
        kernel = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        x = nn.Dense(self.width, use_bias=False, dtype=self.dtype, kernel_init=kernel, name="patches")(x)
        draw = nn.initializers.normal(scale)
        first = self.param("class_token", draw, (self.width,), jnp.float32)
        first = jnp.broadcast_to(first.astype(self.dtype)[None, None], (x.shape[0], 1, self.width))
        position = self.param("positions", draw, (side**2 + 1, self.width), jnp.float32)
        x = jnp.concatenate([first, x], 1) + position.astype(self.dtype)[None]
        x = LayerNorm(self.dtype, name="norm_before")(x)
        own = (self.layers, self.heads, self.activation, False, self.dtype, self.remat, self.inside)
        blocks = Transformer(*own, name="blocks")
        x = blocks(x, jnp.zeros(x.shape[0], jnp.int32))[:, 0]
        return project(LayerNorm(self.dtype, name="norm_after")(x), self.embed, self.dtype)


def project(x: Float[Array, "b w"], embed: int, dtype: Any) -> Float[Array, "b d"]:
    """x times the tower's last matrix, "projection", float32. To be called inside a compact method."""
    kernel = nn.initializers.normal(x.shape[-1] ** -0.5)
    return nn.Dense(embed, use_bias=False, dtype=dtype, kernel_init=kernel, name="projection")(x).astype(jnp.float32)


def patches(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b n p"]:
    """The size x size squares row by row, each as one vector: a strided convolution is then a matrix product."""
    b, h, w, c = x.shape
    rows, columns = h // size, w // size
    x = x[:, : rows * size, : columns * size].reshape(b, rows, size, columns, size, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, rows * columns, size * size * c)  # b i j dy dx c -> b (i j) p
