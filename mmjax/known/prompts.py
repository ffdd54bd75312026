"""Prompts: sentences with the name of a class in them, as tokens, inside a task's `init`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Int

from mmjax.text import vocabulary


def tokens(
    prompts: tuple[str, ...], batch: Mapping[str, Any], field: str, length: int
) -> tuple[Int[Array, "c p t"], Int[Array, "c p"]]:
    """Tokens and lengths of every name of a field's classes in every prompt.

    Names of which the vocabulary has no word are told once, on standard error.

    Args:
      prompts: sentences with {} in the place of the name.
      batch: of `init`: the constants "caption_vocabulary", perhaps "caption_model", and "<field>_names" as host arrays.
      field: of the classes.
      length: tokens of a sentence, <end> among them; what is longer is cut.

    Returns:
      int32 arrays; zeros where the vocabulary is traced, as when only the shapes of a run are restored.
    """
    spelled, names = batch["caption_vocabulary"], batch[f"{field}_names"]
    shape = (len(names), len(prompts), length)
    if isinstance(spelled, jax.core.Tracer):
        return jnp.zeros(shape, jnp.int32), jnp.zeros(shape[:2], jnp.int32)
    found, lengths, lost = np.zeros(shape, np.int32), np.zeros(shape[:2], np.int32), []
    encode = functools.partial(
        vocabulary.encode, vocabulary=np.asarray(spelled), field="caption", model=batch.get("caption_model")
    )
    for i, name in enumerate(vocabulary.words_of(np.asarray(names))):
        if (encode(name)[0] == vocabulary.UNK).all():
            lost.append(name)
        for j, prompt in enumerate(prompts):
            ids = [*encode(prompt.replace("{}", name))[0][: length - 1], vocabulary.END]
            found[i, j, : len(ids)], lengths[i, j] = ids, len(ids)
    if lost:
        _tell(f"{field}: no word of {len(lost)} of {len(names)} names is in the vocabulary: {', '.join(lost[:8])}")
    return jnp.asarray(found), jnp.asarray(lengths)


@functools.cache  # init is traced twice
def _tell(line: str) -> None:
    print(line, file=sys.stderr)
