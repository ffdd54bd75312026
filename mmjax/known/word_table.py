"""config.model.words: a fresh table of word embeddings filled with trained vectors, inside a task's `init`."""

from __future__ import annotations

import functools
import os
import sys

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, UInt8

from mmjax.errors import UserError
from mmjax.text import vocabulary
from mmjax.weights import word_vectors


def fill(
    table: Float[Array, "v d"],
    spelled: UInt8[np.ndarray, "v letters"] | Array,
    path: str,
    field: str = "config.model.words",
) -> Float[Array, "v d"]:
    """The table with the rows of known words replaced by trained vectors; the share of them is printed once.

    The trained vectors are scaled as one, so that the root mean square over all words of the file is the fresh table's.

    Args:
      table: fresh float32 values of the embedding.
      spelled: the vocabulary as it stands in the batch of `init` (`caption_vocabulary`, `question_vocabulary`),
        untouched: the engine gives it as a host array, so that its words can be looked up while `init` is traced.
      field: of the config that names the path, for the messages.
      path: the workdir of a skip-gram run, or a file of word vectors (word2vec, GloVe, safetensors); "" fills nothing.

    Returns:
      float32 [v d]. Where `spelled` is traced, as when only the shapes of a run are restored, no word can be looked up
      and the values are NaN.

    Raises:
      UserError: the file is missing or damaged, its vectors are of another width, or not one word is found.
    """
    if not path:
        return table
    if isinstance(spelled, jax.core.Tracer):
        return jnp.full_like(table, jnp.nan)  # were they ever used, that could not be overlooked
    words = tuple(vocabulary.words_of(np.asarray(spelled)))
    found, rows, size = _rows(words, path, table.shape[1], _stamp(path, field), field)
    fresh = jnp.sqrt(jnp.mean(jnp.square(table)))
    scale = jnp.where((fresh > 0) & (size > 0), fresh / jnp.float32(size or 1), jnp.float32(1))
    return jnp.where(found[:, None], rows * scale, table)


@functools.lru_cache(maxsize=2)  # init is traced twice; a file of words may take a minute to read
def _rows(words: tuple[str, ...], path: str, dim: int, stamp: int, field: str) -> tuple[np.ndarray, np.ndarray, float]:
    del stamp
    found, rows, size = word_vectors.select(words, path, dim)
    print(f"{field}: {path} has {np.mean(found):.1%} of the {len(words):,} words", file=sys.stderr)
    return found, rows, size


def _stamp(path: str, field: str) -> int:
    """Changes when the file does."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError as error:
        raise UserError(f"{field}={path} cannot be read: {error.strerror}") from None
