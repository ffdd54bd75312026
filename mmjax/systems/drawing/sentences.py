"""Both sides of the joint embedding: a text encoder, trained along or known from elsewhere, and one of pictures."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Num, UInt8

from mmjax.errors import OptionError, section
from mmjax.known import joint_run, minilm
from mmjax.models.text.char_cnn_rnn import PRESETS, CharCnnRnn, WordEncoder
from mmjax.models.vision.picture_side import PictureSide
from mmjax.ops.vectors import unit
from mmjax.task import Batch, Variables
from mmjax.text import vocabulary

KINDS = ("words", "char_cnn_rnn")


@dataclasses.dataclass(frozen=True)
class Known:
    """A text encoder that is trained no further; equal to another of the same source.

    Attributes:
      source: "minilm", or a workdir of configs/joint_embedding.py or configs/clip.py.
      encoder: what was found there: its `variables`, `tokens`, `table` and `sentences`.
    """

    source: str
    encoder: Any = dataclasses.field(compare=False)

    def shapes(self) -> Any:
        """Zeros in place of its weights."""
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), dict(self.encoder.variables))

    def row(self) -> tuple[int, ...]:
        """The shape of a word's row of `encoder.table`."""
        return self.encoder.table(vocabulary.spell(vocabulary.SPECIAL)).shape[1:]

    def width(self) -> int:
        """d of its points."""
        table = np.zeros((len(vocabulary.SPECIAL), *self.row()), np.int32)
        tokens, length = jnp.zeros((1, self.encoder.tokens["length"]), jnp.int32), jnp.ones(1, jnp.int32)
        found = jax.eval_shape(
            lambda parts, table: self.encoder.sentences(parts, table, tokens, length),
            dict(self.encoder.variables),
            table,
        )
        return found.shape[1]


@dataclasses.dataclass(frozen=True)
class Encoders:
    """Both sides of the joint embedding; equal by value.

    Attributes:
      kind: of KINDS, of the text encoder that is trained here.
      features: d.
      picture: the picture's side, which always is: retrieval is measured by it.
      known: in place of the text encoder, or None.
      preset: of `char_cnn_rnn`.
      dtype: compute dtype.
    """

    kind: str
    features: int
    picture: PictureSide
    known: Known | None
    preset: str
    dtype: str

    def network(self, words: int) -> nn.Module:
        """The text encoder for a vocabulary of so many words."""
        if self.kind == "words":
            return WordEncoder(words, self.features, dtype=self.dtype)
        return CharCnnRnn(words, self.features, PRESETS[self.preset], dtype=self.dtype)

    def init(self, of_text: Array, of_picture: Array, batch: Batch) -> tuple[dict[str, Any], Any, dict[str, Any]]:
        """(params, the picture side's statistics, what is frozen) of fresh encoders, from a key for each side."""
        words = len(batch["caption_vocabulary"])
        made: Any = self.picture.init(of_picture, batch["image"])
        params = {"picture": made["params"]}
        if self.known is not None:
            table = jnp.zeros((words, *self.known.row()), jnp.int32)
            return params, made["state"], {"text": self.known.shapes(), "words": table}
        tokens = (batch["caption_tokens"], batch["caption_tokens_length"])
        params["text"] = self.network(words).init(of_text, *tokens)["params"]
        return params, made["state"], {}

    def fill(self, spelled: vocabulary.Spelled) -> dict[str, Any]:
        """What is frozen of a text encoder from elsewhere: its weights, and its numbers of our words."""
        if self.known is None:
            return {}
        with section("config.model"):
            return {"text": dict(self.known.encoder.variables), "words": self.known.encoder.table(spelled)}

    def texts(self, variables: Variables, tokens: Int[Array, "b t"], length: Int[Array, " b"]) -> Float[Array, "b d"]:
        """Sentences as vectors; those of a workdir have the length 1."""
        frozen = variables["frozen"]
        if self.known is not None:
            return self.known.encoder.sentences(frozen["text"], frozen["words"], tokens, length)
        own = {"params": variables["params"]["text"]["text"]}
        found: Any = self.network(len(frozen["caption_vocabulary"])).apply(own, tokens, length)
        return found

    def pictures(
        self, variables: Variables, image: Num[Array, "b h w 3"], train: bool = False
    ) -> tuple[Float[Array, "b d"], Any]:
        """Pictures of 0..255 as vectors, and the statistics after them."""
        own = {"params": variables["params"]["text"]["picture"], "state": variables["state"]["picture"]}
        if not train:
            found: Any = self.picture.apply(own, image)
            return found, own["state"]
        found, updated = self.picture.apply(own, image, train=True, mutable=["state"])
        return found, updated["state"]


def make(
    text: str,
    kind: str,
    features: int,
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    preset: str,
    dtype: str,
    tokens: str,
) -> Encoders:
    """The encoders of config.model.

    Args:
      text: "minilm", a workdir of configs/joint_embedding.py or configs/clip.py, or "" for one that is trained along.
      kind, features, preset: see `Encoders`.
      widths, depths: of the picture's side.
      dtype: compute dtype.
      tokens: how sentences are cut, config.data.tokens.kind.

    Raises:
      OptionError: of `kind`, `text` or `tokens`.
    """
    if kind not in KINDS:
        raise OptionError("kind", f"is {kind!r}: choose {' or '.join(map(repr, KINDS))}")
    known = None
    if text:
        known = Known(text, _read(text))
        features = known.width()
        theirs = known.encoder.tokens["kind"]
        if theirs != tokens:
            raise OptionError(
                "tokens", f"is {tokens!r}, and {text} was trained on {theirs!r}: sentences must be cut alike"
            )
    return Encoders(kind, features, PictureSide(features, tuple(widths), tuple(depths), dtype), known, preset, dtype)


def _read(text: str) -> Any:
    return minilm.load() if text == "minilm" else joint_run.load(text, "text", ("caption",))


def condition(encoders: Encoders, variables: Variables, batch: Batch) -> Float[Array, "b d"]:
    """The sentences' vectors, of length sqrt(d), so that their entries are about 1."""
    found = encoders.texts(variables, batch["caption_tokens"], batch["caption_tokens_length"])
    return unit(found) * jnp.float32(found.shape[1] ** 0.5)


def both_points(
    encoders: Encoders, variables: Variables, drawn: UInt8[Array, "b h w 3"], real: UInt8[Array, "b h w 3"]
) -> tuple[Float[Array, "b d"], Float[Array, "b d"]]:
    """The points of drawn and of real pictures in the joint space, by one call."""
    both, _ = encoders.pictures(variables, jnp.concatenate([drawn, real]))
    return both[: len(drawn)], both[len(drawn) :]
