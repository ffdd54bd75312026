"""A trained joint embedding by its workdir: the points of pictures and of sentences, for what builds on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mmjax.errors import UserError
from mmjax.known import runs, towers
from mmjax.models.joint.joint_embedding import Head
from mmjax.ops.vectors import unit
from mmjax.text import vocabulary


@dataclasses.dataclass(frozen=True)
class Trained:
    """A joint embedding that is trained no further.

    Attributes:
      towers: {side: tower}, see `known.towers`.
      heads: {side: head}.
      variables: {side: {"tower": the tower's parts, "head": variables}}, float32 NumPy arrays: what `embed` takes.
      vocabulary: of its sentences, spelled: uint8 [v letters].
      tokens: config.data.tokens of its run: how its sentences were cut.
      model: of SentencePiece or byte pairs, uint8, where sentences are cut by one; for `vocabulary.encode`.
    """

    towers: Mapping[str, Any]
    heads: Mapping[str, Head]
    variables: Mapping[str, Any]
    vocabulary: np.ndarray
    tokens: Mapping[str, Any]
    model: np.ndarray | None

    def embed(self, variables: Mapping[str, Any], side: str, *fields: Any) -> jax.Array:
        """Points [n d] of length 1: of "image" from pictures [n h w 3], of "caption" from tokens [n t], lengths [n].

        Of Gaussian embeddings the means.
        """
        own = variables[side]
        features, _ = self.towers[side](own["tower"], *fields)
        return unit(self.heads[side].apply(own["head"], features)[0])

    def table(self, spelled: vocabulary.Spelled) -> np.ndarray:
        """The number in this vocabulary of each word of another, int32 [v]; <unk> for what it lacks."""
        index = {word: number for number, word in enumerate(vocabulary.words_of(self.vocabulary))}
        return np.array([index.get(word, vocabulary.UNK) for word in vocabulary.words_of(spelled)], np.int32)

    def sentences(self, variables: Mapping[str, Any], table: Any, tokens: Any, length: Any) -> jax.Array:
        """Points [b d] of length 1 of sentences in words of the vocabulary that `table` was made for."""
        return self.embed(variables, "caption", table[tokens], length)


def load(path: str | Path, field: str, sides: tuple[str, ...] = ("image", "caption")) -> Trained:
    """Loads a run of configs/joint_embedding.py or configs/clip.py, its newest checkpoint.

    Args:
      path: the workdir.
      field: of the config that named the path, for the messages.
      sides: which towers are wanted.

    Raises:
      UserError: nothing there, a run of another system or of other sides, or a run that saved nothing yet.
    """
    config = runs.config_of(path, "joint_embedding", field)
    missing = [side for side in (*sides, "caption") if side not in config["sides"]]
    if missing:
        raise UserError(f"{field}={str(path)!r} embeds {', '.join(config['sides'])}, and not {missing[0]}")
    saved = runs.newest(
        path,
        lambda tree: {
            "params": {"embedding": {side: tree["params"]["embedding"].get(side, {}) for side in sides}},
            "state": {"towers": {side: tree["state"]["towers"].get(side, {}) for side in sides}},
        },
        field,
    )
    fixed = runs.frozen(
        path,
        lambda tree: {
            "towers": {side: tree.get("towers", {}).get(side, {}) for side in sides},
            **{name: tree[name] for name in ("caption_vocabulary", "caption_model") if name in tree},
        },
    )
    variables = {}
    for side in sides:
        own = saved["params"]["embedding"].get(side) or {}
        parts = {"params": own.get("tower") or {}, "state": saved["state"]["towers"].get(side) or {}}
        parts["frozen"] = fixed["towers"].get(side) or {}
        variables[side] = {"tower": parts, "head": {"params": own.get("head") or {}}}
    made = {side: towers.MAKE[side](**config[side]) for side in sides}
    heads = {side: towers.head(config["method"], side, made[side], **config["model"]) for side in sides}
    tokens, model = config["data"]["tokens"], fixed.get("caption_model")
    return Trained(made, heads, variables, fixed["caption_vocabulary"], tokens, model)
