"""How lips move: a mouth filmed from the front as numbers of each picture (Ma et al. 2021, "Towards Practical
Lipreading with Distilled and Efficient Models"), the lip-reading network that VisualVoice listens with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from mmjax.models.blocks import stages
from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.blocks.pictures import Convolution
from mmjax.ops.pooling import max_pool

MEAN, STD = 0.421, 0.165  # of the mouths of Lip Reading in the Wild, in 0..1
TOGETHER = 5  # pictures that the first layer sees at once
INITIAL = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class PReLU(nn.Module):
    """x where it is positive and a learned multiple of x elsewhere, one for each channel (He et al. 2015)."""

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],), jnp.float32)
        slope = slope.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
        return jnp.where(x >= 0, x, slope * x)


class Unit(nn.Module):
    """A unit of ShuffleNet v2 (Ma et al. 2018): half of the channels go on as they are, the others are convolved; with
    a stride of 2 both halves are made of all channels. Then the channels of the halves alternate.

    Attributes:
      channels: of both halves together.
      stride: 1 or 2; with 1 as many channels come in.
      dtype: compute dtype; parameters and statistics stay float32.
    """

    channels: int
    stride: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j d"]:
        half = self.channels // 2
        left, right = (x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]) if self.stride == 1 else (x, x)
        if self.stride != 1:
            left = self._alone(left, "left_alone", train)
            left = nn.relu(self._across(left, half, "left_across", train))
        right = nn.relu(self._across(right, half, "right_in", train))
        right = self._alone(right, "right_alone", train)
        right = nn.relu(self._across(right, half, "right_across", train))
        return jnp.stack([left, right], -1).reshape(*right.shape[:-1], 2 * half)

    def _alone(self, x, name, train):
        how: dict[str, Any] = {"feature_group_count": x.shape[-1], "use_bias": False, "kernel_init": INITIAL}
        x = Convolution(x.shape[-1], (3, 3), self.stride, ((1, 1), (1, 1)), dtype=self.dtype, name=name, **how)(x)
        return BatchNorm(dtype=self.dtype, name=f"{name}_norm")(x, train=train)

    def _across(self, x, channels, name, train):
        how: dict[str, Any] = {"use_bias": False, "kernel_init": INITIAL}
        x = Convolution(channels, (1, 1), dtype=self.dtype, name=name, **how)(x)
        return BatchNorm(dtype=self.dtype, name=f"{name}_norm")(x, train=train)


class Temporal(nn.Module):
    """Two dilated convolutions over pictures, each with BatchNorm, PReLU and dropout, added to what came in (Bai et al.
    2018, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks"), looking both ways.

    Attributes:
      channels: that come out.
      dilation: in pictures.
      dropout: in training, rng "dropout".
      dtype: compute dtype; parameters and statistics stay float32.
    """

    channels: int
    dilation: int
    dropout: float
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b f c"], *, train: bool) -> Float[Array, "b f d"]:
        y = x
        for i in (1, 2):
            how: dict[str, Any] = {"kernel_dilation": self.dilation, "kernel_init": INITIAL, "dtype": self.dtype}
            y = nn.Conv(self.channels, (3,), padding=[(self.dilation,) * 2], name=f"conv{i}", **how)(y)
            y = BatchNorm(dtype=self.dtype, name=f"norm{i}")(y, train=train)
            y = nn.Dropout(self.dropout, deterministic=not train)(PReLU(name=f"prelu{i}")(y))
        if x.shape[-1] != self.channels:
            x = nn.Conv(self.channels, (1,), kernel_init=INITIAL, dtype=self.dtype, name="shortcut")(x)
        return PReLU(name="prelu")(x + y)


class LipMotion(nn.Module):
    """A convolution over five pictures at once, ShuffleNet v2 on each, and convolutions over time.

    The released size has 8,879,980 parameters; its file also holds a layer of 500 words, which nobody asks. Pictures
    beyond a clip's ends are taken for grey ones.

    Attributes:
      front: channels of the first layer.
      widths: channels at strides 8, 16 and 32; even.
      depths: units of each.
      last: channels of the last map.
      features: d.
      layers: of the convolutions over time, whose dilations are 1, 2, 4, ...
      dropout: behind each of these, in training: rng "dropout".
      dtype: compute dtype; parameters and statistics stay float32.
    """

    front: int = 24
    widths: tuple[int, ...] = (116, 232, 464)
    depths: tuple[int, ...] = (4, 8, 4)
    last: int = 1024
    features: int = 512
    layers: int = 4
    dropout: float = 0.2
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        stages.paired(self.widths, self.depths)
        super().__post_init__()

    @nn.compact
    def __call__(self, mouth: UInt8[Array, "b f h w"], *, train: bool = False) -> Float[Array, "b f d"]:
        """Features of each picture.

        Args:
          mouth: grey pictures, 0..255, 25 a second; published weights want 88 squared.
          train: use batch statistics and dropout; the collection "state" must then be mutable.
        """
        x = ((mouth.astype(jnp.float32) / 255 - MEAN) / STD).astype(self.dtype)
        b, pictures, _, _ = x.shape
        side = TOGETHER // 2
        x = jnp.pad(x, ((0, 0), (side, side), (0, 0), (0, 0)))
        # One channel over five pictures is five channels over one, whose convolution is of two dimensions.
        x = jnp.stack([x[:, i : i + pictures] for i in range(TOGETHER)], -1).reshape(-1, *x.shape[2:], TOGETHER)
        how: dict[str, Any] = {"use_bias": False, "kernel_init": INITIAL, "dtype": self.dtype}
        x = Convolution(self.front, (7, 7), 2, ((3, 3), (3, 3)), name="front", **how)(x)
        x = PReLU(name="front_prelu")(BatchNorm(dtype=self.dtype, name="front_norm")(x, train=train))
        x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for i, width, stride in units(self):
            x = Unit(width, stride, self.dtype, name=f"unit{i}")(x, train=train)
        x = Convolution(self.last, (1, 1), name="last", **how)(x)
        x = nn.relu(BatchNorm(dtype=self.dtype, name="last_norm")(x, train=train))
        x = jnp.mean(x, (1, 2)).reshape(b, pictures, -1)
        for i in range(self.layers):
            x = Temporal(self.features, 2**i, self.dropout, self.dtype, name=f"temporal{i}")(x, train=train)
        return x.astype(jnp.float32)


def units(model: LipMotion) -> Iterator[tuple[int, int, int]]:
    """Yields (number, channels, stride) of every unit of ShuffleNet v2."""
    shapes = [(w, 1 if i else 2) for w, depth in stages.paired(model.widths, model.depths) for i in range(depth)]
    yield from ((i, width, stride) for i, (width, stride) in enumerate(shapes))
