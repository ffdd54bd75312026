"""VGG-16 and VGG-19 in the form of torchvision, so that its weights fit."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from mmjax.models.blocks.pictures import Convolution
from mmjax.models.vision.resnet import MEAN, STD

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


class VGG(nn.Module):
    """Very deep convolutional network (Simonyan and Zisserman 2015).

    VGG-16 with 1000 classes has 138,357,544 parameters, VGG-19 143,667,240.

    Attributes:
      depth: 16 or 19.
      classes: outputs of the head.
      channels: of the five stages.
      hidden: units of both hidden fully connected layers.
      dropout: after each of them, in training.
      dtype: compute dtype; parameters stay float32.
    """

    depth: int = 16
    classes: int = 1000
    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    hidden: int = 4096
    dropout: float = 0.5
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"], *, train: bool = False) -> dict[str, Array]:
        """Runs the network.

        Args:
          image: RGB, 0..255, of any size; published weights want 224 squared. The mean and deviation subtracted are
            torchvision's, not those of the authors' Caffe model.
          train: dropout (rng "dropout").

        Returns:
          "conv1".."conv5", each stage's last map before its pooling, after ReLU (strides 1, 2, 4, 8, 16; "conv5" is
          [b 14 14 512] at 224 squared), "fc6" and "fc7" [b hidden] after ReLU, "logits" [b classes]. The last three
          float32. Under jit, what is not used is not computed.
        """
        mean, std = (jnp.asarray(v, jnp.float32).reshape(1, 1, 1, 3) for v in (MEAN, STD))
        x = ((image.astype(jnp.float32) - mean) / std).astype(self.dtype)
        initialiser = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # torchvision's
        out = {}
        for stage, count in enumerate(STAGES[self.depth], start=1):
            for i in range(1, count + 1):
                name = f"conv{stage}_{i}"
                wide = self.channels[stage - 1]
                x = nn.relu(Convolution(wide, (3, 3), dtype=self.dtype, kernel_init=initialiser, name=name)(x))
            out[f"conv{stage}"] = x
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = adaptive_mean(x, GRID).reshape(len(x), -1)  # b i j c -> b (i j c)
        for name in ("fc6", "fc7"):
            dense = nn.Dense(self.hidden, dtype=self.dtype, kernel_init=nn.initializers.normal(0.01), name=name)
            x = nn.relu(dense(x))
            out[name] = x.astype(jnp.float32)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = x.astype(jnp.float32)
        out["logits"] = nn.Dense(self.classes, kernel_init=nn.initializers.normal(0.01), name="classifier")(x)
        return out
