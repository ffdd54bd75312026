"""A generator that paints a ground and lays objects over it, and a discriminator that also says what it sees.

Small enough for two cores. Interfaces as in `models.drawing.reed`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.errors import OptionError, UserError
from mmjax.models.blocks.adversarial import Double, Halve, Weights, leaky
from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.blocks.pictures import mean_and_max


def doublings(size: int) -> int:
    """From 4 x 4 to size x size. Raises UserError if doubling does not lead there."""
    if size < 8 or size & (size - 1):
        raise UserError(f"pictures of {size} x {size}: the networks draw 8, 16, 32, 64, 128, ... pixels squared")
    return int(math.log2(size)) - 2


class Painter(nn.Module):
    """A condition vector -> a map of `size` x `size`: transposed convolutions with conditional BatchNorm.

    de Vries et al. 2017, "Modulating early visual processing by language": the condition gives each channel of each
    layer its gain and its offset, so that words reach every resolution at once.

    Attributes:
      features: channels at half the size; doubled with each halving below.
      size: of the map.
      channels: of the map.
      smooth: repeat pixels and convolve by 3 x 3 in place of a transposed convolution, whose pixels, made of different
        taps, begin as a chequerboard; twice the time.
      dtype: compute dtype.
    """

    features: int
    size: int
    channels: int
    smooth: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, condition: Float[Array, "b d"], *, train: bool) -> Float[Array, "b s s c"]:
        steps = doublings(self.size)
        widths = [self.features * 2**i for i in range(steps - 1, -1, -1)]

        def shaped(x, name):
            x = BatchNorm(dtype=self.dtype, name=f"{name}_norm")(x, train=train)
            gain = Weights(x.shape[-1], dtype=self.dtype, name=f"{name}_gain")(condition, train=train)
            offset = Weights(x.shape[-1], dtype=self.dtype, name=f"{name}_offset")(condition, train=train)
            return nn.relu(x * (1.0 + 0.5 * gain[:, None, None]) + 0.5 * offset[:, None, None])

        x = Weights(16 * widths[0], bias=False, dtype=self.dtype, name="start")(condition, train=train)
        x = shaped(x.reshape(-1, 4, 4, widths[0]), "map4")
        for i, width in enumerate(widths[1:], start=1):
            x = shaped(self._up(x, width, 4 * 2**i, train), f"map{4 * 2**i}")
        if not self.smooth:
            return self._up(x, self.channels, self.size, train).astype(jnp.float32)
        x = shaped(self._up(x, widths[-1], self.size, train), f"map{self.size}")
        return Weights(self.channels, 3, dtype=self.dtype, name="out")(x, train=train).astype(jnp.float32)

    def _up(self, x, width, side, train):
        if not self.smooth:
            return Double(width, dtype=self.dtype, name=f"up{side}")(x, train=train)
        x = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
        return Weights(width, 3, bias=False, dtype=self.dtype, name=f"up{side}")(x, train=train)


def tents(centre: Float[Array, " b"], extent: Float[Array, " b"], pixels: int, cells: int) -> Float[Array, "b p c"]:
    """How much of each cell of a sheet each pixel of the canvas shows, along one axis.

    The bilinear sampling of spatial transformers (Jaderberg et al. 2015, eq. 5) for a sheet that is moved and scaled
    but not turned: one matrix for the rows and one for the columns, and no gather whose gradient would be a scatter.

    Args:
      centre: of the sheet, in shares of the canvas.
      extent: of the sheet, likewise.
      pixels, cells: of the canvas and of the sheet.
    """
    place = (jnp.arange(pixels, dtype=jnp.float32) + 0.5) / pixels
    at = (place[None] - centre[:, None]) / extent[:, None] * cells + (cells - 1) / 2  # b p, in cells
    return nn.relu(1.0 - jnp.abs(at[..., None] - jnp.arange(cells, dtype=jnp.float32)[None, None]))


def paste(sheet: Float[Array, "b i j c"], rows: Float[Array, "b y i"], columns: Float[Array, "b x j"]) -> Any:
    """The sheet on an empty canvas [b y x c]; rows and columns of `tents`."""
    return jnp.einsum("byi,bijc,bxj->byxc", rows, sheet, columns)


class LayeredGenerator(nn.Module):
    """A painted ground, then one object after another: appearance, mask and pose, each laid over what is there.

    Yang et al. 2017, "LR-GAN: Layered Recursive Generative Adversarial Networks for Image Generation", eq. 1-3; without
    their LSTM over the layers and without rotation and shear. An object is drawn on a sheet of its own, half as wide as
    the picture, and put in its place: so that what it looks like is learned once and not once for each place.

    Attributes:
      size: of the picture.
      objects: layers over the ground.
      ground: channels of the ground's painter at half its size.
      sheet: likewise of the objects' painter, which all objects share.
      text: to how many numbers the text is compressed.
      extents: least and greatest width of a sheet, in shares of the picture.
      dtype: compute dtype.
    """

    size: int = 64
    objects: int = 1
    ground: int = 16
    sheet: int = 32
    text: int = 128
    extents: tuple[float, float] = (0.25, 0.6)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, code: Float[Array, "b z"], text: Float[Array, "b d"], *, train: bool) -> Float[Array, "b s s 3"]:
        told = leaky(Weights(self.text, dtype=self.dtype, name="text")(text, train=train))
        count = 1 + 2 * self.objects
        if code.shape[-1] % count or code.shape[-1] < 3 * count:
            raise OptionError("code", f"is {code.shape[-1]}: choose a multiple of {count}, at least {3 * count}")
        parts = jnp.split(code.astype(self.dtype), count, axis=-1)  # of the ground, of each object's look and place
        painted = Painter(self.ground, self.size, 3, dtype=self.dtype, name="ground")
        canvas = jnp.tanh(painted(jnp.concatenate([parts[0], told], -1), train=train))
        painter = Painter(self.sheet, self.size // 2, 4, smooth=True, dtype=self.dtype, name="object")
        hidden = Weights(64, dtype=self.dtype, name="pose_hidden")
        pose = Weights(3 * self.objects, dtype=self.dtype, name="pose")
        for i in range(self.objects):
            look, where = parts[1 + 2 * i], parts[2 + 2 * i]
            drawn = painter(jnp.concatenate([look, told], -1), train=train)
            mask = nn.sigmoid(drawn[..., 3:] + centred(self.size // 2)[None])
            x = pose(nn.relu(hidden(jnp.concatenate([where, told], -1), train=train)), train=train)
            # The code has its say from the start, so that objects begin spread over the picture.
            told_pose = x[:, 3 * i : 3 * i + 3].astype(jnp.float32) + where[:, :3].astype(jnp.float32)
            across, down, wide = (nn.sigmoid(told_pose[:, k]) for k in range(3))
            extent = self.extents[0] + (self.extents[1] - self.extents[0]) * wide
            rows = tents(0.15 + 0.7 * down, extent, self.size, self.size // 2)
            columns = tents(0.15 + 0.7 * across, extent, self.size, self.size // 2)
            laid = paste(jnp.concatenate([jnp.tanh(drawn[..., :3]) * mask, mask], -1), rows, columns)
            canvas = canvas * (1.0 - laid[..., 3:]) + laid[..., :3]
        return canvas


def centred(side: int) -> Float[Array, "s s 1"]:
    """What is added to a mask's logits: an object is likelier in the middle of its sheet than at its edges."""
    place = (jnp.arange(side, dtype=jnp.float32) + 0.5) / (side / 2) - 1.0
    squared = jnp.square(place)[:, None] + jnp.square(place)[None]
    return (1.5 - 3.0 * squared)[..., None]


