"""Pictures as arrays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Num, UInt8

LUMA = (0.299, 0.587, 0.114)  # how much red, green and blue count in a grey picture


def resize(pictures: UInt8[Array, "n h w 3"], size: int) -> Array:
    """To size x size, bilinear and antialiased as Pillow's, 0..255; untouched where it has that size already.

    The whole picture is kept: what lies at the border of a video frame is heard as well.
    """
    if pictures.shape[1:3] == (size, size):
        return pictures
    shape = (pictures.shape[0], size, size, 3)
    return jax.image.resize(pictures.astype(jnp.float32), shape, "linear", antialias=True)


def middle(pictures: Num[Array, "*n h w"], side: int) -> Num[Array, "*n s s"]:
    """The square in the middle of grey pictures, which are no smaller."""
    top, left = ((size - side) // 2 for size in pictures.shape[-2:])
    return pictures[..., top : top + side, left : left + side]


def drawn_pieces(key: Key[Array, ""], films: Num[Array, "n f h w"], side: int) -> Num[Array, "n f s s"]:
    """A square at a random place of each grey film, the same in all of its pictures; half of them are mirrored."""
    of_place, of_mirror = jax.random.split(key)
    count, pictures, height, width = films.shape
    most = jnp.asarray([height - side + 1, width - side + 1], jnp.int32)
    places = jnp.floor(jax.random.uniform(of_place, (count, 2)) * most[None].astype(jnp.float32)).astype(jnp.int32)
    zero = jnp.int32(0)

    def cut(film: Array, place: Array) -> Array:
        return jax.lax.dynamic_slice(film, (zero, place[0], place[1]), (pictures, side, side))

    found = jax.vmap(cut)(films, jnp.minimum(places, most[None] - 1))
    mirrored = jax.random.bernoulli(of_mirror, 0.5, (count, 1, 1, 1))
    return jnp.where(mirrored, found[..., ::-1], found)


def shaken(key: Key[Array, ""], pictures: Num[Array, "n h w 3"], least: float, most: float) -> Float[Array, "n h w 3"]:
    """Pictures of 0..255, half of them mirrored, their brightness and then their colour times what is drawn for each.

    Args:
      key: what is drawn, is drawn from it.
      pictures: RGB.
      least, most: of the factors; colour is what a picture has beyond its own grey.
    """
    of_mirror, of_light, of_colour = jax.random.split(key, 3)
    count = pictures.shape[0]
    light, colour = (
        jax.random.uniform(one, (count, 1, 1, 1), minval=least, maxval=most) for one in (of_light, of_colour)
    )
    x = pictures.astype(jnp.float32)
    x = jnp.where(jax.random.bernoulli(of_mirror, 0.5, (count, 1, 1, 1)), x[:, :, ::-1], x)
    x = jnp.clip(x * light, 0, 255)
    grey = jnp.sum(x * jnp.asarray(LUMA, jnp.float32).reshape(1, 1, 1, 3), -1, keepdims=True)
    return jnp.clip(grey + colour * (x - grey), 0, 255)
