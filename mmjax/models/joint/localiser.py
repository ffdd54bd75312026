"""Where in a picture does a sound come from: networks that give places and sounds as points of one space.

Every network here has the methods `see`, pictures to places, and `hear`, sounds to points; a place's score is the mean
of its cosines with the sound, of which there are one, or two (SLAVC).
"""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Num, Shaped

from mmjax.errors import OptionError
from mmjax.models.blocks import options, stages
from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.blocks.pictures import Block, mean_and_max, space_to_depth
from mmjax.models.blocks.recurrent import uniform
from mmjax.models.sound.soundnet import tile
from mmjax.models.vision import resnet
from mmjax.models.vision.scene_encoder import SceneEncoder
from mmjax.ops import maximum
from mmjax.ops.sound.decibels import power_to_db
from mmjax.ops.sound.mel import mel_spectrogram
from mmjax.ops.sound.power_spectrum import log_density
from mmjax.ops.vectors import unit

RATE = 22_050
TRUNKS = ("light", "resnet18")
SCALE = 12.0  # what the official codes divide log densities by


def heat(places: Float[Array, "b h w k d"], sounds: Float[Array, "b k d"]) -> Float[Array, "b h w"]:
    """The score of each place: the mean of its k cosines with the sound, from -1 to 1, float32."""
    return jnp.einsum("bhwkd,bkd->bhw", places, sounds, precision=lax.Precision.HIGHEST) / places.shape[-2]


