"""Fresh tables of word embeddings filled with trained vectors, when a task is filled."""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.errors import OptionError
from mmjax.text import vocabulary
from mmjax.weights import word_vectors


def fill(tables: Any, spelled: vocabulary.Spelled, words: str) -> Any:
    """The tables with the rows of known words replaced by trained vectors; the share of them is printed.

    The trained vectors are scaled as one, so that the root mean square over all words of the file is the fresh table's.

    Args:
      tables: fresh float32 values of an embedding [v d], or a tree of such; arrays of jax stay on their devices.
      spelled: the vocabulary.
      words: the workdir of a skip-gram run, or a file of word vectors, see `word_vectors.read`.

    Returns:
      The same tree.

    Raises:
      OptionError: the file is missing or damaged, its vectors are of another width, or not one word is found.
      UserError: it is damaged.
    """
    if not word_vectors.exists(words):
        raise OptionError("words", f"={words} cannot be read: No such file or directory")
    known = vocabulary.words_of(np.asarray(spelled))
    found, rows, size = word_vectors.select(known, words, jax.tree.leaves(tables)[0].shape[1])
    print(f"{words} has {np.mean(found):.1%} of the {len(known):,} words", file=sys.stderr)
    return jax.tree.map(lambda table: _placed(table, found, rows, np.float32(size)), tables)


@jax.jit
def _placed(
    table: Float[Array, "v d"], found: Bool[Array, " v"], rows: Float[Array, "v d"], size: Float[Array, ""]
) -> Float[Array, "v d"]:
    fresh = jnp.sqrt(jnp.mean(jnp.square(table)))
    scale = jnp.where((fresh > 0) & (size > 0), fresh / jnp.where(size > 0, size, 1), jnp.float32(1))
    return jnp.where(found[:, None], rows * scale, table)
