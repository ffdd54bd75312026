"""Generators and discriminators that know a text, or a class: the networks of GAN-CLS/INT, as the paper has them.

A generator is (code [b z], text [b d]) -> picture [b s s 3] in -1..1, a discriminator (picture, texts) -> for each text
the logits [b p] of each of its outputs, and an embedding of the picture or None. For a class in place of a text, give
its one-hot vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.models.blocks.adversarial import Double, Halve, Weights, leaky
from mmjax.models.blocks.norm import BatchNorm

# Of the official code: convolutions ~ N(0, 0.02), gains of BatchNorm ~ N(1, 0.02), linear maps as Torch 7 makes them.
KERNEL = nn.initializers.normal(0.02)


def _gain(key, shape, dtype=jnp.float32):
    return 1.0 + KERNEL(key, shape, dtype)


TORCH_LINEAR = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # U(+-1/sqrt(fan in))


def norm(dtype: Any, name: str | None = None) -> BatchNorm:
    """BatchNorm as the official code begins it."""
    return BatchNorm(dtype=dtype, scale_init=_gain, name=name)


class Bottleneck(nn.Module):
    """The residual branch of both official networks: 1x1 to `narrow` channels, 3x3, 3x3 back, BatchNorm after each."""

    narrow: int
    act: Any
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w c"]:
        y = x
        for i, (features, kernel) in enumerate(((self.narrow, 1), (self.narrow, 3), (x.shape[-1], 3))):
            options = {"bias": False, "initialiser": KERNEL, "dtype": self.dtype, "name": f"conv{i}"}
            y = Weights(features, kernel, **options)(y, train=train)
            y = norm(self.dtype, f"norm{i}")(y, train=train)
            y = self.act(y) if i < 2 else y
        return self.act(x + y)


class ReedGenerator(nn.Module):
    """The generator of main_cls_int.lua: 64 x 64 pixels.

    Convolutions have no bias: the official code has them, but sets them to zero before every use.

    Attributes:
      features: ngf, 128 in the paper; the widest layer has 8 times as many channels.
      text: to how many numbers the text is compressed, nt.
      dtype: compute dtype.
    """

    features: int = 128
    text: int = 128
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, code: Float[Array, "b z"], text: Float[Array, "b d"], *, train: bool) -> Float[Array, "b s s 3"]:
        n, dtype = self.features, self.dtype
        told = leaky(Weights(self.text, initialiser=TORCH_LINEAR, dtype=dtype, name="text")(text, train=train))
        x = jnp.concatenate([code.astype(dtype), told], -1)
        x = Weights(16 * 8 * n, bias=False, initialiser=KERNEL, dtype=dtype, name="start")(x, train=train)
        x = norm(dtype, "norm4")(x.reshape(-1, 4, 4, 8 * n), train=train)  # a transposed convolution of one pixel
        x = Bottleneck(2 * n, nn.relu, dtype, name="block4")(x, train=train)
        x = norm(dtype, "norm8")(Double(4 * n, KERNEL, dtype, name="up8")(x, train=train), train=train)
        x = Bottleneck(n, nn.relu, dtype, name="block8")(x, train=train)
        for side, channels in ((16, 2 * n), (32, n)):
            x = Double(channels, KERNEL, dtype, name=f"up{side}")(x, train=train)
            x = nn.relu(norm(dtype, f"norm{side}")(x, train=train))
        return jnp.tanh(Double(3, KERNEL, dtype, name="up64")(x, train=train).astype(jnp.float32))


class ReedDiscriminator(nn.Module):
    """The discriminator of main_cls_int.lua, as first published: 64 x 64 pixels.

    The text, compressed, stands beside each of the 4 x 4 places. (A later version of the file adds a name that it never
    defines in place of the residual branch, and so trains without that branch; here it is there, as in the paper.)

    Attributes:
      features: ndf, 64 in the paper.
      text: nt, 128 in the paper.
      dtype: compute dtype.
    """

    features: int = 64
    text: int = 128
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, image: Float[Array, "b 64 64 3"], texts: Sequence[Float[Array, "b d"]], *, train: bool
    ) -> tuple[list[tuple[Float[Array, "b 1"]]], None]:
        n, dtype = self.features, self.dtype
        x = leaky(Halve(n, bias=False, initialiser=KERNEL, dtype=dtype, name="down32")(image, train=train))
        for side, channels in ((16, 2 * n), (8, 4 * n), (4, 8 * n)):
            x = Halve(channels, bias=False, initialiser=KERNEL, dtype=dtype, name=f"down{side}")(x, train=train)
            x = norm(dtype, f"norm{side}")(x, train=train)
            x = leaky(x) if side == 16 else x  # the official code has nothing between the last two
        x = Bottleneck(2 * n, leaky, dtype, name="block4")(x, train=train)
        compress = Weights(self.text, initialiser=TORCH_LINEAR, dtype=dtype, name="text")
        text_norm, joint_norm = norm(dtype, "text_norm"), norm(dtype, "joint_norm")
        joint = Weights(8 * n, 1, bias=False, initialiser=KERNEL, dtype=dtype, name="joint")
        out = Weights(1, 4, bias=False, padding="VALID", initialiser=KERNEL, dtype=dtype, name="out")
        logits = []
        for text in texts:
            told = leaky(text_norm(compress(text, train=train), train=train))
            told = jnp.broadcast_to(told[:, None, None], (*x.shape[:3], self.text))
            y = leaky(joint_norm(joint(jnp.concatenate([x, told], -1), train=train), train=train))
            logits.append((out(y, train=train).astype(jnp.float32).reshape(-1, 1),))
        return logits, None
