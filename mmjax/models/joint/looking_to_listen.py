"""Looking to Listen: faces pick voices out of a mixture (Ephrat et al. 2018), for clips of any length."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.blocks.pictures import Convolution
from mmjax.models.sound.speech_blocks import Bidirectional

VISUAL = ((7, 1), *((5, 2**i) for i in range(5)))  # (kernel, dilation) in pictures of the visual layers (table 2)
NARROW = 8  # channels of the last audio layer, a convolution of one pixel


def audio_layers(depth: int = 6) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """(kernel, dilation) in frames and bins of the audio layers but the last; the paper's depth is 6 (table 1)."""
    over_time = (((5, 5), (2**i, 1)) for i in range(depth))
    over_both = (((5, 5), (2**i, 2**i)) for i in range(depth))
    return (((1, 7), (1, 1)), ((7, 1), (1, 1)), *over_time, *over_both)


class Stream(nn.Module):
    """Convolutions, each with bias, BatchNorm and ReLU, that see only zeros where nothing is.

    Attributes:
      layers: (channels, kernel, dilation) of each.
      dtype: compute dtype; parameters and statistics stay float32.
    """

    layers: tuple[tuple[int, tuple[int, int], tuple[int, int]], ...]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t w c"], where: Bool[Array, "b t"], *, train: bool
    ) -> Float[Array, "b t w d"]:
        x, real = x.astype(self.dtype), where[:, :, None]
        for i, (channels, kernel, dilation) in enumerate(self.layers, start=1):
            x = jnp.where(real[..., None], x, jnp.zeros((), x.dtype))
            pads = [((k - 1) * d // 2,) * 2 for k, d in zip(kernel, dilation, strict=True)]
            how: dict[str, Any] = {"kernel_dilation": dilation, "dtype": self.dtype, "name": f"conv{i}"}
            x = Convolution(channels, kernel, 1, pads, **how)(x)
            x = nn.relu(BatchNorm(dtype=self.dtype, name=f"norm{i}")(x, train=train, where=real))
        return jnp.where(real[..., None], x, jnp.zeros((), x.dtype))


class LookingToListen(nn.Module):
    """A complex mask for each face, from all faces and the mixture.

    With two faces of 1024 numbers, 257 bins and the directions of the LSTM added up it has 17,393,924 parameters, with
    the directions side by side 17,633,924. The faces share their weights, but the LSTM tells their order: train on
    every order. Nothing is tied to a number of frames: a clip has the same masks alone and padded in a batch.

    A picture goes with the frames that begin while it is shown. Ports stretch the pictures over the clip instead, which
    moves them against the sound where a clip is cut.

    Attributes:
      width: channels of the audio layers.
      faces: channels of the visual layers.
      units: of the LSTM, each direction.
      hidden: units of each of three dense layers.
      summed: add the directions up, as the public ports do; False: side by side.
      bound: K of masks K tanh(.), to be read by `complex_masks.expanded` with the same K; None: no bound, no
        compression. The paper's sigmoid has no negative part; masks have.
      depth: of the audio layers, whose dilations grow to 2^(depth - 1) over time, and once more over both axes.
      ratio: frames of sound a picture: 4 of 10 ms at 25 pictures a second.
      centre: hops from where a frame is counted from to the middle of its window: 1.25 from the start of one of 25 ms.
      moving: whether the visual layers see beside each embedding how it differs from the clip's mean, standardised by
        BatchNorm: who somebody is stands still, and is most of an embedding.
      dtype: compute dtype; parameters, statistics and masks are float32.
    """

    width: int = 96
    faces: int = 256
    units: int = 400
    hidden: int = 600
    summed: bool = True
    bound: float | None = None
    depth: int = 6
    ratio: float = 4.0
    centre: float = 1.25
    moving: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        sound: Float[Array, "b t f c"],
        faces: Float[Array, "b s v d"],
        where: Bool[Array, "b t"] | None = None,
        seen: Bool[Array, "b v"] | None = None,
        *,
        train: bool = False,
    ) -> Float[Array, "b s t f 2"]:
        """Runs the network.

        Args:
          sound: real and imaginary part of the mixture's power-law spectrum, and what else is heard of it.
          faces: an embedding of each face in each picture.
          where: frames of sound that are real, the first ones; None: all.
          seen: pictures that are real, the first ones; beyond the last one it is taken to stay.
          train: use batch statistics; the collection "state" must then be mutable.

        Returns:
          real and imaginary part of each face's mask, compressed if there is a `bound`; 0 in the padding.
        """
        (b, frames, bins, _), (_, speakers, pictures, _) = sound.shape, faces.shape
        where = jnp.ones((b, frames), bool) if where is None else where
        seen = jnp.ones((b, pictures), bool) if seen is None else seen
        audio = (*((self.width, *layer) for layer in audio_layers(self.depth)), (NARROW, (1, 1), (1, 1)))
        heard = Stream(audio, self.dtype, name="audio")(sound, where, train=train).reshape(b, frames, -1)
        visual = tuple((self.faces, (kernel, 1), (dilation, 1)) for kernel, dilation in VISUAL)
        flat, real = faces.reshape(b * speakers, pictures, 1, -1), jnp.repeat(seen, speakers, 0)
        if self.moving:
            apart = flat - self._mean(flat, real)
            moves = BatchNorm(dtype=flat.dtype, name="moves")(apart, train=train, where=real[..., None])
            flat = jnp.concatenate([flat, moves], -1)
        looks = Stream(visual, self.dtype, name="visual")(flat, real, train=train)
        looks = looks.reshape(b, speakers, pictures, self.faces)
        at = jnp.floor((jnp.arange(frames, dtype=jnp.float32) + self.centre) / self.ratio).astype(jnp.int32)
        last = jnp.sum(seen, 1, dtype=jnp.int32) - 1
        at = jnp.minimum(at[None], last[:, None])[:, None, :, None]  # b 1 t 1
        looks = jnp.take_along_axis(looks, jnp.maximum(at, 0), 2)  # b s t d
        both = jnp.concatenate([heard, jnp.moveaxis(looks, 1, 2).reshape(b, frames, -1)], -1)
        x = Bidirectional(self.units, self.dtype, summed=self.summed, biases=1, name="lstm")(both, where)
        for i in range(1, 4):
            how: dict[str, Any] = {"kernel_init": nn.initializers.he_normal(), "dtype": self.dtype, "name": f"dense{i}"}
            x = nn.relu(nn.Dense(self.hidden, **how)(x))
        x = nn.Dense(speakers * bins * 2, dtype=self.dtype, name="mask")(x).astype(jnp.float32)
        x = jnp.where(where[..., None], x if self.bound is None else self.bound * jnp.tanh(x), 0)
        return jnp.moveaxis(x.reshape(b, frames, speakers, bins, 2), 2, 1)

    @staticmethod
    def _mean(x: Float[Array, "n v 1 d"], where: Bool[Array, "n v"]) -> Float[Array, "n 1 1 d"]:
        """Over the pictures that are real."""
        total = jnp.sum(x, 1, keepdims=True, where=where[..., None, None])
        return total / jnp.maximum(jnp.sum(where, 1, dtype=x.dtype), 1)[:, None, None, None]
