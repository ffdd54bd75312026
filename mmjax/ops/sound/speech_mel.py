"""The log-mel frames of speech synthesis, and sound from them without a network (Griffin and Lim 1984)."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Key

from mmjax.errors import OptionError
from mmjax.ops.sound import mel, phase, spectral
from mmjax.ops.sound.conventions import resolve


@dataclasses.dataclass(frozen=True)
class SpeechMel:
    """Which frames: the defaults are those of NVIDIA's Tacotron 2, and of HiFi-GAN's and WaveGlow's vocoders.

    log(max(mel, floor)) of magnitudes through slaney's filters of unit area; a periodic Hann window of n_fft samples,
    frames centred on every `hop` samples, reflected at the ends.

    Attributes:
      sample_rate: in Hz.
      n_fft: samples of a frame.
      hop: samples from frame to frame.
      n_mels: bands.
      fmin: lower edge of the first band in Hz.
      fmax: upper edge of the last.
      floor: of a band's magnitude.
    """

    sample_rate: int = 22_050
    n_fft: int = 1024
    hop: int = 256
    n_mels: int = 80
    fmin: float = 0.0
    fmax: float = 8000.0
    floor: float = 1e-5

    def __call__(self, waveform: Float[Array, "b time"]) -> Float[Array, "b t m"]:
        """The frames of a sound in [-1, 1]: [b, 1 + time // hop, n_mels], float32."""
        found = mel.mel_spectrogram(
            waveform, self.sample_rate, n_fft=self.n_fft, hop=self.hop, n_mels=self.n_mels, fmin=self.fmin,
            fmax=self.fmax, convention=self.rules,
        )  # fmt: skip
        return jnp.log(jnp.maximum(jnp.swapaxes(found, 1, 2), self.floor))

    @property
    def rules(self) -> Any:
        """The convention of `ops.sound`."""
        return resolve("librosa", {"power": 1.0, "pad_mode": "reflect"})

    @property
    def filters(self) -> Float[np.ndarray, "m freq"]:
        """Of the bands, float32."""
        return mel.mel_filterbank(self.sample_rate, self.n_fft, self.n_mels, fmin=self.fmin, fmax=self.fmax)

    def frames(self, samples: Any) -> Any:
        """How many frames so many samples give; an int or an array."""
        return 1 + samples // self.hop


class Inverted(NamedTuple):
    """Sound from frames.

    Attributes:
      waveform: not scaled, nor clipped.
      convergence: ||A| - |S|| / |S|, the magnitudes S that were wanted and those of the waveform, over the row's own
        frames: 0 is perfect (Sturmel and Daudet 2011, "spectral convergence").
      unexplained: |M x - m| / |m| of the mel inversion: how far the magnitudes x are from the frames m.
    """

    waveform: Float[Array, "b time"]
    convergence: Float[Array, " b"]
    unexplained: Float[Array, " b"]


def from_log_mel(
    log_mel: Float[Array, "b t m"],
    frames: Int[Array, " b"] | None = None,
    spec: SpeechMel | None = None,
    *,
    key: Key[Array, ""] | None = None,
    n_iter: int = 32,
    momentum: float = 0.99,
    mel_iter: int = 32,
) -> Inverted:
    """Sound whose log-mel frames are nearly these, by fast Griffin-Lim of the magnitudes that explain them best.

    Args:
      log_mel: as `SpeechMel` gives them.
      frames: of each row that are real; None for all. What lies beyond is silence.
      spec: which frames they are; `SpeechMel()` where None.
      key: see `griffin_lim`.
      n_iter, momentum: of Griffin-Lim.
      mel_iter: of the mel inversion, see `magnitudes`.

    Returns:
      Waveform [b (t - 1) hop], and how well it fits.
    """
    spec = SpeechMel() if spec is None else spec
    where = None if frames is None else jnp.arange(log_mel.shape[1])[None] < frames[:, None]
    bands = jnp.exp(log_mel.astype(jnp.float32))
    bands = bands if where is None else jnp.where(where[..., None], bands, jnp.float32(0))
    wanted = magnitudes(bands, spec, mel_iter)
    length = (log_mel.shape[1] - 1) * spec.hop
    transposed = jnp.swapaxes(wanted, 1, 2)  # b t f -> b f t
    waveform = phase.griffin_lim(
        transposed, spec.n_fft, spec.hop, key=key, n_iter=n_iter, momentum=momentum, length=length,
        convention=spec.rules,
    )  # fmt: skip
    heard = jnp.abs(spectral.stft(waveform, spec.n_fft, spec.hop, convention=spec.rules))
    again = wanted @ jnp.asarray(spec.filters.T)
    return Inverted(waveform, _distance(heard, transposed, where), _distance(again, bands, where, axis=1))


def _distance(found, wanted, where, axis=2):
    """|found - wanted| / |wanted| of each row, over the frames, along `axis`, that count."""
    if where is not None:
        shape = [wanted.shape[0], 1, 1]
        shape[axis] = -1
        found, wanted = (jnp.where(where.reshape(shape), x, jnp.float32(0)) for x in (found, wanted))
    rest = jnp.sqrt(jnp.sum(jnp.square(found - wanted), (1, 2)))
    return rest / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(wanted), (1, 2))), 1e-20)


def magnitudes(bands: Float[Array, "b t m"], spec: SpeechMel, iterations: int = 32) -> Float[Array, "b t f"]:
    """Magnitudes x >= 0 of the bins that explain mel bands best: min |M x - bands|^2, non-negative least squares.

    From the clipped least-squares solution on, by the accelerated projected gradient (Beck and Teboulle 2009, with
    non-negativity in the place of shrinkage); what is between two bands is not known, and stays near where it began.

    Args:
      bands: at least 0, not their logarithm.
      spec: whose filters they went through.
      iterations: at least 0.

    Raises:
      OptionError: fewer than 0 iterations.
    """
    if iterations < 0:
        raise OptionError("mel_iter", f"is {iterations}: it cannot be negative")
    filters, inverse, slope = _solving(spec)
    forward, back = jnp.asarray(filters.T), jnp.asarray(filters)
    start = jnp.maximum(bands @ jnp.asarray(inverse.T), 0.0)

    def step(carry, weight):
        x, ahead = carry
        new = jnp.maximum(ahead - ((ahead @ forward - bands) @ back) / slope, 0.0)
        return (new, new + weight * (new - x)), None

    return lax.scan(step, (start, start), jnp.asarray(_weights(iterations)))[0][0]


@functools.lru_cache(maxsize=8)
def _solving(spec: SpeechMel) -> tuple[np.ndarray, np.ndarray, np.float32]:
    """The filters [m f], their pseudo-inverse [f m] and the largest curvature."""
    filters = spec.filters.astype(np.float64)
    inverse = np.linalg.pinv(filters)
    return spec.filters, inverse.astype(np.float32), np.float32(np.linalg.norm(filters, 2) ** 2)


def _weights(iterations: int) -> np.ndarray:
    """How far each iteration goes on along its last change: (t_n - 1) / t_(n+1)."""
    t, found = 1.0, []
    for _ in range(iterations):
        after = (1 + np.sqrt(1 + 4 * t * t)) / 2
        found.append((t - 1) / after)
        t = after
    return np.array(found, np.float32)
