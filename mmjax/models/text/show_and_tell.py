"""Show and Tell, and what it shares with Show, Attend and Tell: the form of a captioning network, teacher forcing.

Every captioning network has three methods, which share their parameters.

    __call__(features, tokens, train=...)   teacher forcing: all steps of given captions, for the loss
    start(features) -> (memory, carry)      what stays as it is while a caption is made, and what changes
    step(memory, carry, token) -> (carry, logits, emitted)

`functools.partial(step, memory)` is what decode/ drives. `memory` holds one row a picture and `carry` one row a
caption: with k captions to a picture, those of picture 0 come first. So a beam copies hidden states and no pictures.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.models.blocks import shared_scan
from mmjax.models.blocks.recurrent import affine, declare, drop, lstm, uniform

START = 1  # <start>, the word before the first (data/captions: 0 <pad>, 1 <start>, 2 <end>, 3 <unk>)


def previous(tokens: Int[Array, "b t"]) -> Int[Array, "b t"]:
    """The word before each: <start>, then the caption without its last word."""
    return jnp.pad(tokens[:, :-1], ((0, 0), (1, 0)), constant_values=START)


class ShowAndTell(nn.Module):
    """Show and Tell: an LSTM that sees the picture once, before the first word (Vinyals et al. 2015, eq. 10 to 12).

    Sizes and details are those of the authors' im2txt: the picture is mapped linearly and without a bias into the
    space of the words; every weight is drawn from U(-0.08, 0.08), biases are 0, the forget gate has 1 added; dropout
    is on what goes into the LSTM (the picture too) and on what comes out, not on what recurs.

    With 2048 features and 12,000 words it has 15,447,776 parameters.

    Attributes:
      vocabulary: words, the four special ones included.
      features: numbers that describe a picture.
      embed: size of a word vector.
      hidden: units of the LSTM.
      dropout: share that is dropped; im2txt keeps 0.7.
      scale: bound of the initial weights.
      dtype: compute dtype; parameters and logits stay float32.
    """

    vocabulary: int
    features: int
    embed: int = 512
    hidden: int = 512
    dropout: float = 0.3
    scale: float = 0.08
    dtype: Any = jnp.float32

    def setup(self) -> None:
        draw, zeros, n = uniform(self.scale), nn.initializers.zeros, self.hidden
        self.weights = declare(
            self,
            {
                "picture": (draw, (self.features, self.embed)),
                "words": (draw, (self.vocabulary, self.embed)),
                "lstm_word": (draw, (self.embed, 4 * n)),
                "lstm_hidden": (draw, (n, 4 * n)),
                "lstm_bias": (zeros, (4 * n,)),
                "logits": (draw, (n, self.vocabulary)),
                "logits_bias": (zeros, (self.vocabulary,)),
            },
        )

    def __call__(
        self, features: Float[Array, "b d"], tokens: Int[Array, "b t"], *, train: bool = False
    ) -> dict[str, Array]:
        """The scores of every word of given captions (teacher forcing).

        Args:
          features: of the pictures.
          tokens: captions without <start>, ending with <end>, padded.
          train: dropout (rng "dropout").

        Returns:
          "logits" [b t v], float32: those at t are of token t, given the tokens before it.
        """
        key = (lambda: self.make_rng("dropout")) if train else None
        w = self._cast()
        # Everything that does not recur is done for all steps at once: word vectors, their half of the gates, logits.
        inputs = affine(drop(w["words"][previous(tokens)], self.dropout, key), w["lstm_word"], w["lstm_bias"])
        carry = self._see(w, features, key)

        def body(use, carry, gates):
            carry = lstm(gates + use("hidden", carry[0]), carry[1], forget=1.0)
            return carry, carry[0]

        uses, shared = {"hidden": shared_scan.PRODUCT}, {"hidden": w["lstm_hidden"]}
        _, hidden = shared_scan.scan(body, uses, shared, carry, inputs.swapaxes(0, 1))
        return {"logits": self._speak(w, drop(hidden.swapaxes(0, 1), self.dropout, key))}

    def start(self, features: Float[Array, "b d"]) -> tuple[tuple[()], tuple[Array, Array]]:
        """Nothing to keep in mind, and the state after the picture."""
        return (), self._see(self._cast(), features, None)

    def step(self, memory: tuple[()], carry: tuple[Array, Array], token: Int[Array, " r"]) -> tuple[Any, Array, dict]:
        """The state after one more word, and the logits [r v] of the next; emits nothing."""
        del memory
        w = self._cast()
        carry = self._recur(w, carry, affine(w["words"][token], w["lstm_word"], w["lstm_bias"]))
        return carry, self._speak(w, carry[0]), {}

    def _cast(self):
        return {name: value.astype(self.dtype) for name, value in self.weights.items()}

    def _see(self, w, features, key):
        picture = drop(features.astype(self.dtype) @ w["picture"], self.dropout, key)
        zeros = jnp.zeros((features.shape[0], self.hidden), self.dtype)
        return self._recur(w, (zeros, zeros), affine(picture, w["lstm_word"], w["lstm_bias"]))

    def _recur(self, w, carry, gates):
        return lstm(gates + carry[0] @ w["lstm_hidden"], carry[1], forget=1.0)

    def _speak(self, w, hidden):
        return affine(hidden, w["logits"], w["logits_bias"]).astype(jnp.float32)
