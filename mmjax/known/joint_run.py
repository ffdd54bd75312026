"""A trained joint embedding by its workdir: the points of pictures and of sentences, for what builds on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int

from mmjax.errors import OptionError
from mmjax.known import runs, towers
from mmjax.ops.vectors import unit
from mmjax.text import vocabulary

SYSTEM = "joint_embedding"


@dataclasses.dataclass(frozen=True)
class JointRun:
    """A joint embedding that is trained no further; hashable, and equal by value: its files are read on demand.

    Attributes:
      path: its workdir.
      option: that named the path, for the messages.
      sides: (name, tower and head) of those that are wanted.
    """

    path: str
    option: str
    sides: tuple[tuple[str, towers.Side], ...]

    @property
    def variables(self) -> dict[str, Any]:
        """{side: {"tower": the tower's parts, "head": variables}}, float32 NumPy arrays of the newest checkpoint: what
        `embed` takes."""
        names = [name for name, _ in self.sides]
        saved = runs.newest(
            self.path,
            lambda tree: {
                "params": {"embedding": {name: tree["params"]["embedding"].get(name, {}) for name in names}},
                "state": {"towers": {name: tree["state"]["towers"].get(name, {}) for name in names}},
            },
            self.option,
        )
        fixed = runs.frozen(
            self.path, lambda tree: {"towers": {name: tree.get("towers", {}).get(name, {}) for name in names}}
        )
        found = {}
        for name in names:
            own = saved["params"]["embedding"].get(name) or {}
            parts = {"params": own.get("tower") or {}, "state": saved["state"]["towers"].get(name) or {}}
            parts["frozen"] = fixed["towers"].get(name) or {}
            found[name] = {"tower": parts, "head": {"params": own.get("head") or {}}}
        return found

    @property
    def vocabulary(self) -> vocabulary.Spelled:
        """Of its sentences, spelled."""
        return self._fixed("caption_vocabulary")

    @property
    def model(self) -> np.ndarray | None:
        """Of SentencePiece or byte pairs, uint8, where sentences are cut by one; for `vocabulary.encode`."""
        return self._fixed("caption_model")

    @property
    def tokens(self) -> Mapping[str, Any]:
        """config.data.tokens of its run: how its sentences were cut."""
        return runs.config_of(self.path, SYSTEM, self.option)["data"]["tokens"]

    def _fixed(self, name: str) -> Any:
        return runs.frozen(self.path, lambda tree: {name: tree[name]} if name in tree else {}).get(name)

    def embed(self, variables: Mapping[str, Any], side: str, *fields: Any) -> Float[Array, "n d"]:
        """Points of length 1: of "image" from pictures [n h w 3], of "caption" from tokens [n t], lengths [n].

        Of Gaussian embeddings the means.
        """
        return unit(dict(self.sides)[side](variables[side], *fields)[0])

    def table(self, spelled: vocabulary.Spelled) -> Int[np.ndarray, " v"]:
        """The number in this vocabulary of each word of another, int32; <unk> for what it lacks."""
        index = {word: number for number, word in enumerate(vocabulary.words_of(self.vocabulary))}
        return np.array([index.get(word, vocabulary.UNK) for word in vocabulary.words_of(spelled)], np.int32)

    def sentences(
        self,
        variables: Mapping[str, Any],
        table: Int[Array, " v"],
        tokens: Int[Array, "b t"],
        length: Int[Array, " b"],
    ) -> Float[Array, "b d"]:
        """Points of length 1 of sentences in words of the vocabulary that `table` was made for."""
        return self.embed(variables, "caption", table[tokens], length)


def load(path: str | Path, option: str, sides: tuple[str, ...] = ("image", "caption")) -> JointRun:
    """Finds a run of configs/joint_embedding.py or configs/clip.py; its weights are not read yet.

    Args:
      path: the workdir, whose newest checkpoint is taken.
      option: that named the path, for the messages.
      sides: which towers are wanted.

    Raises:
      UserError: nothing there, a run of another system or of other sides, or a run that saved nothing yet.
    """
    config = runs.config_of(path, SYSTEM, option)
    missing = [side for side in (*sides, "caption") if side not in config["sides"]]
    if missing:
        raise OptionError(option, f"={str(path)!r} embeds {', '.join(config['sides'])}, and not {missing[0]}")
    runs.shapes(path, lambda tree: {"step": tree["step"]}, option)  # that there is one
    return JointRun(str(path), option, tuple((side, towers.make(config, side)) for side in sides))
