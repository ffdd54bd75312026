"""Blocks of picture networks, and the convolution that all of them use."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from mmjax.models.blocks import stages
from mmjax.models.blocks.norm import BatchNorm
from mmjax.ops import maximum
from mmjax.ops.convolution import convolve

# Linen's convolution, its numbers computed by ours: every network of two dimensions uses it.
Convolution = functools.partial(nn.Conv, conv_general_dilated=convolve)


def space_to_depth(x: Float[Array, "b h w c"], block: int) -> Float[Array, "b i j d"]:
    """Moves each block x block square of pixels into the channels; h and w must be multiples of `block`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // block, block, w // block, block, c)
    # b i dy j dx c -> b i j dy dx c
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // block, w // block, block * block * c)


class Block(nn.Module):
    """3x3 convolution, BatchNorm, ReLU; added to its input where the shapes allow.

    Plain convolutions: separable ones have fewer parameters but learned no faster by the step, and the gradient of
    their kernels is slow on a CPU.
    """

    channels: int
    stride: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j d"]:
        initialiser = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
        size = (3, 3)
        conv = Convolution(self.channels, size, self.stride, use_bias=False, dtype=self.dtype, kernel_init=initialiser)
        y = nn.relu(BatchNorm(dtype=self.dtype, name="norm")(conv(x), train=train))
        return x + y if x.shape == y.shape else y


class Separable(nn.Module):
    """A 3x3 convolution of each channel alone, then one of a pixel, each with BatchNorm and ReLU (Howard et al. 2017,
    "MobileNets"); added to its input where the shapes allow."""

    channels: int
    stride: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j d"]:
        inside, options = x.shape[-1], {"use_bias": False, "dtype": self.dtype}
        initialiser = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
        options["kernel_init"] = initialiser
        alone = Convolution(inside, (3, 3), self.stride, feature_group_count=inside, name="alone", **options)
        y = nn.relu(BatchNorm(dtype=self.dtype, name="alone_norm")(alone(x), train=train))
        y = Convolution(self.channels, (1, 1), name="across", **options)(y)
        y = nn.relu(BatchNorm(dtype=self.dtype, name="across_norm")(y, train=train))
        return x + y if x.shape == y.shape else y


def pyramid(image: Num[Array, "b h w 3"], network: Any, *, train: bool) -> Float[Array, "b i j d"]:
    """Blocks at strides 4, 8 and 16 of a picture 0..255, as submodules of the network whose compact method calls this.

    Args:
      image: RGB; h and w multiples of 16.
      network: with `widths`, the channels at each stride, `depths`, the blocks there, and `dtype`; perhaps
        `separable`, whether the blocks after the first are.
      train: use batch statistics.
    """
    block = Separable if getattr(network, "separable", False) else Block
    x = space_to_depth(standardised(image).astype(network.dtype), 2)
    x = Block(network.widths[0], 2, network.dtype, name="stem")(x, train=train)
    for stage, (width, depth) in enumerate(stages.paired(network.widths, network.depths)):
        for i in range(depth):
            stride = 2 if stage > 0 and i == 0 else 1
            x = block(width, stride, network.dtype, name=f"stage{stage}_block{i}")(x, train=train)
    return x


def pyramid_channels(network: Any, params: str, state: str) -> list[dict[str, tuple[tuple[int, ...], int]]]:
    """The channels of each stage of a `pyramid`, which its sums hold together: {place: (axes, times)}.

    Args:
      network: see there.
      params, state: where the network's own lie.
    """
    found: list[dict[str, tuple[tuple[int, ...], int]]] = [{} for _ in network.widths]
    separable = getattr(network, "separable", False)

    def add(stage: int, name: str, axis: int) -> None:
        axes, times = found[stage].get(name, ((), 1))
        found[stage][name] = ((*axes, axis), times)

    def add_norm(stage: int, name: str) -> None:
        for place, leaves in ((params, ("scale", "bias")), (state, ("mean", "var"))):
            for leaf in leaves:
                add(stage, f"{place}/{name}/{leaf}", 0)

    add(0, f"{params}/stem/Conv_0/kernel", 3)
    add_norm(0, "stem/norm")
    for stage, (_, depth) in enumerate(stages.paired(network.widths, network.depths)):
        for i in range(depth):
            name, before = f"stage{stage}_block{i}", stage - (stage > 0 and i == 0)
            if separable:
                add(before, f"{params}/{name}/alone/kernel", 3)
                add_norm(before, f"{name}/alone_norm")
            kernel, norm = ("across", "across_norm") if separable else ("Conv_0", "norm")
            add(before, f"{params}/{name}/{kernel}/kernel", 2)
            add(stage, f"{params}/{name}/{kernel}/kernel", 3)
            add_norm(stage, f"{name}/{norm}")
    return found


def standardised(image: Num[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """A picture of 0..255 as numbers about zero, float32."""
    return (image.astype(jnp.float32) - 127.5) / 64.0


def mean_and_max(x: Float[Array, "b h w d"]) -> Float[Array, "b 2*d"]:
    """Mean and maximum over all places, float32."""
    wide = x.astype(jnp.float32)
    return jnp.concatenate([jnp.mean(wide, (1, 2)), maximum.over(wide, (1, 2))], -1)
