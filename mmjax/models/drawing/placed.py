"""Told what and where: a generator that puts its object into a box, and a discriminator that looks into the box.

Reed et al. 2016, "Learning What and Where to Draw" (GAWWN), section 3.3: the networks of GAN-CLS have a path for the
whole picture and one for the inside of the object's bounding box, so that what an object looks like is learned in a
frame of its own. Theirs cut and moved feature maps; here the generator paints the object on a sheet as
`models.drawing.layered` does, and the discriminator is two of that file's. They ask their user for the box; here, where
none is given, it is drawn from a density that is learned along, as Hong et al. 2018, "Inferring Semantic Layout for
Hierarchical Text-to-Image Synthesis", do (theirs is a recurrent mixture over many boxes, this one Gaussian over one).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.errors import OptionError
from mmjax.models.blocks.adversarial import Weights, leaky
from mmjax.models.drawing.layered import LayeredDiscriminator, Painter, centred, paste, tents

NARROW, WIDE = 0.05, 1.0  # sides of a box that a generator may draw, in shares of the picture


def sides(boxes: Float[Array, "b 4"]) -> tuple[Float[Array, "b 2"], Float[Array, "b 2"]]:
    """(centres, extents), down and across, of boxes (top, left, bottom, right) in shares of the picture."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]


def unbounded(boxes: Float[Array, "b 4"]) -> Float[Array, "b 4"]:
    """Logits of a box's centre and logarithms of its sides: numbers about zero of which any four are a box."""
    centre, extent = sides(boxes.astype(jnp.float32))
    centre = jnp.clip(centre, 0.02, 0.98)
    return jnp.concatenate([jnp.log(centre / (1 - centre)), 2 * jnp.log(3 * jnp.maximum(extent, NARROW))], -1)


def bounded(numbers: Float[Array, "b 4"]) -> Float[Array, "b 4"]:
    """The inverse of `unbounded`, sides from NARROW to WIDE."""
    centre = nn.sigmoid(numbers[:, :2])
    extent = jnp.clip(jnp.exp(numbers[:, 2:] / 2) / 3, NARROW, WIDE)
    return jnp.concatenate([centre - extent / 2, centre + extent / 2], -1)


def glimpse(
    image: Float[Array, "b h w c"], boxes: Float[Array, "b 4"], side: int, room: float
) -> Float[Array, "b s s c"]:
    """The inside of each box, made `room` times as wide and as high, bilinearly in side x side pixels.

    Jaderberg et al. 2015, eq. 5; zeros where the widened box leaves the picture. At a box much wider than `side` pixels
    this samples and does not average.
    """
    centre, extent = sides(boxes.astype(jnp.float32))
    # Seen from a box, the picture is a sheet of its own: so wide, and so far to the side.
    wide = 1.0 / (room * extent)
    middle = 0.5 + (0.5 - centre) * wide
    rows, columns = (tents(middle[:, k], wide[:, k], side, image.shape[1 + k]) for k in range(2))
    return paste(image, rows, columns)


class Places(nn.Module):
    """Where a text puts its object: a Gaussian over `unbounded` boxes, its mean and its covariance by two layers."""

    hidden: int = 64

    @nn.compact
    def __call__(self, text: Float[Array, "b d"]) -> tuple[Float[Array, "b 4"], Float[Array, "b 4 4"]]:
        """(mean, lower triangular factor of the covariance)."""
        x = nn.relu(Weights(self.hidden, name="hidden")(text, train=True))
        x = Weights(14, initialiser=nn.initializers.zeros, name="out")(x, train=True).astype(jnp.float32)
        rows, columns = jnp.tril_indices(4)
        factor = jnp.zeros((x.shape[0], 4, 4)).at[:, rows, columns].set(x[:, 4:])
        own = jnp.arange(4)
        return x[:, :4], factor.at[:, own, own].set(jnp.exp(factor[:, own, own] - 1.0))


