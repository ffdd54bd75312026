"""ResNet-18 to ResNet-152 in the form of torchvision, so that its weights and those trained with it fit."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.blocks.pictures import Convolution
from mmjax.ops.pooling import max_pool

# depth: blocks in each of the four stages (He et al. 2016, table 1); from 50 on the blocks are bottlenecks.
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
# Of the ImageNet pictures, in 0..255: what torchvision's models and the Places365 models subtract and divide by.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


def convolution(channels: int, kernel: int, stride: int, dtype: Any, name: str, dilation: int = 1) -> nn.Conv:
    """A convolution without bias, padded by half its kernel on both sides as PyTorch does ("SAME" is not that)."""
    initialiser = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
    size, pads, apart = (kernel, kernel), ((dilation * (kernel // 2),) * 2,) * 2, (dilation, dilation)
    how: dict[str, Any] = {"use_bias": False, "dtype": dtype, "kernel_init": initialiser, "name": name}
    return Convolution(channels, size, stride, pads, kernel_dilation=apart, **how)


class Residual(nn.Module):
    """A basic block (3x3, 3x3) or a bottleneck (1x1, 3x3 with the stride, 1x1 to four times the width)."""

    channels: int
    stride: int
    bottleneck: bool
    dtype: Any
    gains: Any = None
    dilations: tuple[int, int] = (1, 1)  # of a basic block's two convolutions

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j d"]:
        layers: tuple[tuple[int, int, int], ...] = ((self.channels, 3, self.stride), (self.channels, 3, 1))
        if self.bottleneck:
            layers = ((self.channels, 1, 1), (self.channels, 3, self.stride), (4 * self.channels, 1, 1))
        y, how = x, {} if self.gains is None else {"scale_init": self.gains}
        dilations = (1, 1, 1) if self.bottleneck else self.dilations
        for i, ((channels, kernel, stride), dilation) in enumerate(zip(layers, dilations), start=1):
            y = convolution(channels, kernel, stride, self.dtype, f"conv{i}", dilation)(y)
            y = BatchNorm(dtype=self.dtype, name=f"norm{i}", **how)(y, train=train)
            y = nn.relu(y) if i < len(layers) else y
        if x.shape != y.shape:
            x = convolution(y.shape[-1], 1, self.stride, self.dtype, "shortcut")(x)
            x = BatchNorm(dtype=self.dtype, name="shortcut_norm", **how)(x, train=train)
        return nn.relu(x + y)


def standardised(image: Num[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """A picture of 0..255 as torchvision's models want it, float32."""
    mean, std = (jnp.asarray(v, jnp.float32).reshape(1, 1, 1, 3) for v in (MEAN, STD))
    return (image.astype(jnp.float32) - mean) / std


def stages(
    x: Float[Array, "b h w c"],
    depth: int,
    dtype: Any,
    train: bool,
    last_stride: int = 2,
    gains: Any = None,
    dilated: bool = False,
    width: int = 64,
) -> dict[str, Array]:
    """The layers up to the last map, as submodules of the module that calls it.

    Args:
      x: of any number of channels.
      depth: of STAGES.
      dtype: compute dtype.
      train: use batch statistics.
      last_stride: of the fourth stage; 1 leaves a map of stride 16.
      gains: initialiser of the normalisations' gains; None: ones.
      dilated: of basic blocks: kernels of the fourth stage after its first are dilated by 2, so that each sees as much
        of the picture without a stride as with one (Yu et al. 2017).
      width: channels of the first stage, each next one of twice as many; published weights are of 64.

    Returns:
      "stem", "stage1".."stage4".
    """
    how = {} if gains is None else {"scale_init": gains}
    x = convolution(width, 7, 2, dtype, "stem")(x)
    x = nn.relu(BatchNorm(dtype=dtype, name="stem_norm", **how)(x, train=train))
    x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
    out = {"stem": x}
    for stage, blocks in enumerate(STAGES[depth], start=1):
        for block in range(blocks):
            stride = {1: 1, 4: last_stride}.get(stage, 2) if block == 0 else 1
            apart = (2 if block else 1, 2) if dilated and stage == 4 else (1, 1)
            how_wide: tuple[Any, ...] = (width * 2 ** (stage - 1), stride, depth >= 50, dtype, gains, apart)
            x = Residual(*how_wide, name=f"stage{stage}_block{block}")(x, train=train)
        out[f"stage{stage}"] = x
    return out


class Trunk(nn.Module):
    """A ResNet without its head: the last map of pictures, or of anything with rows and columns, such as a spectrogram.

    Attributes:
      depth: 18, 34, 50, 101 or 152; ResNet-18's trunk of three channels has 11,176,512 parameters.
      last_stride: 2; or 1, for a map of stride 16 instead of 32.
      spread: deviation about 1 of the normalisations' fresh gains.
      dtype: compute dtype; parameters and statistics stay float32.
      width: channels of the first stage.
    """

    depth: int = 18
    last_stride: int = 2
    spread: float = 0.0
    dtype: Any = jnp.float32
    width: int = 64

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool = False) -> Float[Array, "b i j d"]:
        """The map of `x`, pictures already `standardised`."""
        gains = around_one(self.spread) if self.spread else None
        how: tuple[Any, ...] = (self.depth, self.dtype, train, self.last_stride, gains)
        return stages(x.astype(self.dtype), *how, width=self.width)["stage4"]


def around_one(spread: float) -> nn.initializers.Initializer:
    """Gains drawn from a normal distribution about 1."""

    def draw(key, shape, dtype=jnp.float32):
        return 1.0 + nn.initializers.normal(spread)(key, shape, dtype)

    return draw


class ResNet(nn.Module):
    """Deep residual network (He et al. 2016), torchvision's variant: the stride is in the 3x3 convolution.

    ResNet-18 with 1000 classes has 11,689,512 parameters, ResNet-50 25,557,032.

    Attributes:
      depth: 18, 34, 50, 101 or 152.
      classes: outputs of the head; 0 for no head.
      dtype: compute dtype; parameters and statistics stay float32.
      dilated: of basic blocks: the last stage has stride 16 and dilated kernels, see `stages`.
    """

    depth: int = 18
    classes: int = 1000
    dtype: Any = jnp.float32
    dilated: bool = False

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"], *, train: bool = False) -> dict[str, Array]:
        """Runs the network.

        Args:
          image: RGB, 0..255, of any size; published weights want 224 squared.
          train: use batch statistics; the collection "state" must then be mutable.

        Returns:
          "stem" [b h/4 w/4 64], "stage1".."stage4" (strides 4, 8, 16, 32), "pooled" [b d] and "logits" [b classes],
          the last two float32. Under jit, what is not used is not computed.
        """
        last = 1 if self.dilated else 2
        x = standardised(image).astype(self.dtype)
        out = stages(x, self.depth, self.dtype, train, last, dilated=self.dilated)
        out["pooled"] = x = jnp.mean(out["stage4"], (1, 2), dtype=jnp.float32)
        if not self.classes:
            return out
        initialiser = nn.initializers.variance_scaling(1.0 / 3.0, "fan_in", "uniform")
        out["logits"] = nn.Dense(self.classes, kernel_init=initialiser, name="classifier")(x)
        return out
