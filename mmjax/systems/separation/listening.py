"""What a mixture is to a network: its clips out of a batch, its spectrograms, and estimates back as waveforms."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int

from mmjax.errors import OptionError
from mmjax.ops.sound import framing, log_frequency, mixing, resample, spectral
from mmjax.task import Batch

GIVEN = 22_050  # Hz, of every waveform


@dataclasses.dataclass(frozen=True)
class Sound:
    """How sounds are seen by a network: config.sound.

    Attributes:
      rate: in Hz, to which waveforms are brought first; figures are taken there as well.
      n_fft: samples of each transform.
      hop: samples from one to the next.
      rows: of the logarithmic frequency axis; 0 leaves the bins evenly spaced.
      window: samples of the Hann window in the middle of each transform; 0: n_fft.
    """

    rate: int
    n_fft: int
    hop: int
    rows: int = 0
    window: int = 0

    def __post_init__(self) -> None:
        for name, least in (("rate", 1), ("n_fft", 4), ("hop", 1), ("rows", 0)):
            if getattr(self, name) < least or (name == "rows" and self.rows == 1):
                raise OptionError(name, f"is {getattr(self, name)}: it must be at least {least}, and rows not 1")
        if not 0 <= self.window <= self.n_fft:
            raise OptionError("window", f"is {self.window}: it must be at most n_fft, {self.n_fft}")
        if 3 * self.hop > 2 * self.length:  # a Hann window is close to 0 for a sixth of its length at either end
            raise OptionError("hop", f"is {self.hop}: windows of {self.length} must overlap by a third at least")

    @property
    def length(self) -> int:
        return self.window or self.n_fft

    @property
    def bins(self) -> int:
        return self.n_fft // 2 + 1

    def heard(self, waveform: Array) -> Float[Array, "*b time"]:
        """Samples of a batch, int16 at 22,050 Hz, as float32 in -1..1 at `rate`."""
        return resample.resample(waveform.astype(jnp.float32) / 32768.0, GIVEN, self.rate)

    def given(self, waveform: Float[Array, "*b time"], samples: int) -> Float[Array, "*b samples"]:
        """Back to 22,050 Hz."""
        return framing.resized(resample.resample(waveform, self.rate, GIVEN), samples)

    def spectrum(self, waveform: Float[Array, "*b time"]) -> Complex[Array, "*b bins frames"]:
        """With silence behind the end: no sample is under the edge of a last window alone, where it could be nothing
        but divided by almost 0 on the way back."""
        return spectral.stft(framing.resized(waveform, waveform.shape[-1] + self.n_fft // 2), *self._sizes)

    def waveform(self, spectrum: Complex[Array, "*b bins frames"], time: int) -> Float[Array, "*b time"]:
        return spectral.istft(spectrum, *self._sizes, length=time)

    @property
    def _sizes(self) -> tuple[int, int, int]:
        return self.n_fft, self.hop, self.length

    def warped(self, magnitude: Float[Array, "*b bins frames"]) -> Float[Array, "*b rows frames"]:
        """Magnitudes, or masks, on the network's axis of frequency."""
        return log_frequency.warp(magnitude, self.rows) if self.rows else magnitude

    def unwarped(self, mask: Float[Array, "*b rows frames"]) -> Float[Array, "*b bins frames"]:
        return log_frequency.unwarp(mask, self.bins) if self.rows else mask

    def magnitude(self, spectrum: Complex[Array, "*b bins frames"]) -> Float[Array, "*b rows frames"]:
        """Magnitudes on the network's axis."""
        return self.warped(jnp.abs(spectrum))

    def masked(
        self, spectrum: Complex[Array, "*b bins frames"], mask: Float[Array, "*b n rows frames"], time: int
    ) -> Float[Array, "*b n time"]:
        """What masks on the network's axis leave of a mixture, with the mixture's phases."""
        left = self.unwarped(mask).astype(spectrum.dtype) * spectrum[..., None, :, :]
        return self.waveform(left, time)