class PlacedGenerator(nn.Module):
    """A painted ground and one object, painted on a sheet that fills its box.

    Attributes:
      size: of the picture.
      ground: channels of the ground's painter at half its size.
      sheet: likewise of the object's painter.
      text: to how many numbers the text is compressed.
      room: side of the sheet in sides of the box, for outlines and shadows.
      dtype: compute dtype.
    """

    size: int = 64
    ground: int = 16
    sheet: int = 32
    text: int = 128
    room: float = 1.15
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.told = Weights(self.text, dtype=self.dtype)
        self.behind = Painter(self.ground, self.size, 3, dtype=self.dtype)
        self.object = Painter(self.sheet, self.size // 2, 4, smooth=True, dtype=self.dtype)
        self.places = Places()

    def __call__(
        self,
        code: Float[Array, "b z"],
        text: Float[Array, "b d"],
        *,
        train: bool,
        boxes: Float[Array, "b 4"] | None = None,
    ) -> Float[Array, "b s s 3"]:
        """A picture; `boxes` (top, left, bottom, right) in shares of it, or drawn with the first four of the code."""
        if code.shape[-1] % 2 or code.shape[-1] < 8:
            raise OptionError("code", f"is {code.shape[-1]}: choose an even number, at least 8")
        if boxes is None:
            mean, factor = self.places(text)
            boxes = bounded(mean + jnp.einsum("bij,bj->bi", factor, code[:, :4].astype(jnp.float32)))
        told = leaky(self.told(text, train=train))
        of_ground, of_object = jnp.split(code[:, 4:].astype(self.dtype), 2, axis=-1)
        canvas = jnp.tanh(self.behind(jnp.concatenate([of_ground, told], -1), train=train))
        drawn = self.object(jnp.concatenate([of_object, told], -1), train=train)
        mask = nn.sigmoid(drawn[..., 3:] + centred(self.size // 2)[None])
        centre, extent = sides(boxes.astype(jnp.float32))
        rows, columns = (tents(centre[:, k], extent[:, k] * self.room, self.size, self.size // 2) for k in range(2))
        laid = paste(jnp.concatenate([jnp.tanh(drawn[..., :3]) * mask, mask], -1), rows, columns)
        return canvas * (1.0 - laid[..., 3:]) + laid[..., :3]

    def surprise(self, text: Float[Array, "b d"], boxes: Float[Array, "b 4"]) -> Float[Array, " b"]:
        """-log density of the boxes of these texts, in nats, in the coordinates of `unbounded`."""
        mean, factor = self.places(text)
        off = jax.scipy.linalg.solve_triangular(factor, (unbounded(boxes) - mean)[..., None], lower=True)[..., 0]
        volume = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)), -1)
        return 0.5 * jnp.sum(jnp.square(off), -1) + volume + 2.0 * math.log(2.0 * math.pi)


class PlacedDiscriminator(nn.Module):
    """A discriminator of the picture, and another of what is inside the box; each judges the match with the text.

    Attributes:
      features: channels of the picture's at half its size.
      inside: of the box's at a quarter of the picture's size.
      room: side of what is seen in sides of the box: an object is judged with a border of its surroundings.
      embed, places, spectral, one_way, dtype: of both, see `LayeredDiscriminator`.
    """

    features: int = 16
    inside: int = 32
    room: float = 1.3
    embed: int = 64
    places: bool = False
    spectral: bool = True
    one_way: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "b s s 3"],
        texts: Sequence[Float[Array, "b d"]],
        *,
        train: bool,
        boxes: Float[Array, "b 4"] | None = None,
    ) -> tuple[list[tuple[Float[Array, "b p"], ...]], list[Float[Array, "b e"]]]:
        """As `LayeredDiscriminator`: logits of the picture, then of the box, and an embedding of each.

        Where no boxes are known the picture is judged as a whole only.
        """
        options = (self.embed, self.places, self.spectral, self.one_way, self.dtype)
        logits, embedding = LayeredDiscriminator(self.features, *options, name="whole")(image, texts, train=train)
        if boxes is None and not self.is_initializing():
            return logits, _known(embedding)
        if boxes is None:
            boxes = jnp.tile(jnp.array([[0.25, 0.25, 0.75, 0.75]]), (len(image), 1))
        seen = glimpse(image, boxes, image.shape[1] // 2, self.room)
        own, look = LayeredDiscriminator(self.inside, *options, name="inside")(seen, texts, train=train)
        both = [(*a, *b) for a, b in zip(logits, own, strict=True)]
        return both, _known(embedding, look)


def _known(*embeddings):
    return [x for x in embeddings if x is not None]
