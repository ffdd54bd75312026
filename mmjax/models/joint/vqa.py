"""Visual question answering: a question's LSTM state times the picture's features (Antol et al. 2015).

The paper's best network, "deeper LSTM Q + norm I", and its official code (GT-Vision-Lab/VQA_LSTM_CNN: train.lua and
misc/) differ, and people use both; `CODE` and `PAPER` are the two. Antol et al. 2015, "VQA: Visual Question
Answering", section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.errors import OptionError
from mmjax.models.blocks import shared_scan
from mmjax.models.blocks.recurrent import lstm, uniform
from mmjax.ops.vectors import unit

FUSIONS = ("product", "concatenation", "sum", "question", "image")
PAD = 0  # the number of no word

# What the published networks are called with. Both have 2 x 512 cells, 1,024 units in common, U(-.08, .08).
CODE: Mapping[str, Any] = {"embedding": 200, "classifier": ()}
PAPER: Mapping[str, Any] = {"embedding": 300, "classifier": (1000, 1000)}


class Layer(nn.Module):
    """x W + b, both from U(-bound, bound) as the official code draws them.

    Attributes:
      features: width of the output.
      bound: of the initial values.
      dtype: compute dtype; parameters are float32.
    """

    features: int
    bound: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b n"]:
        draw = uniform(self.bound)
        return nn.Dense(self.features, dtype=self.dtype, kernel_init=draw, bias_init=draw, name="affine")(x)


class QuestionLSTM(nn.Module):
    """A question as the last memory and output of every layer of an LSTM.

    Words are an embedding with a bias, dropout and tanh, in this order (train.lua). As Torch's, each layer has a bias
    on its input and one on its state. Padding changes no state, so that questions may be aligned on either side; the
    code aligns them on the right.

    Attributes:
      vocabulary: rows of the embedding.
      embedding: its width.
      hidden: cells of a layer.
      layers: how many.
      dropout: of the words and between the layers, drawn anew for each word.
      bound: initial values are from U(-bound, bound).
      dtype: compute dtype.
    """

    vocabulary: int
    embedding: int = 200
    hidden: int = 512
    layers: int = 2
    dropout: float = 0.5
    bound: float = 0.08
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, tokens: Int[Array, "b t"], *, train: bool = False) -> Float[Array, "b 2*l*n"]:
        """Reads questions.

        Args:
          tokens: numbers of words; 0 is padding.
          train: draw dropout from the random stream "dropout".

        Returns:
          [b 2 layers hidden]: c and h of the first layer, then of the second; zeros for a question without a word.
        """
        draw = uniform(self.bound)
        table = nn.Embed(self.vocabulary, self.embedding, dtype=self.dtype, embedding_init=draw, name="embedding")
        bias = self.param("embedding_bias", draw, (self.embedding,), jnp.float32)
        x = table(tokens) + bias.astype(self.dtype)[None, None]
        x = jnp.tanh(nn.Dropout(self.dropout, deterministic=not train)(x))
        where, states = tokens != PAD, []
        for layer in range(self.layers):
            if layer:
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
            gates = Layer(4 * self.hidden, self.bound, self.dtype, name=f"input{layer}")(x)  # of all words at once
            kernel = self.param(f"state{layer}_kernel", draw, (self.hidden, 4 * self.hidden), jnp.float32)
            bias = self.param(f"state{layer}_bias", draw, (4 * self.hidden,), jnp.float32)
            (c, h), x = recur(gates, where, kernel.astype(self.dtype), bias.astype(self.dtype))
            states += [c, h]
        return jnp.concatenate(states, -1)


def recur(
    gates: Float[Array, "b t 4*n"], where: Bool[Array, "b t"], kernel: Float[Array, "n 4*n"], bias: Float[Array, " 4*n"]
) -> tuple[tuple[Float[Array, "b n"], Float[Array, "b n"]], Float[Array, "b t n"]]:
    """Runs one LSTM layer over its inputs from a state of zeros.

    Args:
      gates: the input's share of input, forget and output gate and candidate.
      where: False where there is no word: the state stays as it is.
      kernel, bias: of the state's share.

    Returns:
      ((c, h) at the end, h after every word).
    """

    def body(use, carry, word):
        own, real = word
        c, h = carry
        new_h, new_c = lstm(own + use("state", h), c)
        c, h = jnp.where(real[:, None], new_c, c), jnp.where(real[:, None], new_h, h)
        return (c, h), h

    zero = jnp.zeros((gates.shape[0], kernel.shape[0]), gates.dtype)
    uses, shared = {"state": shared_scan.PRODUCT}, {"state": kernel}
    xs = ((gates + bias[None, None]).swapaxes(0, 1), where.swapaxes(0, 1))  # t b 4n
    end, outputs = shared_scan.scan(body, uses, shared, (zero, zero), xs)
    return end, outputs.swapaxes(0, 1)


class VQA(nn.Module):
    """Scores of answers to a question about a picture: tanh(W drop(q)) * tanh(W drop(i)), dropout, classifier.

    Attributes:
      vocabulary: words of the questions.
      answers: classes.
      embedding, hidden, layers: of the question's LSTM.
      common: width in which question and picture meet.
      fusion: "product"; "concatenation" (netdef.lua's A_B) or "sum" for comparison; "question" or "image" for a
        network that is given only one of the two.
      classifier: widths of tanh layers, each with dropout, before the last one: () in the code, two of 1,000 in the
        paper.
      dropout: everywhere.
      normalise: divide the picture's features by their length ("norm I").
      bound: initial values are from U(-bound, bound).
      dtype: compute dtype.
    """

    vocabulary: int
    answers: int
    embedding: int = 200
    hidden: int = 512
    layers: int = 2
    common: int = 1024
    fusion: str = "product"
    classifier: tuple[int, ...] = ()
    dropout: float = 0.5
    normalise: bool = True
    bound: float = 0.08
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        if self.fusion not in FUSIONS:
            raise OptionError("fusion", f"{self.fusion!r} is unknown: choose one of {', '.join(FUSIONS)}")
        super().__post_init__()

    def setup(self) -> None:
        if self.fusion != "image":
            self.question = QuestionLSTM(
                self.vocabulary, self.embedding, self.hidden, self.layers, self.dropout, self.bound, self.dtype
            )
            self.question_common = Layer(self.common, self.bound, self.dtype)
        if self.fusion != "question":
            self.image_common = Layer(self.common, self.bound, self.dtype)
        self.dropouts = nn.Dropout(self.dropout)
        self.hiddens = [Layer(width, self.bound, self.dtype) for width in self.classifier]
        self.last = Layer(self.answers, self.bound, self.dtype)

    def __call__(
        self, features: Float[Array, "b ..."], tokens: Int[Array, "b t"], *, train: bool = False
    ) -> Float[Array, "b a"]:
        """Logits of the answers, float32.

        Args:
          features: of the pictures, a vector or a map each; those of a map are put in a row.
          tokens: of the questions; 0 is padding.
          train: draw dropout from the random stream "dropout".
        """
        return self.answer(self.see(features, train=train), self.ask(tokens, train=train), train=train)

    def see(self, features: Float[Array, "b ..."], *, train: bool = False) -> Float[Array, "b n"]:
        """The picture in the common space."""
        x = features.reshape(features.shape[0], -1).astype(jnp.float32)
        if self.fusion == "question":
            return jnp.zeros((x.shape[0], self.common), self.dtype)
        if self.normalise:
            x = unit(x)
        x = self.dropouts(x.astype(self.dtype), deterministic=not train)
        return jnp.tanh(self.image_common(x))

    def ask(self, tokens: Int[Array, "b t"], *, train: bool = False) -> Float[Array, "b n"]:
        """The question in the common space."""
        if self.fusion == "image":
            return jnp.zeros((tokens.shape[0], self.common), self.dtype)
        x = self.dropouts(self.question(tokens, train=train), deterministic=not train)
        return jnp.tanh(self.question_common(x))

    def answer(
        self, image: Float[Array, "b n"], question: Float[Array, "b n"], *, train: bool = False
    ) -> Float[Array, "b a"]:
        """Logits from what `see` and `ask` return."""
        x = {
            "product": lambda: image * question,
            "concatenation": lambda: jnp.concatenate([question, image], -1),
            "sum": lambda: image + question,
            "question": lambda: question,
            "image": lambda: image,
        }[self.fusion]()
        x = self.dropouts(x, deterministic=not train)
        for layer in self.hiddens:
            x = self.dropouts(jnp.tanh(layer(x)), deterministic=not train)
        return self.last(x).astype(jnp.float32)


def with_words(params: Mapping[str, Any], table: Float[Array, "v d"]) -> dict[str, Any]:
    """Parameters of a `VQA` whose word embedding is `table`, for instance a skip-gram's.

    Raises:
      OptionError: the shapes differ.
    """
    own = params["question"]["embedding"]["embedding"]
    if own.shape != table.shape:
        raise OptionError("words", f"are {table.shape}, where the network has {own.shape}: give it their width")
    embedding = {"embedding": jnp.asarray(table, jnp.float32)}
    return {**params, "question": {**params["question"], "embedding": embedding}}
