"""Joint embeddings: what reads a sentence, and the layer that leads each side into the space that they share."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mmjax.errors import OptionError
from mmjax.models.blocks.recurrent import uniform
from mmjax.ops.vectors import unit
from mmjax.text.vocabulary import END

SQUASH = ("none", "tanh")
LOG_VARIANCE = -4.0  # where log sigma^2 starts


class Head(nn.Module):
    """Features to a point of the joint space, or to a Gaussian in it.

    VSE++ has a linear layer for pictures, initialised by Xavier's uniform rule, and the state of the GRU itself for
    sentences; im2recipe a linear layer and a tanh for both sides. The mean of a
    Gaussian is a point like any other, and its log-variance another linear layer of the same features, which starts
    small and equal everywhere.

    Attributes:
      dimension: of the space; 0 takes the features as they are.
      squash: "tanh" before the length is set to 1, or "none".
      gaussian: whether to give a log-variance, too.
      unit: whether points have length 1.
    """

    dimension: int = 1024
    squash: str = "none"
    gaussian: bool = False
    unit: bool = True

    def __post_init__(self) -> None:
        if self.squash not in SQUASH:
            raise OptionError("squash", f"is {self.squash!r}: choose {' or '.join(map(repr, SQUASH))}")
        super().__post_init__()

    @nn.compact
    def __call__(self, features: Float[Array, "n f"]) -> tuple[Float[Array, "n d"], Float[Array, "n d"] | None]:
        """(point or mean, log-variance or None), float32."""
        x = features.astype(jnp.float32)
        point, size = x, self.dimension or x.shape[-1]
        if self.dimension:
            point = nn.Dense(size, kernel_init=nn.initializers.xavier_uniform(), name="point")(x)
        point = jnp.tanh(point) if self.squash == "tanh" else point
        point = unit(point) if self.unit else point
        if not self.gaussian:
            return point, None
        start = nn.initializers.constant(LOG_VARIANCE)
        spread = nn.Dense(size, kernel_init=nn.initializers.normal(1e-3), bias_init=start, name="spread")
        return point, spread(x)


class GRUText(nn.Module):
    """A sentence as the state of a GRU behind its last word.

    Kiros et al. 2014, "Unifying Visual-Semantic Embeddings with Multimodal Neural Language Models"; sizes and
    initialisation of VSE++ (Faghri et al. 2018): words U(+-0.1), the GRU PyTorch's U(+-1/sqrt(hidden)).

    Attributes:
      vocabulary: number of words.
      embed: width of a word.
      hidden: of the state.
      dtype: compute dtype.
    """

    vocabulary: int
    embed: int = 300
    hidden: int = 1024
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, tokens: Int[Array, "n t"], length: Int[Array, " n"]) -> Float[Array, "n h"]:
        """The state after `length` words, <end> among them; zeros for a sentence of none."""
        h, draw = self.hidden, uniform(self.hidden**-0.5)
        words = self.param("words", uniform(0.1), (self.vocabulary, self.embed), jnp.float32).astype(self.dtype)
        shapes = {"input": (self.embed, 3 * h), "state": (h, 3 * h), "input_bias": (3 * h,), "state_bias": (3 * h,)}
        w = {name: self.param(name, draw, shape, jnp.float32).astype(self.dtype) for name, shape in shapes.items()}
        gates = words[tokens] @ w["input"] + w["input_bias"][None, None]  # of all words at once: n t 3h
        where = jnp.arange(tokens.shape[1])[:, None] < length[None]  # t n

        def body(state, inputs):
            own, real = inputs
            own, other = own.reshape(-1, 3, h), (state @ w["state"] + w["state_bias"][None]).reshape(-1, 3, h)
            reset, update = nn.sigmoid(own[:, 0] + other[:, 0]), nn.sigmoid(own[:, 1] + other[:, 1])
            new = jnp.tanh(own[:, 2] + reset * other[:, 2])
            new = (1 - update) * new + update * state
            return jnp.where(real[:, None], new, state), None

        start = jnp.zeros((tokens.shape[0], h), self.dtype)
        return lax.scan(body, start, (gates.swapaxes(0, 1), where))[0]


class MeanText(nn.Module):
    """A sentence as the mean of its words' vectors: skip-gram's way with more than one word, and DeViSE's labels.

    Attributes:
      vocabulary: number of words.
      embed: width of a word.
      dtype: compute dtype.
    """

    vocabulary: int
    embed: int = 300
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, tokens: Int[Array, "n t"], length: Int[Array, " n"]) -> Float[Array, "n d"]:
        """The mean over the words without <end>; zeros where there is none."""
        words = self.param("words", uniform(0.1), (self.vocabulary, self.embed), jnp.float32).astype(self.dtype)
        where = (jnp.arange(tokens.shape[1])[None] < length[:, None]) & (tokens != END)
        total = jnp.sum(words[tokens], 1, where=where[..., None])
        return total / jnp.maximum(jnp.sum(where, 1, dtype=self.dtype), 1)[:, None]