@dataclasses.dataclass(frozen=True)
class Mixing:
    """How clips are mixed: config.mixing.

    Attributes:
      sources: clips of a mixture, 2 to 4; 1 where there is noise.
      spread_db: in training each is so much louder or softer than the others at most, drawn anew each time.
      unlike: whether clips of one class are never mixed, where there are classes.
      level: root mean square of a clip before it is mixed.
      silence_db: a clip below this root mean square, in dB of full scale, is silent: it is refused and counted.
      noise_db: () without noise; (least, most) signal-to-noise ratio in dB of training's mixtures, whose noise is what
        the batch holds as "noise". Held-out mixtures have the mean of the two.
    """

    sources: int
    spread_db: float
    unlike: bool
    level: float
    silence_db: float
    noise_db: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.noise_db) not in (0, 2) or list(self.noise_db) != sorted(self.noise_db):
            raise OptionError("noise_db", f"is {self.noise_db}: give the least and the most in dB, as in (0.0, 10.0)")
        fewest = 1 if self.noise_db else 2
        if not fewest <= self.sources <= 4:
            raise OptionError("sources", f"is {self.sources}: a mixture has {fewest} to 4")
        if self.spread_db < 0 or self.level <= 0:
            raise OptionError("spread_db" if self.spread_db < 0 else "level", "must be above 0")

    def to_level(self, waveform: Float[Array, "b time"]) -> Float[Array, "b 1"]:
        """The factor that brings a user's sound to the level of training's mixtures."""
        rms = jnp.sqrt(jnp.mean(jnp.square(waveform), -1, keepdims=True))
        return self.level / self.sources**0.5 / jnp.maximum(rms, 1e-6)

    def audible(self, waveform: Float[Array, "b time"]) -> Bool[Array, " b"]:
        return mixing.level_db(waveform) > self.silence_db


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Mixture:
    """g mixtures of n clips out of a batch.

    Attributes:
      places: of the clips in the batch, [g n].
      sound: the mixtures, [g time].
      parts: what each clip adds, [g n time].
      there: whether the mixture counts: all of its clips are valid and audible.
      silent: how many clips were refused.
      noise: what else is in it, [g time]; None for nothing.
    """

    places: Int[Array, "g n"]
    sound: Float[Array, "g time"]
    parts: Float[Array, "g n time"]
    there: Bool[Array, " g"]
    silent: Float[Array, ""]
    noise: Float[Array, "g time"] | None = None

    @property
    def every(self) -> Float[Array, "g m time"]:
        """All that the mixture is the sum of: its clips, and the noise behind them."""
        return self.parts if self.noise is None else jnp.concatenate([self.parts, self.noise[:, None]], 1)


def trained(sound: Sound, mixing_: Mixing, classes: str, batch: Batch, key: Array) -> Mixture:
    """A mixture for each clip of a training batch, with others drawn from the key."""
    waves = sound.heard(batch["waveform"])
    audible = mixing_.audible(waves)
    of_groups, of_gains, of_noise = jax.random.split(key, 3) if mixing_.noise_db else (*jax.random.split(key), key)
    kinds = batch[classes] if classes and mixing_.unlike else None
    places, there = mixing.groups(of_groups, audible, mixing_.sources, kinds)
    gains = mixing.gains(of_gains, places.shape, mixing_.spread_db)
    mixture, parts = mixing.mixed(waves[places], gains, mixing_.level)
    found = Mixture(places, mixture, parts, there, jnp.sum(~audible, dtype=jnp.float32))
    if not mixing_.noise_db:
        return found
    least, most = mixing_.noise_db
    return _noisy(sound, found, batch, jax.random.uniform(of_noise, there.shape, minval=least, maxval=most))


def _noisy(sound: Sound, clean: Mixture, batch: Batch, ratio_db: Array) -> Mixture:
    """The mixture in the noise of its first clip's example, which is nobody's."""
    noise = sound.heard(batch["noise"])[clean.places[:, 0]]
    noise = mixing.noise_at(clean.sound, noise, ratio_db)
    return dataclasses.replace(clean, sound=clean.sound + noise, noise=noise)


def listed(sound: Sound, mixing_: Mixing, batch: Batch, first_db: float | Array = 0.0) -> Mixture:
    """The mixtures of a held-out batch: each `sources` examples that follow one another, as the split lists them.

    The last ones of a batch that is no multiple are filled up with the first, and count for nothing. All clips are
    equally loud, but the first of each mixture, which is `first_db` louder than the others.
    """
    rows = batch["valid"].shape[0]
    places = jnp.arange(-(-rows // mixing_.sources) * mixing_.sources, dtype=jnp.int32)
    own = places < rows
    places = (places % rows).reshape(-1, mixing_.sources)
    waves = sound.heard(batch["waveform"])
    good = batch["valid"] & mixing_.audible(waves)
    there = jnp.all(good[places] & own.reshape(places.shape), -1)
    gains = jnp.where(jnp.arange(mixing_.sources) == 0, jnp.asarray(first_db, jnp.float32), 0.0)
    mixture, parts = mixing.mixed(waves[places], jnp.broadcast_to(gains[None], places.shape), mixing_.level)
    silent = jnp.sum(batch["valid"] & ~good, dtype=jnp.float32)
    found = Mixture(places, mixture, parts, there, silent)
    if not mixing_.noise_db:
        return found
    return _noisy(sound, found, batch, jnp.full(there.shape, sum(mixing_.noise_db) / 2, jnp.float32))


def by_row(values: Array, rows: int) -> Any:
    """What is known of each clip of listed mixtures [g n ...], as rows of the batch."""
    return values.reshape(-1, *values.shape[2:])[:rows]


def decibels(magnitude: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """20 log10, -60 at least."""
    return 20 * jnp.log10(jnp.maximum(magnitude, 1e-3))


def samples(wave: Float[Array, "*b time"]) -> Int[Array, "*b time"]:
    """Samples of -1..1 as int16, what is louder cut off."""
    return jnp.clip(jnp.round(wave * 32768), -32768, 32767).astype(jnp.int16)
