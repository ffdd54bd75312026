"""ResNet-18 to ResNet-152 in the form of torchvision, so that its weights and those trained with it fit."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.blocks.pictures import Convolution

# depth: blocks in each of the four stages (He et al. 2016, table 1); from 50 on the blocks are bottlenecks.
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
# Of the ImageNet pictures, in 0..255: what torchvision's models and the Places365 models subtract and divide by.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


def convolution(channels: int, kernel: int, stride: int, dtype: Any, name: str) -> nn.Conv:
    """A convolution without bias, padded by half its kernel on both sides as PyTorch does ("SAME" is not that)."""
    initialiser = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
    pads = ((kernel // 2, kernel // 2),) * 2
    size = (kernel, kernel)
    return Convolution(channels, size, stride, pads, use_bias=False, dtype=dtype, kernel_init=initialiser, name=name)


class Residual(nn.Module):
    """A basic block (3x3, 3x3) or a bottleneck (1x1, 3x3 with the stride, 1x1 to four times the width)."""

    channels: int
    stride: int
    bottleneck: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j d"]:
        layers: tuple[tuple[int, int, int], ...] = ((self.channels, 3, self.stride), (self.channels, 3, 1))
        if self.bottleneck:
            layers = ((self.channels, 1, 1), (self.channels, 3, self.stride), (4 * self.channels, 1, 1))
        y = x
        for i, (channels, kernel, stride) in enumerate(layers, start=1):
            y = convolution(channels, kernel, stride, self.dtype, f"conv{i}")(y)
            y = BatchNorm(dtype=self.dtype, name=f"norm{i}")(y, train=train)
            y = nn.relu(y) if i < len(layers) else y
        if x.shape != y.shape:
            x = convolution(y.shape[-1], 1, self.stride, self.dtype, "shortcut")(x)
            x = BatchNorm(dtype=self.dtype, name="shortcut_norm")(x, train=train)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """Deep residual network (He et al. 2016), torchvision's variant: the stride is in the 3x3 convolution.

    ResNet-18 with 1000 classes has 11,689,512 parameters, ResNet-50 25,557,032.

    Attributes:
      depth: 18, 34, 50, 101 or 152.
      classes: outputs of the head.
      dtype: compute dtype; parameters and statistics stay float32.
    """

    depth: int = 18
    classes: int = 1000
    dtype: Any = jnp.float32

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
        mean, std = (jnp.asarray(v, jnp.float32).reshape(1, 1, 1, 3) for v in (MEAN, STD))
        x = ((image.astype(jnp.float32) - mean) / std).astype(self.dtype)
        x = convolution(64, 7, 2, self.dtype, "stem")(x)
        x = nn.relu(BatchNorm(dtype=self.dtype, name="stem_norm")(x, train=train))
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        out = {"stem": x}
        for stage, blocks in enumerate(STAGES[self.depth], start=1):
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                layer = Residual(32 * 2**stage, stride, self.depth >= 50, self.dtype, name=f"stage{stage}_block{block}")
                x = layer(x, train=train)
            out[f"stage{stage}"] = x
        out["pooled"] = x = jnp.mean(x, (1, 2), dtype=jnp.float32)
        initialiser = nn.initializers.variance_scaling(1.0 / 3.0, "fan_in", "uniform")
        out["logits"] = nn.Dense(self.classes, kernel_init=initialiser, name="classifier")(x)
        return out
