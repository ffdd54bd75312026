"""The voice encoder of Speech2Face (Oh et al. 2019): from a complex spectrogram to the feature of a face."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.errors import OptionError, UserError
from mmjax.models.blocks import options
from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.sound.soundnet import tile
from mmjax.ops import maximum
from mmjax.ops.convolution import convolve
from mmjax.ops.sound.resample import resample
from mmjax.ops.sound.spectral import stft

RATE = 22_050  # of the data's `speech`


@dataclasses.dataclass(frozen=True)
class Hearing:
    """What the encoder hears of an utterance: frames x bins x 2, real and imaginary part to the power `power`.

    Of 6 s at 16 kHz with the defaults 598 x 257 x 2, the paper's input.

    Attributes:
      rate: in Hz; speech is resampled to it.
      seconds: heard; shorter utterances are repeated to fill them, as the paper does.
      window, hop: in seconds.
      n_fft: samples of a transform; no frame reaches beyond the signal.
      bins: kept, from the lowest on; 0 keeps all n_fft // 2 + 1.
      power: of the power law, sign(x) |x|^power.
    """

    rate: int = 16_000
    seconds: float = 6.0
    window: float = 0.025
    hop: float = 0.01
    n_fft: int = 512
    bins: int = 0
    power: float = 0.3

    def checked(self) -> Hearing:
        """Itself; raises OptionError for a number that is out of its range."""
        if not 0 <= self.bins <= self.n_fft // 2 + 1:
            raise OptionError("bins", f"is {self.bins}: an n_fft of {self.n_fft} gives {self.n_fft // 2 + 1}")
        for name in ("rate", "seconds", "window", "hop", "n_fft", "power"):
            if not 0 < getattr(self, name) < math.inf:
                raise OptionError(name, f"is {getattr(self, name)}: it must be above 0, and finite")
        for name in ("window", "hop"):
            if round(getattr(self, name) * self.rate) < 1:
                raise OptionError(name, f"is {getattr(self, name)}: not one sample at a rate of {self.rate}")
        kept = self.bins or self.n_fft // 2 + 1
        if kept < FEWEST_BINS:
            name = "bins" if self.bins else "n_fft"
            raise OptionError(name, f"={getattr(self, name)} gives {kept} bins: the encoder needs {FEWEST_BINS}")
        if round(self.window * self.rate) > self.n_fft:
            raise OptionError("n_fft", f"is {self.n_fft}: a window has {round(self.window * self.rate)} samples")
        if self.frames < MINIMUM:
            raise OptionError("seconds", f"={self.seconds} give {self.frames} frames: the encoder needs {MINIMUM}")
        return self

    @property
    def frames(self) -> int:
        """How many there are."""
        samples = -(-round(self.seconds * RATE) * self.rate // RATE)
        return 1 + (samples - round(self.window * self.rate)) // round(self.hop * self.rate)

    def __call__(
        self, speech: Int[Array, "b time"], length: Int[Array, " b"], start: Int[Array, " b"] | None = None
    ) -> Float[Array, "b frames bins 2"]:
        """The spectrogram of `length` samples from `start` on (0 where None), repeated over all that is heard.

        Args:
          speech: [b time] at 22,050 Hz, int16 or float of any scale: each row is heard at a level of its own, its peak
            at 1, so that how loud a recording is tells nothing.
          length: samples of each row, at least 1, that follow `start`.
          start: of what is heard.
        """
        wide = speech.astype(jnp.float32)
        samples = round(self.seconds * RATE)
        if start is not None:
            index = jnp.arange(samples, dtype=jnp.int32)[None] % jnp.maximum(length, 1)[:, None] + start[:, None]
            wide = jnp.take_along_axis(wide, jnp.clip(index, 0, wide.shape[1] - 1), 1, mode="promise_in_bounds")
        else:
            wide = tile(wide, length, samples)[:, :samples]
        peak = jnp.max(jnp.abs(wide), 1, keepdims=True)
        wide = resample(wide / jnp.where(peak > 0, peak, 1), RATE, self.rate)
        spectrum = stft(
            wide,
            self.n_fft,
            round(self.hop * self.rate),
            round(self.window * self.rate),
            center=False,
            align="start",
        )
        kept = jnp.swapaxes(spectrum[:, : self.bins or None], 1, 2)
        both = jnp.stack([kept.real, kept.imag], -1)
        return jnp.sign(both) * jnp.abs(both) ** jnp.float32(self.power)


class Layer(NamedTuple):
    """A 4 x 4 convolution without padding: channels, stride, and by how much time is pooled after it."""

    out: int
    stride: int = 1
    pool: int = 1


LAYERS = (
    Layer(64),
    Layer(64),
    Layer(128, pool=2),
    Layer(128, pool=2),
    Layer(128, pool=2),
    Layer(256, pool=2),
    Layer(512),
    Layer(512, stride=2),
    Layer(512, stride=2),
)
KERNEL = 4


def steps(frames: int) -> int:
    """Time steps that are left of so many frames: 6 of 598; none below `MINIMUM`."""
    for layer in LAYERS:
        frames = ((frames - KERNEL) // layer.stride + 1) // layer.pool
    return max(frames, 0)


def _minimum() -> int:
    needed = 1
    for layer in reversed(LAYERS):
        needed = (needed * layer.pool - 1) * layer.stride + KERNEL
    return needed


MINIMUM = _minimum()  # frames: 259, 2.6 s in steps of 10 ms


class Folded(nn.Module):
    """An unpadded convolution of x * gain + offset, in float32 computed as one of x.

    Without padding a convolution sees the offset everywhere alike, so that both go into its own kernel and bias: a map
    that is normalised by the batch is not read and written once more, and no sum over it is left in the gradient of
    its gain, which is that of the kernel. Parameters, numbers and gradients are those of the convolution behind a
    normalisation, but for rounding. In a shorter float the bias would have to cancel what the kernel has rounded, and
    its gradient, with all of the normalisation's in it, would be a sum of short floats: there x is normalised first.

    Attributes:
      channels: of the output.
      stride: in both directions.
      dtype: of the computation.
    """

    channels: int
    stride: int
    dtype: Any

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t f c"], affine: tuple[Float[Array, " c"], Float[Array, " c"]] | None
    ) -> Float[Array, "b i j d"]:
        """The convolution of x [b t f c] * gain [c] + offset [c], `affine` in float32; of x itself where it is None."""
        he = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
        kernel = self.param("kernel", he, (KERNEL, KERNEL, x.shape[-1], self.channels), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,), jnp.float32)
        if affine is not None:
            gain, offset = affine
            if jnp.dtype(self.dtype) == jnp.float32:
                bias = bias + jnp.einsum("klcd,c->d", kernel, offset)
                kernel = kernel * gain[None, None, :, None]
            else:
                x = x.astype(jnp.float32) * gain[None, None, None] + offset[None, None, None]
        strides, axes = (self.stride, self.stride), ("NHWC", "HWIO", "NHWC")
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype), strides, "VALID", dimension_numbers=axes)
        return y + bias.astype(self.dtype)[None, None, None]


class VoiceEncoder(nn.Module):
    """Nine convolutions over time and frequency, a mean over all time that is left, two fully connected layers.

    At the paper's input and width 148,062,976 parameters, most of them in the first fully connected layer, which reads
    all 57 frequencies that are left. Each convolution but the last is followed by ReLU, then BatchNorm, then, where the
    table says so, the maximum of two neighbouring steps of time; the last by the mean over time, ReLU and BatchNorm.

    Attributes:
      features: of the face, what is predicted.
      width: multiplies the channels.
      hidden: units of the first fully connected layer.
      dtype: of the computation; parameters, statistics and the features stay float32.
    """

    features: int = 4096
    width: float = 1.0
    hidden: int = 4096
    dtype: Any = "float32"

    def checked(self) -> VoiceEncoder:
        """Itself; raises OptionError for a number that is out of its range."""
        narrowest = min(layer.out for layer in LAYERS)
        if not 0 < self.width < math.inf or round(narrowest * self.width) < 1:
            wanted = f"times {narrowest} channels it must give at least 1, and finitely many"
            raise OptionError("width", f"is {self.width}: {wanted}")
        options.sizes(self, "hidden")
        options.floating(self.dtype)
        return self

    @nn.compact
    def __call__(self, sound: Float[Array, "b frames bins 2"], *, train: bool = False) -> Float[Array, "b features"]:
        """The features, float32.

        Args:
          sound: of `Hearing`, of any length from MINIMUM frames on.
          train: normalise by the batch and update the collection "state", which must then be mutable.

        Raises:
          UserError: fewer frames than that, or too few bins.
        """
        if sound.shape[1] < MINIMUM:
            raise UserError(f"{sound.shape[1]} frames are too few for the voice encoder: it needs {MINIMUM}")
        if sound.shape[2] < FEWEST_BINS:
            raise UserError(f"{sound.shape[2]} bins are too few for the voice encoder: it needs {FEWEST_BINS}")
        x, affine = sound.astype(self.dtype), None
        for i, layer in enumerate(LAYERS, start=1):
            out, norm = max(1, round(layer.out * self.width)), BatchNorm(dtype=self.dtype, name=f"norm{i}")
            x = Folded(out, layer.stride, self.dtype, name=f"conv{i}")(x, affine)
            if i == len(LAYERS):
                x = norm(nn.relu(jnp.mean(x, 1)), train=train)  # b t f c -> b f c
                break
            x = nn.relu(x)
            gain, offset = norm.of(x, train=train)
            if layer.pool > 1:
                # The maximum of what is normalised: where the gain is negative, of its negative.
                sign = jnp.where(gain < 0, -1, 1).astype(jnp.float32)
                x, gain = x * sign.astype(x.dtype)[None, None, None], gain * sign
                kept = x.shape[1] // layer.pool * layer.pool
                x = maximum.over(x[:, :kept].reshape(x.shape[0], -1, layer.pool, *x.shape[2:]), (2,))
            affine = gain, offset
        x = x.reshape(x.shape[0], -1).astype(self.dtype)  # b f c -> b (f c)
        x = nn.relu(nn.Dense(self.hidden, dtype=self.dtype, name="fc1")(x)).astype(jnp.float32)
        return nn.Dense(self.features, name="fc2")(x)


def _fewest() -> int:
    needed = 1
    for layer in reversed(LAYERS):
        needed = (needed - 1) * layer.stride + KERNEL
    return needed


FEWEST_BINS = _fewest()
