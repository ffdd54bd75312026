"""CLIP's ResNet: a stem of three convolutions, strides that average, and attention in place of the last mean."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from mmjax.errors import UserError
from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.blocks.pictures import Convolution
from mmjax.models.blocks.transformer import Affine
from mmjax.models.vision.vision_transformer import standardised
from mmjax.ops.attention import attend

# PyTorch's default for a convolution, which CLIP's code leaves to these.
_KERNEL = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def convolution(channels: int, kernel: int, stride: int, dtype: Any, name: str) -> nn.Conv:
    """A convolution without bias, padded by half its kernel on both sides."""
    pads = ((kernel // 2, kernel // 2),) * 2
    size = (kernel, kernel)
    return Convolution(channels, size, stride, pads, use_bias=False, dtype=dtype, kernel_init=_KERNEL, name=name)


def mean_pool(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b i j c"]:
    """Means of size x size squares; what is left over at the right and below is not seen."""
    b, h, w, c = x.shape
    x = x[:, : h // size * size, : w // size * size].reshape(b, h // size, size, w // size, size, c)
    return jnp.mean(x, (2, 4), dtype=jnp.float32).astype(x.dtype)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 to four times the width; a stride is a mean of squares behind the 3x3 and before the shortcut.

    The gain of the last normalisation starts at 0, so that a fresh block adds nothing.

    Attributes:
      channels: of the first two convolutions.
      stride: 1 or 2.
      dtype: compute dtype.
    """

    channels: int
    stride: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b i j d"]:
        wide = 4 * self.channels
        y = x
        for i, (channels, kernel) in enumerate(((self.channels, 1), (self.channels, 3)), start=1):
            y = convolution(channels, kernel, 1, self.dtype, f"conv{i}")(y)
            y = nn.relu(BatchNorm(dtype=self.dtype, name=f"norm{i}")(y, train=train))
        y = mean_pool(y, self.stride) if self.stride > 1 else y
        y = convolution(wide, 1, 1, self.dtype, "conv3")(y)
        y = BatchNorm(dtype=self.dtype, scale_init=nn.initializers.zeros, name="norm3")(y, train=train)
        if self.stride > 1 or x.shape[-1] != wide:
            x = mean_pool(x, self.stride) if self.stride > 1 else x
            x = convolution(wide, 1, 1, self.dtype, "shortcut")(x)
            x = BatchNorm(dtype=self.dtype, name="shortcut_norm")(x, train=train)
        return nn.relu(x + y)


class AttentionPool(nn.Module):
    """One vector of a map: attention whose query is the mean of all places (Radford et al. 2021, section 2.4).

    Attributes:
      heads: of the attention.
      embed: width of the output.
      dtype: compute dtype.
    """

    heads: int
    embed: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b i j c"]) -> Float[Array, "b d"]:
        b, width = x.shape[0], x.shape[-1]
        x = x.reshape(b, -1, width)  # b i j c -> b p c
        x = jnp.concatenate([jnp.mean(x, 1, keepdims=True, dtype=jnp.float32).astype(x.dtype), x], 1)
        draw = nn.initializers.normal(width**-0.5)
        position = self.param("positions", draw, (x.shape[1], width), jnp.float32)
        x = x + position.astype(x.dtype)[None]
        inputs = {"query": x[:, :1], "key": x, "value": x}
        made = {name: Affine(width, width**-0.5, self.dtype, name=name)(y) for name, y in inputs.items()}
        heads = [y.reshape(b, -1, self.heads, width // self.heads).swapaxes(1, 2) for y in made.values()]
        return Affine(self.embed, width**-0.5, self.dtype, name="out")(attend(*heads).reshape(b, width))


class ModifiedResNet(nn.Module):
    """ResNet with the "D" changes of He et al. 2019, anti-aliased strides and attention pooling (Radford et al. 2021).

    Attributes:
      layers: blocks of each stage: (3, 4, 6, 3) is CLIP's RN50.
      width: channels behind the stem; the last of four stages has 32 times as many.
      heads: of the attention pooling; 0 = one for every 64 channels of the last map, as all of CLIP's have.
      embed: width of the output.
      image_size: side of the picture, which fixes the number of learned positions.
      dtype: compute dtype; parameters and statistics are float32.
      remat: compute the blocks again in the backward pass instead of keeping what they made.
    """

    layers: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    heads: int = 0
    embed: int = 1024
    image_size: int = 224
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"], *, train: bool = False) -> Float[Array, "b d"]:
        """One vector a picture, float32, not normalised.

        Args:
          image: RGB, 0..255, image_size squared.
          train: use batch statistics; the collection "state" must then be mutable.

        Raises:
          UserError: pictures of another size, a size or heads that do not fit.
        """
        stride, last = 2 ** (len(self.layers) + 1), self.width * 2 ** (len(self.layers) + 1)
        heads = self.heads or max(last // 64, 1)
        if self.image_size % stride or last % heads:
            raise UserError(
                f"image_size {self.image_size} must be a multiple of {stride}, and {heads} heads divide {last} channels"
            )
        x = standardised(image, self.image_size).astype(self.dtype)
        for i, channels in enumerate((self.width // 2, self.width // 2, self.width), start=1):
            x = convolution(channels, 3, 2 if i == 1 else 1, self.dtype, f"stem{i}")(x)
            x = nn.relu(BatchNorm(dtype=self.dtype, name=f"stem_norm{i}")(x, train=train))
        x = mean_pool(x, 2)
        block = nn.remat(Bottleneck, static_argnums=(2,)) if self.remat else Bottleneck
        for stage, blocks in enumerate(self.layers, start=1):
            for i in range(blocks):
                made = block(
                    self.width * 2 ** (stage - 1),
                    2 if stage > 1 and i == 0 else 1,
                    self.dtype,
                    name=f"stage{stage}_block{i}",
                )
                x = made(x, train)
        return AttentionPool(heads, self.embed, self.dtype, name="pool")(x).astype(jnp.float32)
