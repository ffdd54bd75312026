"""What was said, as text: from scores of units, through a lexicon's words or, where units are letters, as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from mmjax.decode import lexicon
from mmjax.text.vocabulary import SPACE

_MARK = np.frombuffer(SPACE.encode(), np.uint8)


def spelled(names: UInt8[Array, "v letters"], numbers: Int[Array, "b n"]) -> UInt8[Array, "b n letters"]:
    """The names of numbers; no letters for -1."""
    return jnp.where((numbers >= 0)[..., None], names[jnp.maximum(numbers, 0)], jnp.zeros((), names.dtype))


def spelled_letters(names: UInt8[Array, "v k"], numbers: Int[Array, "b n"]) -> UInt8[Array, "b m letters"]:
    """Names of letters as `text.vocabulary.join` makes a text of them: with a mark in front and in place of a space."""
    names = jnp.pad(names, ((0, 0), (0, max(0, len(_MARK) - names.shape[1]))))
    mark = jnp.pad(jnp.asarray(_MARK), (0, names.shape[1] - len(_MARK)))
    is_space = (names[:, 0] == ord(" ")) & jnp.all(names[:, 1:] == 0, 1)
    found = spelled(jnp.where(is_space[:, None], mark[None], names), numbers)
    first = jnp.broadcast_to(mark, (found.shape[0], 1, names.shape[1]))
    return jnp.concatenate([first, found], 1)


def of(
    known: Mapping[str, Any], log_probs: Float[Array, "b t v"], steps: Int[Array, " b"]
) -> UInt8[Array, "b n letters"]:
    """The words that were said, UTF-8, zeros behind; the rows of a text for `text.vocabulary.join`.

    Args:
      known: "lexicon_units", see `lexicon.words`, and "lexicon_names", the words; or without these "units_names", the
        letters that units are, of which the likeliest at each step are taken.
      log_probs, steps: as for `lexicon.words`.
    """
    if "lexicon_units" in known:
        said = lexicon.words(log_probs, steps, known["lexicon_units"])
        return spelled(known["lexicon_names"], said.words)
    return spelled_letters(known["units_names"], lexicon.greedy(log_probs, steps)[0])
