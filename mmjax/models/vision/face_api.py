"""The landmark and the descriptor network of the npm package @vladmandic/face-api, in the form of its weights."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from mmjax.models.blocks.pictures import Convolution

MEAN = (122.782, 117.001, 104.298)  # of its training pictures, RGB
LANDMARK_SIDE, DESCRIPTOR_SIDE = 112, 150  # pixels of the square that each network was trained on


def _centred(image: Num[Array, "b h w 3"], dtype: Any) -> Float[Array, "b h w 3"]:
    return ((image.astype(jnp.float32) - jnp.asarray(MEAN, jnp.float32)[None, None, None]) / 255).astype(dtype)


class Separable(nn.Module):
    """A 3 x 3 convolution of each channel alone, then one of single pixels, and a bias."""

    features: int
    stride: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        c, strides = x.shape[-1], (self.stride, self.stride)
        alone = nn.Conv(c, (3, 3), strides, feature_group_count=c, use_bias=False, dtype=self.dtype, name="depthwise")
        return Convolution(self.features, (1, 1), dtype=self.dtype, name="pointwise")(alone(x))


class Dense(nn.Module):
    """A block in which each convolution reads the sum of all before it; its first one halves the sides."""

    features: int
    layers: int
    plain: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        if self.plain:
            x = Convolution(self.features, (3, 3), (2, 2), "SAME", dtype=self.dtype, name="conv0")(x)
        else:
            x = Separable(self.features, 2, self.dtype, name="conv0")(x)
        total = nn.relu(x)
        for i in range(1, self.layers):
            new = Separable(self.features, 1, self.dtype, name=f"conv{i}")(total if i == 1 else nn.relu(total))
            total = total + new
        return nn.relu(total)


class FaceLandmarks(nn.Module):
    """68 landmarks of a face that fills the picture, in the order of 300-W: 356,840 parameters; of `tiny` 77,224.

    Attributes:
      widths: channels of the blocks.
      layers: convolutions of each.
      dtype: compute dtype; the landmarks are float32.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256)
    layers: int = 4
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"]) -> Float[Array, "b 68 2"]:
        """(x, y) in shares of the picture. image: RGB, 0..255; published weights want 112 squared."""
        x = _centred(image, self.dtype)
        for i, width in enumerate(self.widths):
            x = Dense(width, self.layers, i == 0, self.dtype, name=f"dense{i}")(x)
        x = jnp.mean(x.astype(jnp.float32), (1, 2))
        return nn.Dense(136, name="fc")(x).reshape(-1, 68, 2)


class Scaled(nn.Module):
    """A convolution and, for each channel, a factor and an offset."""

    features: int
    kernel: int
    stride: int
    padding: str
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        size, strides = (self.kernel, self.kernel), (self.stride, self.stride)
        x = Convolution(self.features, size, strides, self.padding, dtype=self.dtype, name="conv")(x)
        factor = self.param("factor", nn.initializers.ones, (self.features,))
        offset = self.param("offset", nn.initializers.zeros, (self.features,))
        return x * factor.astype(x.dtype)[None, None, None] + offset.astype(x.dtype)[None, None, None]


class Residual(nn.Module):
    """Two convolutions added to what goes in; with `down` at half the sides, what goes in averaged over 2 x 2 pixels.

    New channels, and a row or column that the convolution lacks, are zeros.
    """

    features: int
    down: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        stride, padding = (2, "VALID") if self.down else (1, "SAME")
        y = nn.relu(Scaled(self.features, 3, stride, padding, self.dtype, name="conv1")(x))
        y = Scaled(self.features, 3, 1, "SAME", self.dtype, name="conv2")(y)
        if self.down:
            i, j = x.shape[1] // 2, x.shape[2] // 2
            x = jnp.mean(x[:, : 2 * i, : 2 * j].reshape(x.shape[0], i, 2, j, 2, x.shape[3]), (2, 4))
            short = [(0, a - b) for a, b in zip(x.shape[1:3], y.shape[1:3], strict=True)]
            y = jnp.pad(y, ((0, 0), *short, (0, 0)))
            x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.features - x.shape[-1])))
        return nn.relu(x + y)


# name: channels, whether it halves the sides
BLOCKS = (
    *((f"conv32_{i}", 32, False) for i in (1, 2, 3)),
    ("conv64_down", 64, True),
    *((f"conv64_{i}", 64, False) for i in (1, 2, 3)),
    ("conv128_down", 128, True),
    *((f"conv128_{i}", 128, False) for i in (1, 2)),
    ("conv256_down", 256, True),
    *((f"conv256_{i}", 256, False) for i in (1, 2)),
    ("conv256_down_out", 256, True),
)


class FaceDescriptor(nn.Module):
    """128 numbers of a face: those of one person lie close together. A residual network of 5,614,592 parameters.

    Attributes:
      dtype: compute dtype; the descriptor is float32.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"]) -> dict[str, Float[Array, "b 128"]]:
        """{"features": the descriptor}. image: RGB, 0..255; published weights want 150 squared."""
        x = nn.relu(Scaled(32, 7, 2, "VALID", self.dtype, name="conv32_down")(_centred(image, self.dtype)))
        x = nn.max_pool(x, (3, 3), (2, 2), "VALID")
        for name, features, down in BLOCKS:
            x = Residual(features, down, self.dtype, name=name)(x)
        mean = jnp.mean(x.astype(jnp.float32), (1, 2))
        return {"features": nn.Dense(128, use_bias=False, name="fc")(mean)}
