"""Where a network looks, against where things are: shares of a map inside boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mmjax.text import vocabulary


def numbers_of(names: Sequence[str], spelled: vocabulary.Spelled) -> Int[Array, " n"]:
    """The numbers of words in a spelled vocabulary [v letters]; -1 for what it lacks. The vocabulary may be traced."""
    width = spelled.shape[1]
    rows = np.zeros((len(names), width), np.uint8)
    fits = np.array([len(name.encode()) <= width for name in names])
    for row, name in zip(rows, names, strict=True):
        row[:] = np.frombuffer(name.encode()[:width].ljust(width, b"\0"), np.uint8)
    same = jnp.all(jnp.asarray(spelled)[None] == rows[:, None], -1) & fits[:, None]  # n v
    return jnp.where(jnp.any(same, 1), jnp.argmax(same, 1), -1).astype(jnp.int32)


def object_words(names: Sequence[str], spelled: vocabulary.Spelled) -> Int[Array, " n"]:
    """The number of each object's word, or of the one SentencePiece piece that is that word; -1 for the others."""
    pieces = [vocabulary.SPACE + name for name in names]
    return jnp.maximum(numbers_of(names, spelled), numbers_of(pieces, spelled))


def named_boxes(
    tokens: Int[Array, "b t"], words: Int[Array, " c"], objects: Int[Array, "b n"], boxes: Float[Array, "b n 4"]
) -> tuple[Float[Array, "b t 4"], Bool[Array, "b t"]]:
    """The box of the object that each token names.

    Args:
      tokens: of captions.
      words: the number of each class's word.
      objects: the class of each object of the pictures, -1 for none.
      boxes: ymin, xmin, ymax, xmax of each, 0..1.

    Returns:
      boxes of the first object of the class that is named, and whether there is one.
    """
    names = (tokens[..., None] == words[None, None]) & (words >= 0)[None, None]  # b t c
    present = objects[:, None] == jnp.arange(len(words))[None, :, None]  # b c n
    is_it = jnp.einsum("btc,bcn->btn", names.astype(jnp.float32), present.astype(jnp.float32)) > 0
    box = jnp.take_along_axis(boxes, jnp.argmax(is_it, -1)[..., None], 1)
    return box, jnp.any(is_it, -1)


def overlap(boxes: Float[Array, "*b 4"], shape: tuple[int, int]) -> Float[Array, "*b i j"]:
    """The share of each of i x j equal cells of the picture that lies inside a box, 0..1."""

    def along(low, high, cells):
        edge = jnp.arange(cells, dtype=jnp.float32) / cells
        edge = edge.reshape((1,) * low.ndim + (-1,))
        covered = jnp.minimum(high[..., None], edge + 1 / cells) - jnp.maximum(low[..., None], edge)
        return jnp.maximum(covered, 0.0) * cells

    rows = along(boxes[..., 0], boxes[..., 2], shape[0])
    columns = along(boxes[..., 1], boxes[..., 3], shape[1])
    return rows[..., :, None] * columns[..., None, :]


def centre_prior(shape: tuple[int, int], spread: float = 0.25) -> Float[Array, "i j"]:
    """A Gaussian in the middle of the picture, adding up to 1: photographers put things there.

    Args:
      shape: cells of the map.
      spread: its standard deviation, in shares of the picture's side.
    """
    rows, columns = (((jnp.arange(n, dtype=jnp.float32) + 0.5) / n - 0.5) / spread for n in shape)
    weights = jnp.exp(-0.5 * (jnp.square(rows)[:, None] + jnp.square(columns)[None]))
    return weights / jnp.sum(weights)


def attention_in_box(
    maps: Float[Array, "b t i j"],
    boxes: Float[Array, "b t 4"],
    where: Bool[Array, "b t"],
) -> dict[str, tuple[Array, Array]]:
    """The share of each word's attention inside the box of what it names, beside two that look nowhere.

    Args:
      maps: where a network looks at each word, adding up to 1 over places.
      boxes: see `named_boxes`.
      where: words that count.

    Returns:
      (total, count) of "attention_in_box"; "/area", of a look that is everywhere alike; "/centre", of `centre_prior`.
    """
    shape = (maps.shape[-2], maps.shape[-1])
    inside, count = overlap(boxes, shape), jnp.sum(where, dtype=jnp.float32)
    centre = centre_prior(shape)[None, None]
    shares = {"": maps, "/area": jnp.full_like(maps, 1 / math.prod(shape)), "/centre": centre}
    masses = {name: jnp.sum(share * inside, (-2, -1)) for name, share in shares.items()}
    return {f"attention_in_box{name}": (jnp.sum(mass, where=where), count) for name, mass in masses.items()}
