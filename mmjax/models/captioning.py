"""Show and Tell, and what the captioning networks share: the LSTM step, teacher forcing and their initialisers.

Every captioning network has three methods, which share their parameters.

    __call__(features, tokens, train=...)   teacher forcing: all steps of given captions, for the loss
    start(features) -> (memory, carry)      what stays as it is while a caption is made, and what changes
    step(memory, carry, token) -> (carry, logits, emitted)

`functools.partial(step, memory)` is what decode/ drives. `memory` holds one row a picture and `carry` one row a
caption: with k captions to a picture, those of picture 0 come first. So a beam copies hidden states and no pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

START = 1  # <start>, the word before the first (data/captions: 0 <pad>, 1 <start>, 2 <end>, 3 <unk>)

Table = Mapping[str, tuple[nn.initializers.Initializer, tuple[int, ...]]]


def uniform(bound: float) -> nn.initializers.Initializer:
    """Draws from U(-bound, bound)."""

    def draw(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return draw


def declare(module: nn.Module, table: Table) -> dict[str, Array]:
    """The parameters of a table {name: (initialiser, shape)}, float32, in the module's own scope."""
    return {name: module.param(name, initial, shape, jnp.float32) for name, (initial, shape) in table.items()}


def previous(tokens: Int[Array, "b t"]) -> Int[Array, "b t"]:
    """The word before each: <start>, then the caption without its last word."""
    return jnp.pad(tokens[:, :-1], ((0, 0), (1, 0)), constant_values=START)


def affine(x: Float[Array, "*r d"], kernel: Float[Array, "d n"], bias: Float[Array, " n"]) -> Float[Array, "*r n"]:
    """x W + b."""
    return x @ kernel + bias.reshape((1,) * (x.ndim - 1) + (-1,))


def lstm(
    gates: Float[Array, "b 4*n"], memory: Float[Array, "b n"], forget: float = 0.0
) -> tuple[Float[Array, "b n"], Float[Array, "b n"]]:
    """One step of an LSTM without peepholes (Zaremba et al. 2014, as both captioning papers use it).

    Args:
      gates: what goes into input, forget and output gate and into the candidate, in this order.
      memory: c of the last step.
      forget: added to the forget gate.

    Returns:
      (h, c).
    """
    i, f, o, g = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f + jnp.asarray(forget, f.dtype)) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def drop(x: Array, rate: float, key: Callable[[], Array] | None) -> Array:
    """Dropout of `rate` with what is left scaled up; no key, no dropout. `key` is called only where it is needed."""
    if key is None or not rate:
        return x
    kept = jax.random.bernoulli(key(), 1.0 - rate, x.shape)
    return jnp.where(kept, x / jnp.asarray(1.0 - rate, x.dtype), jnp.zeros((), x.dtype))


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

    def setup(self):
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

        def body(carry, gates):
            carry = self._recur(w, carry, gates)
            return carry, carry[0]

        _, hidden = lax.scan(body, carry, inputs.swapaxes(0, 1))
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
        zeros = jnp.zeros((len(features), self.hidden), self.dtype)
        return self._recur(w, (zeros, zeros), affine(picture, w["lstm_word"], w["lstm_bias"]))

    def _recur(self, w, carry, gates):
        return lstm(gates + carry[0] @ w["lstm_hidden"], carry[1], forget=1.0)

    def _speak(self, w, hidden):
        return affine(hidden, w["logits"], w["logits_bias"]).astype(jnp.float32)
