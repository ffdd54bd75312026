"""VGG-16 and VGG-19 in the form of torchvision, so that its weights fit."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from mmjax.models.blocks.pictures import Convolution
from mmjax.models.vision.resnet import MEAN, STD, standardised

# depth: 3x3 convolutions in each of the five stages (Simonyan and Zisserman 2015, table 1, columns D and E).
STAGES = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
GRID = 7  # places a side that the first fully connected layer reads


def adaptive_mean(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b s s c"]:
    """Means over size x size cells as PyTorch's AdaptiveAvgPool2d cuts them: h i // s to ceil(h (i + 1) / s)."""
    if x.shape[1:3] == (size, size):
        return x

    def cells(n):
        weights = np.zeros((size, n), np.float32)
        for i in range(size):
            low, high = n * i // size, -(-n * (i + 1) // size)
            weights[i, low:high] = 1 / (high - low)
        return jnp.asarray(weights, x.dtype)

    return jnp.einsum("ih,jw,bhwc->bijc", cells(x.shape[1]), cells(x.shape[2]), x)


def stages(
    x: Float[Array, "b h w 3"], depth: int, channels: tuple[int, ...], dtype: Any
) -> tuple[dict[str, Array], Float[Array, "b i j c"]]:
    """The convolutions, as submodules of the module that calls it.

    Returns:
      "conv1".."conv5", each stage's last map before its pooling; and the last of them before its ReLU.
    """
    initialiser = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # torchvision's
    out, linear = {}, x
    for stage, count in enumerate(STAGES[depth], start=1):
        x = nn.max_pool(x, (2, 2), (2, 2)) if stage > 1 else x
        for i in range(1, count + 1):
            conv = Convolution(
                channels[stage - 1], (3, 3), dtype=dtype, kernel_init=initialiser, name=f"conv{stage}_{i}"
            )
            linear = conv(x)
            x = nn.relu(linear)
        out[f"conv{stage}"] = x
    return out, linear


class Trunk(nn.Module):
    """VGG without its head, 14,714,688 parameters of VGG-16: its last map before the ReLU, and so of either sign.

    What Senocak et al. 2018 look at (layers 0 to 28 of torchvision's `features`): 20 x 20 places of 320 pixels.

    Attributes:
      depth, channels, dtype: as for `VGG`.
    """

    depth: int = 16
    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"], *, train: bool = False) -> Float[Array, "b i j c"]:
        """The map at stride 16 of pictures of 0..255."""
        del train
        return stages(standardised(image).astype(self.dtype), self.depth, self.channels, self.dtype)[1]


FACE_MEAN = (129.186, 104.762, 93.594)  # of VGG-Face's training pictures (Parkhi et al. 2015), which divides by nothing
FACES = 2622  # people whom VGG-Face tells apart


def vgg_face(**changes: Any) -> VGG:
    """VGG-Face (Parkhi, Vedaldi and Zisserman 2015, "Deep Face Recognition"): VGG-16 of 2,622 people, 145,002,878
    parameters; its feature is "fc7". `changes`: of the attributes of VGG."""
    return VGG(**{"classes": FACES, "mean": FACE_MEAN, "deviation": (1.0, 1.0, 1.0), **changes})


class VGG(nn.Module):
    """Very deep convolutional network (Simonyan and Zisserman 2015).

    VGG-16 with 1000 classes has 138,357,544 parameters, VGG-19 143,667,240.

    Attributes:
      depth: 16 or 19.
      classes: outputs of the head.
      channels: of the five stages.
      hidden: units of both hidden fully connected layers.
      dropout: after each of them, in training.
      mean, deviation: of training's pictures, RGB in 0..255, which are taken off and divided by.
      dtype: compute dtype; parameters stay float32.
    """

    depth: int = 16
    classes: int = 1000
    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    hidden: int = 4096
    dropout: float = 0.5
    mean: tuple[float, float, float] = MEAN
    deviation: tuple[float, float, float] = STD
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"], *, train: bool = False) -> dict[str, Array]:
        """Runs the network.

        Args:
          image: RGB, 0..255, of any size; published weights want 224 squared. The mean and deviation are torchvision's
            where nothing else is said, not those of the authors' Caffe model.
          train: dropout (rng "dropout").

        Returns:
          "conv1".."conv5", each stage's last map before its pooling, after ReLU (strides 1, 2, 4, 8, 16; "conv5" is
          [b 14 14 512] at 224 squared), "fc6" and "fc7" [b hidden] after ReLU, "logits" [b classes]. The last three
          float32. Under jit, what is not used is not computed.
        """
        mean, deviation = (jnp.asarray(v, jnp.float32).reshape(1, 1, 1, 3) for v in (self.mean, self.deviation))
        x = (image.astype(jnp.float32) - mean) / deviation
        out, _ = stages(x.astype(self.dtype), self.depth, self.channels, self.dtype)
        x = nn.max_pool(out["conv5"], (2, 2), (2, 2))
        x = adaptive_mean(x, GRID).reshape(x.shape[0], -1)  # b i j c -> b (i j c)
        for name in ("fc6", "fc7"):
            dense = nn.Dense(self.hidden, dtype=self.dtype, kernel_init=nn.initializers.normal(0.01), name=name)
            x = nn.relu(dense(x))
            out[name] = x.astype(jnp.float32)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = x.astype(jnp.float32)
        out["logits"] = nn.Dense(self.classes, kernel_init=nn.initializers.normal(0.01), name="classifier")(x)
        return out