class LayeredDiscriminator(nn.Module):
    """Convolutions of stride two down to 4 x 4, judged there and one stage above, with spectral norm or BatchNorm.

    At 4 x 4 the text stands beside each place, as in GAN-CLS. At 8 x 8 each place is judged by itself, its match with
    the text by an inner product (Miyato and Koyama 2018, "cGANs with Projection Discriminator", eq. 3): so the
    generator hears what is wrong, and where.

    Attributes:
      features: channels at half the picture's size, doubled with each halving.
      embed: size of the embedding; 0 = none.
      places: whether there is the judgement at 8 x 8.
      spectral: spectral norm of all matrices but the embedding's; else BatchNorm.
      one_way: DF-GAN's one output for picture and text (Tao et al. 2022, section 3.4); without it, the two of StackGAN
        and its followers: an output for the picture alone beside it.
      dtype: compute dtype.
    """

    features: int = 32
    embed: int = 64
    places: bool = True
    spectral: bool = True
    one_way: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, image: Float[Array, "b s s 3"], texts: Sequence[Float[Array, "b d"]], *, train: bool
    ) -> tuple[list[tuple[Float[Array, "b p"], ...]], Float[Array, "b e"] | None]:
        """Judges pictures.

        Args:
          image: -1..1.
          texts: the pictures are judged with each of them.
          train: BatchNorm by the batch, a power iteration of spectral norm; "state" must then be mutable.

        Returns:
          for each text, logits [b p] of each output; and the embedding, float32.
        """
        x, around = self._see(image, train)
        joint = self._weights(x.shape[-1], 1, "joint")
        told = self._weights(x.shape[-1], 0, "joint_text", bias=False)
        out = self._weights(1, 4, "out", padding="VALID")
        seen = joint(x, train=train)
        logits: list[tuple[Array, ...]] = []
        for text in texts:
            y = leaky(seen + told(text, train=train)[:, None, None])
            logits.append((out(y, train=train).astype(jnp.float32).reshape(-1, 1),))
        if self.places:
            logits = [(*a, b) for a, b in zip(logits, self._each_place(around, texts, train), strict=True)]
        if not self.one_way:
            alone = self._weights(1, 4, "alone", padding="VALID")(x, train=train).astype(jnp.float32).reshape(-1, 1)
            logits = [(*own, alone) for own in logits]
        if not self.embed:
            return logits, None
        return logits, Weights(self.embed, name="embed")(mean_and_max(x), train=train)

    def _see(self, image, train):
        """The maps at 4 x 4 and at 8 x 8."""
        steps, x = doublings(image.shape[1]), image
        for i in range(steps):
            around = x
            options = {"spectral": self.spectral, "dtype": self.dtype, "name": f"down{i}"}
            x = Halve(self.features * 2**i, **options)(x, train=train)
            x = leaky(self._normed(x, f"norm{i}", train) if i else x)
            if i == steps - 2:
                y = self._normed(self._weights(x.shape[-1], 3, "same")(x, train=train), "same_norm", train)
                x = leaky(x + y)
        return x, around

    def _each_place(self, around, texts, train):
        x = leaky(self._weights(64, 3, "place")(around, train=train))
        x = self._weights(64, 1, "place_match")(x, train=train)
        alone = self._weights(1, 1, "place_out")(leaky(x), train=train)[..., 0]
        told = self._weights(64, 0, "place_text", bias=False)
        for text in texts:
            match = jnp.einsum("bijc,bc->bij", x, told(text, train=train)) / 8
            yield (alone + match).astype(jnp.float32).reshape(x.shape[0], -1)

    def _weights(self, features, kernel, name, bias=True, padding="SAME"):
        options = {"spectral": self.spectral, "bias": bias, "padding": padding, "dtype": self.dtype}
        return Weights(features, kernel, name=name, **options)

    def _normed(self, x, name, train):
        return x if self.spectral else BatchNorm(dtype=self.dtype, name=name)(x, train=train)
