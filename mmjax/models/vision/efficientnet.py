"""EfficientNet-Lite: MobileNet-style image networks without squeeze-excitation, with ReLU6 throughout."""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Num

from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.blocks.pictures import Convolution
from mmjax.ops import platform

# kernel, stride, expansion, channels, repeats: the stages of EfficientNet-B0 (Tan and Le 2019, table 1).
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# width, depth and input side of each published size.
SIZES = {
    "lite0": (1.0, 1.0, 224),
    "lite1": (1.0, 1.1, 240),
    "lite2": (1.1, 1.2, 260),
    "lite3": (1.2, 1.4, 280),
    "lite4": (1.4, 1.8, 300),
}


def round_channels(channels: int, width: float) -> int:
    """Scales a channel count and rounds it to a multiple of 8, never by more than a tenth downwards."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def shifted_sum(x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], stride: int) -> Float[Array, "b i j c"]:
    """Depthwise convolution as a sum of k*k shifted products, padded as "SAME".

    XLA:CPU runs grouped convolutions 6 to 50 times slower than this sum, which it fuses into one pass.
    """
    k, (h, w) = kernel.shape[0], x.shape[1:3]
    out = [-(-n // stride) for n in (h, w)]
    pads = [max((o - 1) * stride + k - n, 0) for o, n in zip(out, (h, w), strict=True)]
    x = jnp.pad(x, ((0, 0), *((p // 2, p - p // 2) for p in pads), (0, 0)))
    rows, columns = ((o - 1) * stride + 1 for o in out)
    terms = (
        x[:, i : i + rows : stride, j : j + columns : stride] * kernel[i, j].reshape(1, 1, 1, -1)
        for i in range(k)
        for j in range(k)
    )
    return sum(terms, start=jnp.zeros((), x.dtype).reshape(1, 1, 1, 1))


def grouped_convolution(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], stride: int
) -> Float[Array, "b i j c"]:
    """The same by the accelerators' own grouped convolution."""
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", None, None, dimensions, x.shape[-1])


class Depthwise(nn.Module):
    """A k x k convolution of each channel by itself, without bias."""

    kernel: int
    stride: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
        # fan_out of a depthwise kernel is k*k.
        initialiser = nn.initializers.normal(math.sqrt(2.0) / self.kernel)
        kernel = self.param("kernel", initialiser, (self.kernel, self.kernel, 1, x.shape[-1]), jnp.float32)
        kernel = kernel.astype(self.dtype)
        return platform.dependent(
            x,
            kernel,
            cpu=lambda x, kernel: shifted_sum(x, kernel, self.stride),
            default=lambda x, kernel: grouped_convolution(x, kernel, self.stride),
        )


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise k x k, project 1x1; with a skip where the shapes allow (Sandler et al. 2018, figure 4)."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j d"]:
        y = x
        if self.expansion > 1:
            y = pointwise(self.expansion * x.shape[-1], self.dtype, "expand")(y)
            y = nn.relu6(normalise(self.dtype, "expand_norm")(y, train=train))
        y = Depthwise(self.kernel, self.stride, self.dtype, name="depthwise")(y)
        y = nn.relu6(normalise(self.dtype, "depthwise_norm")(y, train=train))
        y = pointwise(self.channels, self.dtype, "project")(y)
        y = normalise(self.dtype, "project_norm")(y, train=train)
        return x + y if x.shape == y.shape else y


def pointwise(channels: int, dtype: Any, name: str) -> nn.Conv:
    """A 1x1 convolution without bias, named."""
    initialiser = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
    return Convolution(channels, (1, 1), use_bias=False, dtype=dtype, kernel_init=initialiser, name=name)


def normalise(dtype: Any, name: str) -> BatchNorm:
    """BatchNorm with the constants of the published weights (TensorFlow's momentum .99, epsilon 1e-3)."""
    return BatchNorm(momentum=0.01, epsilon=1e-3, dtype=dtype, name=name)


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0 to Lite4 (Tan and Le 2019; the Lite variants are TensorFlow's of 2020).

    The variants scale neither the width of stem and head nor the depth of the first and last stage. Lite0 has
    4,652,008 parameters.

    Attributes:
      size: "lite0" ... "lite4"; `SIZES` has the input side that each was trained at.
      classes: outputs of the head.
      dropout: before the head, in training.
      dtype: compute dtype; parameters and statistics stay float32.
    """

    size: str = "lite0"
    classes: int = 1000
    dropout: float = 0.2
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"], *, train: bool = False) -> dict[str, Array]:
        """Runs the network.

        Args:
          image: RGB, 0..255, of any size; the published weights want SIZES[size] squared.
          train: use batch statistics (the collection "state" must then be mutable) and dropout (rng "dropout").

        Returns:
          "stem" [b h/2 w/2 32], "stage1".."stage7" (strides 2, 4, 8, 16, 16, 32, 32; "stage5" of lite0 is
          [b h/16 w/16 112]), "head" [b h/32 w/32 1280], "pooled" [b 1280] and "logits" [b classes], float32. Under
          jit, what is not used is not computed.
        """
        width, depth, _ = SIZES[self.size]
        initialiser = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        x = ((image.astype(jnp.float32) - 127.0) / 128.0).astype(self.dtype)
        x = Convolution(32, (3, 3), 2, use_bias=False, dtype=self.dtype, kernel_init=initialiser, name="stem")(x)
        x = nn.relu6(normalise(self.dtype, "stem_norm")(x, train=train))
        out, block = {"stem": x}, 0
        for number, (kernel, stride, expansion, channels, repeats) in enumerate(STAGES, start=1):
            scaled = number not in (1, len(STAGES))
            repeats = math.ceil(repeats * depth) if scaled else repeats
            for i in range(repeats):
                step = stride if i == 0 else 1
                wide = round_channels(channels, width)
                x = InvertedResidual(kernel, step, expansion, wide, self.dtype, name=f"block{block}")(x, train=train)
                block += 1
            out[f"stage{number}"] = x
        x = pointwise(1280, self.dtype, "head")(x)
        out["head"] = x = nn.relu6(normalise(self.dtype, "head_norm")(x, train=train))
        out["pooled"] = x = jnp.mean(x, (1, 2), dtype=jnp.float32)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        initialiser = nn.initializers.variance_scaling(1.0 / 3.0, "fan_out", "uniform")
        out["logits"] = nn.Dense(self.classes, kernel_init=initialiser, name="classifier")(x)
        return out
