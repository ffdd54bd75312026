"""Skip-gram's two tables, W of centre words and W' of contexts, and how they are sampled (Mikolov et al. 2013)."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.errors import OptionError

OBJECTIVES = ("negative_sampling", "full_softmax")


@dataclasses.dataclass(frozen=True)
class Sampling:
    """What is drawn for each word of the text.

    Attributes:
      objective: "negative_sampling", or "full_softmax" over all words (for vocabularies of a few thousand).
      window: the largest distance of a context; each centre draws its own from 1..window.
      negatives: noise words of one pair.
      power: of the counts in the noise distribution.
      block: consecutive centres that one matrix product scores.
      shared: noise words drawn for a block.
      overlap: whether a block reads `window` words of its neighbours, so that every pair is there once. Otherwise pairs
        are those within a block, the text is cut at a random place, and each pair is weighted by the inverse of its
        chance to be in one block: the same expectation from fewer rows.
      replicas: copies of the tables that train apart on a share of the texts and are reconciled after each step
        (`ops/adasum.py`): two keep two cores busy. A power of two, and a multiple of the number of devices.

    Raises:
      OptionError: one of them is out of its range.
    """

    objective: str = "negative_sampling"
    window: int = 5
    negatives: int = 5
    power: float = 0.75
    block: int = 32
    shared: int = 32
    overlap: bool = True
    replicas: int = 1

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise OptionError("objective", f"{self.objective!r} is unknown: choose {' or '.join(OBJECTIVES)}")
        for field in ("window", "negatives", "block", "shared", "replicas"):
            if getattr(self, field) < 1:
                raise OptionError(field, f"is {getattr(self, field)}: it must be at least 1")
        if self.replicas & (self.replicas - 1):
            raise OptionError("replicas", f"is {self.replicas}: it must be a power of two")
        if not self.overlap and self.block <= self.window:
            raise OptionError("block", f"is {self.block}: without overlap it must exceed the window")

    @property
    def halo(self) -> int:
        """Words that a block reads on each side."""
        return self.window if self.overlap else 0


class SkipGram(nn.Module):
    """W and W', with word2vec.c's initial values: W ~ U(+-0.5 / dim), W' = 0.

    Attributes:
      vocabulary: rows of each table.
      dim: of a vector.
    """

    vocabulary: int
    dim: int = 100

    def setup(self) -> None:
        bound = 0.5 / self.dim
        uniform = nn.initializers.uniform(2 * bound)
        shape = (self.vocabulary, self.dim)
        self.words = self.param("words", lambda key, s: uniform(key, s, jnp.float32) - jnp.float32(bound), shape)
        self.contexts = self.param("contexts", nn.initializers.zeros, shape, jnp.float32)

    def __call__(self, centre: Int[Array, "b l"], context: Int[Array, "b m"]) -> Float[Array, "b l m"]:
        """The score of each centre with each context."""
        return score(self.words[centre], self.contexts[context])


@jax.custom_vjp
def score(words: Float[Array, "b l d"], contexts: Float[Array, "b m d"]) -> Float[Array, "b l m"]:
    """w'_m . w_l for rows that are there already: one matrix product a block."""
    return jnp.einsum("bld,bmd->blm", words, contexts)


def _score_gradient(rows, change):
    words, contexts = rows
    # Turned by itself: a product along the outer axis of `change` takes XLA:CPU half as long again.
    turned = lax.optimization_barrier(jnp.swapaxes(change, 1, 2))
    return jnp.einsum("blm,bmd->bld", change, contexts), jnp.einsum("bml,bld->bmd", turned, words)


score.defvjp(lambda words, contexts: (score(words, contexts), (words, contexts)), _score_gradient)


def noise_table(counts: Int[Array, " v"], power: float, size: int) -> Int[Array, " n"]:
    """The noise distribution count^power as a table to draw from evenly, as word2vec.c does.

    Args:
      counts: how often each word occurs.
      power: 0.75 in the paper.
      size: entries; a word's probability is exact to one part in `size`.
    """
    weight = jnp.power(counts.astype(jnp.float32), jnp.float32(power))
    share = jnp.cumsum(weight) / jnp.sum(weight)
    middle = (jnp.arange(size, dtype=jnp.float32) + 0.5) / size
    return jnp.minimum(jnp.searchsorted(share, middle), counts.shape[0] - 1).astype(jnp.int32)


def draw(table: Int[Array, " n"], key: jax.Array, shape: tuple[int, ...]) -> Int[Array, " *shape"]:
    """Words drawn from a `noise_table` whose size is a power of two."""
    spare = 33 - table.shape[0].bit_length()
    at = jax.random.bits(key, shape) >> jnp.uint32(spare)
    return table.at[at.astype(jnp.int32)].get(mode="promise_in_bounds")
