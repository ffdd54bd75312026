"""HiFi-GAN's generator: a waveform from log-mel frames (Kong, Kim and Bae 2020, section 2.2)."""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mmjax.errors import OptionError

SLOPE, LAST_SLOPE = 0.1, 0.01  # of the leaky ReLUs; the last one's is PyTorch's own default in the authors' code


class HiFiGAN(nn.Module):
    """Log-mel frames [b t m] -> waveform [b t * hop] in [-1, 1], hop being the product of the rates.

    The defaults are the authors' V1; V2 has 128 channels. Weight normalisation is of training and of its files: what
    is here are the kernels themselves, which `weights.hifi_gan` makes of them.

    Attributes:
      mels: bands of a frame.
      channels: before the first stage; each stage halves them.
      rates: by which each stage lengthens, see `kernels`.
      kernels: of each stage's transposed convolution, an even number of samples longer than its rate.
      residual_kernels: of the residual blocks of each stage, whose mean goes on.
      dilations: of the convolutions in each of those blocks.
      paired: whether each dilated convolution is followed by a plain one, as in V1 and V2 and not in V3.
      dtype: of the convolutions.
    """

    mels: int = 80
    channels: int = 512
    rates: tuple[int, ...] = (8, 8, 2, 2)
    kernels: tuple[int, ...] = (16, 16, 4, 4)
    residual_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    paired: bool = True
    dtype: Any = jnp.float32

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        return math.prod(self.rates)

    def checked(self) -> HiFiGAN:
        """Itself; raises OptionError for sizes that do not fit together."""
        if len(self.rates) != len(self.kernels) or len(self.residual_kernels) != len(self.dilations):
            raise OptionError("kernels", "must be as many as rates, and dilations as many as residual_kernels")
        if any(kernel < rate or (kernel - rate) % 2 for rate, kernel in zip(self.rates, self.kernels)):
            raise OptionError("kernels", f"is {self.kernels}: each must exceed its rate by an even number")
        if self.channels % 2 ** len(self.rates):
            raise OptionError("channels", f"is {self.channels}: it is halved {len(self.rates)} times")
        return self

    @nn.compact
    def __call__(self, mel: Float[Array, "b t m"]) -> Float[Array, "b time"]:
        """The waveform, float32. Each row's padding reaches some frames into its end: cut it, or pad with silence."""
        self.checked()
        x = self._conv("first", mel.astype(self.dtype), self.channels, 7)
        for i, (rate, kernel) in enumerate(zip(self.rates, self.kernels)):
            x = self._longer(f"up{i}", nn.leaky_relu(x, SLOPE), rate, kernel)
            blocks = [
                self._block(f"block{i}_{j}", x, kernel, dilations)
                for j, (kernel, dilations) in enumerate(zip(self.residual_kernels, self.dilations))
            ]
            x = sum(blocks[1:], blocks[0]) / jnp.asarray(len(blocks), x.dtype)
        x = self._conv("last", nn.leaky_relu(x, LAST_SLOPE), 1, 7)
        return jnp.tanh(x[..., 0].astype(jnp.float32))

    def _block(self, name, x, kernel, dilations):
        for k, dilation in enumerate(dilations):
            y = self._conv(f"{name}_dilated{k}", nn.leaky_relu(x, SLOPE), x.shape[-1], kernel, dilation)
            if self.paired:
                y = self._conv(f"{name}_plain{k}", nn.leaky_relu(y, SLOPE), x.shape[-1], kernel)
            x = x + y
        return x

    def _weights(self, name, inside, out, kernel):
        w = self.param(f"{name}_kernel", nn.initializers.normal(0.01), (kernel, inside, out), jnp.float32)
        b = self.param(f"{name}_bias", nn.initializers.zeros, (out,), jnp.float32)
        return w.astype(self.dtype), b.astype(self.dtype).reshape(1, 1, -1)

    def _conv(self, name, x, out, kernel, dilation=1):
        w, b = self._weights(name, x.shape[-1], out, kernel)
        pad = dilation * (kernel - 1) // 2
        return _convolved(x, w, [(pad, pad)], rhs_dilation=(dilation,)) + b

    def _longer(self, name, x, rate, kernel):
        """A transposed convolution whose output is exactly `rate` times as long; its kernel is stored as it is used."""
        w, b = self._weights(name, x.shape[-1], x.shape[-1] // 2, kernel)
        pad = kernel - 1 - (kernel - rate) // 2
        return _convolved(x, w, [(pad, pad)], lhs_dilation=(rate,)) + b


def _convolved(x, kernel, pad, **dilated):
    return lax.conv_general_dilated(x, kernel, (1,), pad, dimension_numbers=("NWC", "WIO", "NWC"), **dilated)