class Localiser(nn.Module):
    """Two towers: a picture's map, and a sound's spectrum, led into one space.

    With trunk "resnet18" these are LVS (projections=0, last_stride=1; 22,346,752 parameters), EZ-VSL (projections=1;
    22,872,064) and SLAVC (projections=2; 23,397,376): Chen et al. 2021, Mo and Morgado 2022 twice. "light" learns the
    default data from scratch.

    Attributes:
      trunk: "light" or "resnet18".
      dimension: of the space; without projections it is the trunks' own.
      projections: how many layers lead from each trunk into the space; 0 takes its features as they are.
      last_stride: of resnet18's last stage for pictures: 1 has a map of stride 16, 2 one of stride 32.
      dropout_picture, dropout_sound: of the features before the projections, in training (rng "dropout").
      widths, depths: of the light trunk for pictures, see `SceneEncoder`.
      sound_widths: channels of the light trunk for sounds, each at half the resolution of the last.
      mels: bands that the light trunk hears.
      floor: in dB, the energy of a band below which the light trunk hears nothing; a full-scale tone has about 30.
      standardised: whether the points' numbers have mean 0 and variance 1 over the batch before their length is set to
        1. Fresh networks see and hear all alike; so they begin apart, and learn several times faster.
      dtype: compute dtype; parameters, statistics and points stay float32.
    """

    trunk: str = "light"
    dimension: int = 128
    projections: int = 1
    last_stride: int = 2
    dropout_picture: float = 0.0
    dropout_sound: float = 0.0
    widths: tuple[int, ...] = (32, 64, 96)
    depths: tuple[int, ...] = (1, 2, 2)
    sound_widths: tuple[int, ...] = (32, 64, 128)
    mels: int = 64
    floor: float = 0.0
    standardised: bool = False
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        stages.paired(self.widths, self.depths)
        self._check()
        super().__post_init__()

    @nn.nowrap
    def _check(self) -> None:
        """Raises OptionError for an option that is out of its range."""
        if self.trunk not in TRUNKS:
            raise OptionError("trunk", f"is {self.trunk!r}: choose {' or '.join(map(repr, TRUNKS))}")
        if not 0 <= self.projections <= 2:
            raise OptionError("projections", f"is {self.projections}: choose 0, 1 or 2")
        if self.last_stride not in (1, 2):
            raise OptionError("last_stride", f"is {self.last_stride}: choose 1 or 2")
        for name in ("dropout_picture", "dropout_sound"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(name, f"is {getattr(self, name)}: it must be from 0 to below 1")
        for name in ("widths", "sound_widths"):
            if not getattr(self, name):
                raise OptionError(name, "is (): without stages there is no map")
        options.sizes(self, "dimension", "widths", "depths", "sound_widths")
        if self.mels < 2 or self.mels % 2:
            raise OptionError("mels", f"is {self.mels}: it must be an even number of bands, at least 2")
        if not math.isfinite(self.floor):
            raise OptionError("floor", f"is {self.floor}: it must be finite")
        options.floating(self.dtype)

    def setup(self) -> None:
        self.picture: nn.Module
        self.sound: nn.Module
        if self.trunk == "light":
            self.picture = SceneEncoder(self.widths, self.depths, self.dtype, coordinates=False)
            self.sound = LightSound(self.sound_widths, self.mels, self.floor, self.dtype)
        else:
            spread = 0.0 if self.projections else 0.02  # LVS draws the gains of both, the others those of sounds
            self.picture = resnet.Trunk(18, self.last_stride, spread, self.dtype)
            self.sound = resnet.Trunk(18, 1 if not self.projections else 2, 0.02, self.dtype)
        self.drop_picture, self.drop_sound = nn.Dropout(self.dropout_picture), nn.Dropout(self.dropout_sound)
        self.places = [self._place_layer() for _ in range(self.projections)]
        self.points = [self._point_layer() for _ in range(self.projections)]
        count = max(1, self.projections) if self.standardised else 0
        self.place_norms = [BatchNorm() for _ in range(count)]
        self.point_norms = [BatchNorm() for _ in range(count)]

    def _place_layer(self) -> nn.Module:
        draw = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        return Projection(self.dimension, draw)

    def _point_layer(self) -> nn.Module:
        small = nn.initializers.truncated_normal(0.01)
        draw = small if self.trunk == "resnet18" else nn.initializers.lecun_normal()
        return Projection(self.dimension, draw)

    def see(self, image: Num[Array, "b h w 3"], *, train: bool = False) -> Float[Array, "b i j k d"]:
        """Places of unit length: 14 x 14 of pictures of 112 pixels (light) or 224 (stride 16); 7 x 7 at stride 32.

        Args:
          image: RGB, 0..255.
          train: batch statistics and dropout; the collection "state" must then be mutable.
        """
        picture: Any = self.picture
        if self.trunk == "light":
            x = picture(image, train=train)["map"]
        else:
            x = picture(resnet.standardised(image), train=train)
        x = self.drop_picture(x.astype(jnp.float32), deterministic=not train)
        return self._led(x, self.places, self.place_norms, train)

    def hear(
        self, waveform: Shaped[Array, "b t"], length: Int[Array, " b"] | None = None, *, train: bool = False
    ) -> Float[Array, "b k d"]:
        """Points of unit length.

        Args:
          waveform: int16 at 22,050 Hz.
          length: samples of each row that are sound, which is repeated over the rest; None: all.
          train: as for `see`.
        """
        hears: Any = self.sound
        sound = tile(waveform.astype(jnp.float32) / 32_768, length, 0)
        if self.trunk == "light":
            x = hears(sound, train=train)
        else:
            spectrum = log_density(sound, RATE) / SCALE
            x = maximum.over(hears(spectrum[..., None], train=train).astype(jnp.float32), (1, 2))
        x = self.drop_sound(x, deterministic=not train)
        return self._led(x, self.points, self.point_norms, train)

    def _led(self, x: Float[Array, "*b c"], layers: Any, norms: Any, train: bool) -> Float[Array, "*b k d"]:
        """Features in the space, at unit length."""
        found = [layer(x) for layer in layers] or [x]
        if norms:
            found = [norm(z, train=train) for norm, z in zip(norms, found, strict=True)]
        return jnp.stack([unit(z) for z in found], -2)

    def __call__(
        self,
        image: Num[Array, "b h w 3"],
        waveform: Shaped[Array, "c t"],
        length: Int[Array, " c"] | None = None,
        *,
        train: bool = False,
    ) -> tuple[Float[Array, "b i j k d"], Float[Array, "c k d"]]:
        """Places of pictures and points of sounds, of which there may be more."""
        return self.see(image, train=train), self.hear(waveform, length, train=train)


class LightSound(nn.Module):
    """Log-mel bands of a sound under a few 3x3 convolutions, and the mean and the maximum of what they find.

    Attributes:
      widths: channels, each at half the resolution of the last.
      mels: bands, a multiple of 2.
      floor: in dB: what is below it is not heard.
      dtype: compute dtype.
    """

    widths: tuple[int, ...]
    mels: int
    floor: float
    dtype: Any

    @nn.compact
    def __call__(self, sound: Float[Array, "b t"], *, train: bool = False) -> Float[Array, "b d"]:
        """Features of sounds in -1..1, at least one frame, float32."""
        energy = mel_spectrogram(sound, RATE, n_fft=1024, hop=512, n_mels=self.mels)
        level = power_to_db(energy, amin=10 ** (self.floor / 10), top_db=None) - self.floor
        x = jnp.swapaxes(level, 1, 2)[..., None] / 10  # b frames mels 1
        x = x[:, : x.shape[1] // 2 * 2] if x.shape[1] > 1 else jnp.repeat(x, 2, 1)
        x = space_to_depth(x.astype(self.dtype), 2)
        for i, width in enumerate(self.widths):
            x = Block(width, 2, self.dtype, name=f"block{i}")(x, train=train)
        return mean_and_max(x)


class Attention(nn.Module):
    """What Senocak et al. 2018 put between VGG-16's map and SoundNet's objects; 2,289,168 parameters at their sizes.

    Attributes:
      channels: of the map.
      features: of the sound.
      hidden: of the layer behind the sound's features.
      temperature: by which rectified cosines are divided before the softmax: 1 in the official code, where attention
        differs by a factor of e at most from one place to another.
    """

    channels: int = 512
    features: int = 1000
    hidden: int = 1000
    temperature: float = 1.0

    def setup(self) -> None:
        draw = uniform_by_width
        self.first = Projection(self.hidden, draw)
        self.second = Projection(self.channels, draw)
        self.third = Projection(self.channels, draw)
        self.last = Projection(self.features, draw)

    def see(self, places: Float[Array, "b h w c"]) -> Float[Array, "b h w 1 c"]:
        """The map's places at unit length, float32."""
        return unit(places.astype(jnp.float32))[..., None, :]

    def hear(self, sound: Float[Array, "b n"]) -> Float[Array, "b 1 c"]:
        """The sound as a point among them; it is rectified first."""
        return unit(self.second(nn.relu(self.first(nn.relu(sound)))))[:, None]

    def log_attention(self, scores: Float[Array, "b h w"]) -> Float[Array, "b h w"]:
        """Log of the softmax over places of the rectified scores."""
        flat = nn.relu(scores).reshape(scores.shape[0], -1) / self.temperature
        return nn.log_softmax(flat).reshape(scores.shape)

    def __call__(
        self, places: Float[Array, "b h w c"], sound: Float[Array, "b n"]
    ) -> tuple[Float[Array, "b h w"], Float[Array, "b n"]]:
        """(log attention, what the attended feature says of the sound)."""
        log_a = self.log_attention(heat(self.see(places), self.hear(sound)))
        z = nn.relu(jnp.einsum("bhwc,bhw->bc", places.astype(jnp.float32), jnp.exp(log_a)))
        return log_a, self.last(nn.relu(self.third(z)))


def uniform_by_width(key, shape, dtype=jnp.float32):
    """PyTorch's initialisation of a linear layer's matrix: uniform within 1 / sqrt(inputs)."""
    return uniform(shape[0] ** -0.5)(key, shape, dtype)


class Projection(nn.Module):
    """A linear layer over the last axis, with PyTorch's bias: uniform within 1 / sqrt(inputs); float32.

    Attributes:
      size: outputs.
      draw: initialiser of the matrix.
    """

    size: int
    draw: Any

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b d"]:
        bias = uniform(x.shape[-1] ** -0.5)
        return nn.Dense(self.size, kernel_init=self.draw, bias_init=bias, name="affine")(x)
