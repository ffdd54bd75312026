"""Captions made wrong by a word, as negatives: exchanging one word for another of its group (FOIL)."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int
from ml_collections import ConfigDict

from mmjax.errors import UserError
from mmjax.ops import captions, collective
from mmjax.systems.drawing import sentences
from mmjax.systems.drawing.sentences import Encoders
from mmjax.task import Batch, Variables
from mmjax.text import vocabulary

Exchange = tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]  # (group, its lists of words, equally long), ...


def of(config: ConfigDict) -> tuple[int, Exchange]:
    """(config.foils, config.exchange); both are missing in runs from before there were.

    Raises:
      UserError: lists of a group that are not equally long, or no groups where wrong captions are wanted.
    """
    exchange = tuple((name, tuple(map(tuple, lists))) for name, lists in sorted(config.get("exchange", {}).items()))
    for name, lists in exchange:
        if len({len(words) for words in lists}) != 1 or len(lists[0]) < 2:
            raise UserError(f"config.exchange.{name}: lists of words, equally long, of two words at least")
    if config.get("foils", 0) and not exchange:
        raise UserError("config.foils: which words make a caption wrong? Name groups of them in config.exchange, or 0")
    return config.get("foils", 0), exchange


def init(exchange: Exchange) -> tuple[dict[str, Int[Array, "m n"]], Float[Array, "n n"]]:
    """(the groups' words as numbers, -1 before they are looked up; which were seen together, none yet)."""
    groups = {name: jnp.full((len(lists), len(lists[0])), -1, jnp.int32) for name, lists in exchange}
    count = sum(group.size for group in groups.values())
    return groups, jnp.zeros((count, count))


def fill(exchange: Exchange, spelled: vocabulary.Spelled) -> dict[str, Int[np.ndarray, "m n"]]:
    """The groups' words as numbers of the vocabulary, -1 for those that it lacks."""
    return {name: np.stack([vocabulary.numbers_of(words, spelled) for words in lists]) for name, lists in exchange}


def negatives(
    encoders: Encoders, many: int, variables: Variables, batch: Batch, key: Array
) -> tuple[Float[Array, "b k d"], Bool[Array, "b k"]]:
    """`many` wrong captions of each picture, as `sentences.condition` has right ones, and whether they count.

    They do where they differ from the right one and their words were seen together in other captions of this run.
    """
    groups = _in_order(variables)
    made = [captions.foiled(batch["caption_tokens"], groups, own) for own in jax.random.split(key, many)]
    tokens, wrong = (jnp.stack(parts, 1) for parts in zip(*made, strict=True))
    flat = {
        "caption_tokens": tokens.reshape(-1, tokens.shape[-1]),
        "caption_tokens_length": jnp.repeat(batch["caption_tokens_length"], many),
    }
    wrong &= captions.all_known(tokens, _words(groups), variables["state"]["together"])
    return sentences.condition(encoders, variables, flat).reshape(*tokens.shape[:2], -1), wrong


def follow(variables: Variables, batch: Batch) -> Float[Array, "n n"]:
    """state["together"] after this batch: which of these words stood in one caption so far."""
    seen = collective.total(captions.together(batch["caption_tokens"], _words(_in_order(variables))))
    return jnp.maximum(variables["state"]["together"], jnp.minimum(seen, 1.0))


def _in_order(variables: Variables) -> list[Int[Array, "m n"]]:
    exchange: Mapping[str, Array] = variables["frozen"]["exchange"]
    return [exchange[name] for name in sorted(exchange)]


def _words(groups: list[Int[Array, "m n"]]) -> Int[Array, " n"]:
    """All words that can be exchanged."""
    return jnp.concatenate([lists.reshape(-1) for lists in groups])
