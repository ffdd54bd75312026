"""Inception v3 as the Frechet Inception distance (FID) has it: the features of a picture, for inference only.

Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision"; the distance is that of Heusel et al.
2017, "GANs Trained by a Two Time-Scale Update Rule". Published FIDs come from TensorFlow's graph of 2015-12-05, and we
follow its port to PyTorch, pytorch-fid, whose weights mmjax.weights.inception reads. That network is not
torchvision's inception_v3, although every tensor has the same name and shape but the head's (1008 classes, not 1000):

  - Means over 3x3 windows divide by the places inside the map; torchvision divides by 9 at the border, too.
  - The last block, Mixed_7c, pools by the maximum, not the mean.
  - Pictures are resized to 299x299 without antialiasing, also where that makes them smaller, and scaled to -1..1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Num

from mmjax.models.blocks import pictures
from mmjax.models.blocks.norm import BatchNorm

SIZE = 299  # side of the picture inside
FEATURES = 2048

Kernel = tuple[int, int]  # height, width
Step = tuple[int, tuple[Kernel, ...]]  # channels, kernels; two kernels read the same map side by side
# name, channels, side of the kernel, stride, padding; 0 channels is a maximum over the window.
STEM: tuple[tuple[str, int, int, int, str], ...] = (
    ("Conv2d_1a_3x3", 32, 3, 2, "VALID"),
    ("Conv2d_2a_3x3", 32, 3, 1, "VALID"),
    ("Conv2d_2b_3x3", 64, 3, 1, "SAME"),
    ("maxpool1", 0, 3, 2, "VALID"),
    ("Conv2d_3b_1x1", 80, 1, 1, "VALID"),
    ("Conv2d_4a_3x3", 192, 3, 1, "VALID"),
    ("maxpool2", 0, 3, 2, "VALID"),
)


class Recipe(NamedTuple):
    """What a block is made of.

    chains: (name, steps) of each branch of convolutions, in the order of its channels in the output.
    pool: the last branch, a 3x3 window's "mean" or "max" and a 1x1 convolution; or "reduce", where it is a maximum
      of stride 2 without convolution and every chain ends with stride 2 as well.
    channels: of the convolution after the pool.
    """

    chains: tuple[tuple[str, tuple[Step, ...]], ...]
    pool: Literal["mean", "max", "reduce"]
    channels: int = 0


def _step(channels: int, *kernels: Kernel) -> Step:
    return channels, kernels or ((1, 1),)


def _grid35(pool):
    chains = (
        ("branch1x1", (_step(64),)),
        ("branch5x5", (_step(48), _step(64, (5, 5)))),
        ("branch3x3dbl", (_step(64), _step(96, (3, 3)), _step(96, (3, 3)))),
    )
    return Recipe(chains, "mean", pool)


def _grid17(inside):
    wide, high = _step(inside, (1, 7)), _step(inside, (7, 1))
    chains = (
        ("branch1x1", (_step(192),)),
        ("branch7x7", (_step(inside), wide, _step(192, (7, 1)))),
        ("branch7x7dbl", (_step(inside), high, wide, high, _step(192, (1, 7)))),
    )
    return Recipe(chains, "mean", 192)


def _grid8(pool):
    fork = _step(384, (1, 3), (3, 1))
    chains = (
        ("branch1x1", (_step(320),)),
        ("branch3x3", (_step(384), fork)),
        ("branch3x3dbl", (_step(448), _step(384, (3, 3)), fork)),
    )
    return Recipe(chains, pool, 192)


BLOCKS = {
    "Mixed_5b": _grid35(32),
    "Mixed_5c": _grid35(64),
    "Mixed_5d": _grid35(64),
    "Mixed_6a": Recipe(
        (
            ("branch3x3", (_step(384, (3, 3)),)),
            ("branch3x3dbl", (_step(64), _step(96, (3, 3)), _step(96, (3, 3)))),
        ),
        "reduce",
    ),
    "Mixed_6b": _grid17(128),
    "Mixed_6c": _grid17(160),
    "Mixed_6d": _grid17(160),
    "Mixed_6e": _grid17(192),
    "Mixed_7a": Recipe(
        (
            ("branch3x3", (_step(192), _step(320, (3, 3)))),
            ("branch7x7x3", (_step(192), _step(192, (1, 7)), _step(192, (7, 1)), _step(192, (3, 3)))),
        ),
        "reduce",
    ),
    "Mixed_7b": _grid8("mean"),
    "Mixed_7c": _grid8("max"),
}


def names() -> Iterator[str]:
    """Yields the published name of every convolution with its normalisation, as "Mixed_5b.branch5x5_1"."""
    yield from (name for name, channels, *_ in STEM if channels)
    for block, recipe in BLOCKS.items():
        for branch, steps in recipe.chains:
            for i, (_, kernels) in enumerate(steps):
                yield from (f"{block}.{_name(branch, steps, i, kernel)}" for kernel in kernels)
        if recipe.channels:
            yield f"{block}.branch_pool"


def _name(branch, steps, i, kernel):
    """branch where it has one step, branch_2 for its second one, branch_2a and branch_2b where that one forks."""
    kernels = steps[i][1]
    letter = "ab"[kernels.index(kernel)] if len(kernels) > 1 else ""
    return f"{branch}_{i + 1}{letter}" if len(steps) > 1 else branch


def prepare(image: Num[Array, "b h w 3"]) -> Float[Array, "b 299 299 3"]:
    """RGB 0..255 of any size, bilinearly to 299x299 without antialiasing, as -1..1.

    Centres of pixels keep their places (align_corners=False). The picture is stretched: nothing is cropped.
    """
    x = image.astype(jnp.float32)
    if x.shape[1:3] != (SIZE, SIZE):
        x = jax.image.resize(x, (len(x), SIZE, SIZE, 3), "linear", antialias=False)
    return x / 127.5 - 1.0


def mean_inside(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """The mean of the 3x3 window around each place, over those of its places that lie inside the map."""
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


class Convolution(nn.Module):
    """Convolution without bias, normalisation by the stored statistics, ReLU."""

    channels: int
    kernel: Kernel
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j d"]:
        x = pictures.Convolution(
            self.channels,
            self.kernel,
            self.stride,
            padding=self.padding,
            use_bias=False,
            precision=lax.Precision.HIGHEST,  # a distance should not depend on what an accelerator rounds to
            name="conv",
        )(x)
        return nn.relu(BatchNorm(epsilon=1e-3, name="bn")(x, train=False))


class Block(nn.Module):
    """Branches over one map, side by side in the channels of the output (Szegedy et al. 2016, figures 5 to 7, 10)."""

    recipe: Recipe

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j d"]:
        out = [self.chain(x, branch, steps) for branch, steps in self.recipe.chains]
        if self.recipe.pool == "reduce":
            out.append(nn.max_pool(x, (3, 3), (2, 2), "VALID"))
        else:
            pooled = mean_inside(x) if self.recipe.pool == "mean" else nn.max_pool(x, (3, 3), (1, 1), "SAME")
            out.append(Convolution(self.recipe.channels, (1, 1), name="branch_pool")(pooled))
        return jnp.concatenate(out, -1)

    def chain(self, x: Float[Array, "b h w c"], branch: str, steps: tuple[Step, ...]) -> Float[Array, "b i j o"]:
        """One convolution after the other; the outputs of a fork side by side."""
        for i, (channels, kernels) in enumerate(steps):
            shrinks = self.recipe.pool == "reduce" and i == len(steps) - 1
            how = (2, "VALID") if shrinks else (1, "SAME")
            units = [Convolution(channels, kernel, *how, name=_name(branch, steps, i, kernel)) for kernel in kernels]
            x = jnp.concatenate([unit(x) for unit in units], -1)
        return x


class InceptionFid(nn.Module):
    """The network of the Frechet Inception distance; see the head of this file for what sets it apart.

    It has 21,785,568 parameters without the head, which the distance does not read, and 34,432 stored statistics.
    Layers bear their published names; statistics are read from "state" and never written.
    """

    @nn.compact
    def __call__(self, image: Num[Array, "b h w 3"]) -> Float[Array, "b 2048"]:
        """Runs the network.

        Args:
          image: RGB, uint8 or floating, 0..255, of any size: `prepare` stretches it to 299x299.

        Returns:
          Features [b 2048], float32, 0 or greater: the mean of the last block's map [b 8 8 2048].
        """
        x = prepare(image)
        for name, channels, side, stride, padding in STEM:
            if channels:
                x = Convolution(channels, (side, side), stride, padding, name=name)(x)
            else:
                x = nn.max_pool(x, (side, side), (stride, stride), padding)
        for name, recipe in BLOCKS.items():
            x = Block(recipe, name=name)(x)
        return jnp.mean(x, (1, 2))
