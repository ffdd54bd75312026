"""Prompts: sentences with the name of a class in them, as tokens."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from mmjax.text import vocabulary


def blank(names: int, prompts: int, length: int) -> tuple[Int[Array, "c p t"], Int[Array, "c p"]]:
    """Zeros in the shapes of `tokens`, for a task's `init`."""
    return jnp.zeros((names, prompts, length), jnp.int32), jnp.zeros((names, prompts), jnp.int32)


def tokens(
    prompts: tuple[str, ...], constants: Mapping[str, np.ndarray], field: str, length: int, rules: str = "unicode"
) -> tuple[Int[np.ndarray, "c p t"], Int[np.ndarray, "c p"]]:
    """Tokens and lengths of every name of a field's classes in every prompt, for a task's `fill`.

    Names of which the vocabulary has no word are told on standard error.

    Args:
      prompts: sentences with {} in the place of the name.
      constants: "caption_vocabulary", perhaps "caption_model", and "<field>_names".
      field: of the classes.
      length: tokens of a sentence, <end> among them; what is longer is cut.
      rules: how sentences are cut, config.data.tokens.rules.
    """
    names = vocabulary.words_of(constants[f"{field}_names"])
    known, model, lost = constants["caption_vocabulary"], constants.get("caption_model"), []
    found = np.zeros((len(names), len(prompts), length), np.int32)
    lengths = np.zeros(found.shape[:2], np.int32)
    for i, name in enumerate(names):
        if (vocabulary.encode(name, known, "caption", model, rules)[0] == vocabulary.UNK).all():
            lost.append(name)
        for j, prompt in enumerate(prompts):
            ids, _ = vocabulary.encode(prompt.replace("{}", name), known, "caption", model, rules)
            ids = np.append(ids[: length - 1], vocabulary.END)
            found[i, j, : len(ids)], lengths[i, j] = ids, len(ids)
    if lost:
        told = f"{field}: no word of {len(lost)} of {len(names)} names is in the vocabulary: {', '.join(lost[:8])}"
        print(told, file=sys.stderr)
    return found, lengths
