"""The log-mel frames of DAVEnet and of the speech networks that followed it (Harwath et al. 2018, 2020)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from mmjax.errors import OptionError
from mmjax.ops.sound import decibels, mel
from mmjax.ops.sound.resample import resample

RATE = 22_050  # of the data's `speech`


@dataclasses.dataclass(frozen=True)
class DavenetMel:
    """40 mel bands in dB below the utterance's loudest, every 10 ms; the defaults are the official code's.

    The mean is taken off and y[n] = x[n] - k x[n-1] is made of the whole utterance; then librosa's spectrogram of
    energies, with a symmetric Hamming window. The official code pads a batch with 0, the loudest level there is; here
    nothing is ever louder behind an utterance than in it: padding is at the floor, and what reads it leaves it out.

    Attributes:
      rate: in Hz; speech is resampled to it.
      window, hop: in seconds.
      n_mels: bands.
      fmin: lower edge of the first in Hz; the last ends at half the rate.
      preemphasis: k.
      top_db: the floor is so far below the loudest.
      centred: whether each band's mean over the utterance is taken off, which takes most of a voice's and a
        microphone's colour away; not in the official code. What lies behind an utterance is then 0.
    """

    rate: int = 16_000
    window: float = 0.025
    hop: float = 0.01
    n_mels: int = 40
    fmin: float = 20.0
    preemphasis: float = 0.97
    top_db: float = 80.0
    centred: bool = False

    def checked(self) -> DavenetMel:
        """Itself; raises OptionError for a number that is out of its range."""
        for name in ("rate", "window", "hop", "n_mels", "top_db"):
            if not getattr(self, name) > 0:
                raise OptionError(name, f"is {getattr(self, name)}: it must be above 0")
        if not 0 <= self.fmin < self.rate / 2:
            raise OptionError("fmin", f"is {self.fmin}: it must be from 0 to below half of {self.rate} Hz")
        return self

    @property
    def step(self) -> int:
        """Samples, at `rate`, from frame to frame."""
        return round(self.hop * self.rate)

    def frames(self, samples: Any) -> Any:
        """How many frames so many samples at 22,050 Hz give; an int or an array."""
        return 1 + self._resampled(samples) // self.step

    def _resampled(self, samples: Any) -> Any:
        divisor = math.gcd(self.rate, RATE)  # without which long sounds would overflow 32 bits
        return -(-samples * (self.rate // divisor) // (RATE // divisor))

    def __call__(
        self, speech: Num[Array, "b time"], length: Int[Array, " b"]
    ) -> tuple[Float[Array, "b t m"], Int[Array, " b"]]:
        """The frames of utterances, -top_db..0 dB unless they are centred, float32, and how many of them are real.

        Args:
          speech: at 22,050 Hz, of any scale: the loudest frame is 0 dB.
          length: samples of each that are real; what is more than there are is cut to that.
        """
        length = jnp.clip(length, 1, speech.shape[1])
        wide = speech.astype(jnp.float32) / 32768
        where = jnp.arange(wide.shape[1])[None] < length[:, None]
        wide = resample(jnp.where(where, wide, 0.0), RATE, self.rate)
        real = self._resampled(length)
        where = jnp.arange(wide.shape[1])[None] < real[:, None]
        mean = jnp.sum(wide, 1, where=where, keepdims=True) / jnp.maximum(real, 1)[:, None].astype(jnp.float32)
        wide = jnp.where(where, wide - mean, 0.0)
        before = jnp.pad(wide, ((0, 0), (1, 0)))[:, :-1]
        wide = jnp.where(where, wide - self.preemphasis * before, 0.0)
        energy = mel.mel_spectrogram(
            wide, self.rate, n_fft=round(self.window * self.rate), hop=self.step, n_mels=self.n_mels, fmin=self.fmin,
            window="hamming", periodic=False,
        )  # fmt: skip
        levels = decibels.power_to_db(energy, ref="max", top_db=self.top_db)
        count = self.frames(length)
        levels = jnp.swapaxes(levels, 1, 2)
        inside = jnp.arange(levels.shape[1])[None] < count[:, None]
        if self.centred:
            usual = jnp.sum(levels, 1, where=inside[..., None], keepdims=True)
            levels = levels - usual / count.astype(jnp.float32)[:, None, None]
        behind = jnp.float32(0.0 if self.centred else -self.top_db)
        return jnp.where(inside[..., None], levels, behind), count
