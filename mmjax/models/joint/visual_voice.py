"""VisualVoice's networks: a face and how its lips move turn a mixture into a mask (Gao and Grauman 2021)."""

from __future__ import annotations

import itertools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.blocks.pictures import Convolution
from mmjax.models.vision.resnet import Trunk
from mmjax.ops import maximum

SLOPE = 0.2  # of the leaky ReLU on the way down
PAIRS = (4, 8, 8, 8, 8, 8)  # channels of each pair of convolutions, in widths; each pair is pooled to half the bins
RISES = (8, 8, 8, 8, 4, 2)  # and of the way up


class VisualVoiceUNet(nn.Module):
    """A U-Net over frequency: time is halved twice, down to the pictures' rate, and the bins until one is left.

    The released size, width 64 with 640 numbers a picture (512 of the lips, 128 of the face), has 46,135,682
    parameters.

    Attributes:
      width: channels of the first convolution.
      bound: K of masks K tanh(.); 5 in the paper, whose masks are clipped there and not compressed.
      dtype: compute dtype; parameters, statistics and masks are float32.
    """

    width: int = 64
    bound: float = 5.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, sound: Float[Array, "b f t 2"], seen: Float[Array, "b v d"], *, train: bool = False
    ) -> Float[Array, "b f t 2"]:
        """Runs the network.

        Args:
          sound: real and imaginary part of the mixture's spectrum, as `stft` gives it; f is 257, of n_fft 512, and t
            four frames a picture.
          seen: face and lips at each picture. The face's numbers come first, the same at every picture.
          train: use batch statistics; the collection "state" must then be mutable.

        Returns:
          real and imaginary part of the mask, -bound..bound. The last bin is not looked at and its mask is 1, so it
          stays the mixture's, as in the official evaluation.
        """
        x, levels = sound[:, :-1].astype(self.dtype), []
        for i, times in enumerate((1, 2), start=1):
            x = self._norm(self._convolution(x, times, 4, 2, f"down{i}"), f"down{i}_norm", train)
            x = nn.leaky_relu(x, SLOPE)
            levels.append(x)
        for i, times in enumerate(PAIRS, start=3):
            for part in "ab":
                x = self._norm(self._convolution(x, times, 3, 1, f"down{i}{part}"), f"down{i}{part}_norm", train)
                x = nn.leaky_relu(x, SLOPE)
            x = maximum.over(x.reshape(x.shape[0], -1, 2, *x.shape[2:]), (2,))
            levels.append(x)
        x = jnp.concatenate([seen[:, None].astype(self.dtype), levels.pop()], -1)
        for i, times in enumerate(RISES, start=1):
            x = self._convolution(jnp.repeat(x, 2, 1), times, 3, 1, f"up{i}")
            x = jnp.concatenate([nn.relu(self._norm(x, f"up{i}_norm", train)), levels.pop()], -1)
        x = nn.relu(self._norm(self._spread(x, self.width, "up7"), "up7_norm", train))
        x = self._spread(jnp.concatenate([x, levels.pop()], -1), 2, "up8").astype(jnp.float32)
        last = jnp.broadcast_to(jnp.asarray([1.0, 0.0]).reshape(1, 1, 1, 2), (x.shape[0], 1, x.shape[2], 2))
        return jnp.concatenate([self.bound * jnp.tanh(x), last], 1)

    def _convolution(self, x, times, kernel, stride, name):
        how: dict[str, Any] = {"kernel_init": nn.initializers.normal(0.02), "dtype": self.dtype, "name": name}
        return Convolution(self.width * times, (kernel, kernel), stride, ((1, 1), (1, 1)), **how)(x)

    def _spread(self, x, channels, name):
        """Twice as many bins and frames, by a transposed convolution with 4 x 4 and stride 2."""
        how: dict[str, Any] = {"kernel_init": nn.initializers.normal(0.02), "dtype": self.dtype, "name": name}
        return nn.ConvTranspose(channels, (4, 4), (2, 2), ((2, 2), (2, 2)), **how)(x)

    def _norm(self, x, name, train):
        return BatchNorm(dtype=self.dtype, name=name)(x, train=train)


class Attributes(nn.Module):
    """What a face tells of its voice, or a voice of its face: ResNet-18, of which the maximum over places is taken.

    With 128 features that of a face has 11,242,176 parameters, that of a voice, a spectrum's two parts, 11,239,040.

    Attributes:
      features: d.
      width: channels of the first stage.
      dtype: compute dtype; parameters and statistics are float32.
    """

    features: int = 128
    width: int = 64
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool = False) -> Float[Array, "b d"]:
        """Features of pictures, `resnet.standardised` already, or of spectra without the last bin."""
        x = Trunk(width=self.width, dtype=self.dtype, name="trunk")(x, train=train)
        x = maximum.over(x, (1, 2)).astype(jnp.float32)
        return nn.Dense(self.features, kernel_init=nn.initializers.normal(0.02), name="features")(x)


def names() -> list[tuple[str, str, str]]:
    """(our layer, the published one, its kind as in `weights.torch_layout`, or "transposed_conv") of every layer."""
    found = []
    for i in (1, 2):
        found.append((f"down{i}", f"audionet_convlayer{i}.0", f"audionet_convlayer{i}.1"))
    for i, (part, at) in itertools.product(range(3, 9), zip("ab", (0, 3), strict=True)):
        found.append((f"down{i}{part}", f"audionet_convlayer{i}.conv.{at}", f"audionet_convlayer{i}.conv.{at + 1}"))
    for i in range(1, 7):
        found.append((f"up{i}", f"audionet_upconvlayer{i}.up.1", f"audionet_upconvlayer{i}.up.2"))
    found.append(("up7", "audionet_upconvlayer7.0", "audionet_upconvlayer7.1"))
    layers = [(ours, conv, "transposed_conv" if ours == "up7" else "biased_conv") for ours, conv, _ in found]
    layers += [(f"{ours}_norm", norm, "norm") for ours, _, norm in found]
    return [*layers, ("up8", "audionet_upconvlayer8.0", "transposed_conv")]
