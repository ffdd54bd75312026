"""Vectors as numbers of codes: a codebook that follows its vectors by moving averages, and jitter in time."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from mmjax.ops import collective
from mmjax.ops.nearest import nearest


class Quantised(NamedTuple):
    """Vectors as codes.

    Attributes:
      vectors: the codes' in the place of the given ones; gradients pass as if nothing had happened.
      codes: their numbers.
      commitment: the mean square of a vector's distance from its code, whose gradient moves the vector.
    """

    vectors: Float[Array, "b t d"]
    codes: Int[Array, "b t"]
    commitment: Float[Array, "b t"]


class Quantiser(nn.Module):
    """The nearest of a codebook's vectors (van den Oord et al. 2017, "Neural Discrete Representation Learning", A.1).

    Each code is the moving mean of the vectors that chose it: N <- decay N + (1 - decay) n, m <- decay m +
    (1 - decay) sum, e = m / N, as in ResDAVEnet-VQ, whose sums are over a batch's real frames. A code that nothing
    chooses stays where it began. `revive` moves such a code to a vector of the batch (Dhariwal et al. 2020, "Jukebox",
    restarts them likewise); it is 0 in ResDAVEnet-VQ.

    The codebook is in "state", and so are its sums; nothing in "params".

    Attributes:
      codes: k.
      decay, epsilon: of the averages; epsilon keeps N above 0.
      deviation: of the codes that it begins with, normally distributed.
      mass: N that it begins with.
      revive: a code whose N falls below this share of the mean N is revived, with the mean N; 0 for never.
    """

    codes: int
    decay: float = 0.99
    epsilon: float = 1e-8
    deviation: float = 1.0
    mass: float = 1.0
    revive: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t d"], where: Bool[Array, "b t"], follow: Bool[Array, ""] | bool | None = None
    ) -> Quantised:
        """Quantises vectors; any float dtype, computed in float32.

        Args:
          x: the vectors.
          where: which of them are real: the others move no code.
          follow: whether the codebook follows them, in which case "state" must be mutable and, with `revive`, there is
            a key "revive"; may be traced. None at inference.
        """
        wide = x.astype(jnp.float32)
        start = (self.codes, x.shape[-1])
        book = self.variable("state", "codebook", lambda: self._begin(start))
        sums = self.variable("state", "sums", lambda: self.mass * book.value)
        counts = self.variable("state", "counts", lambda: jnp.full(self.codes, self.mass, jnp.float32))
        found = nearest(lax.stop_gradient(wide), book.value)
        vectors = book.value[found]
        commitment = jnp.mean(jnp.square(vectors - wide), -1)
        if follow is not None and not self.is_initializing():
            new = self._followed(lax.stop_gradient(wide), found, where, counts.value, sums.value)
            for variable, value in zip((counts, sums, book), new, strict=True):
                variable.value = jnp.where(follow, value, variable.value)
        through = wide + lax.stop_gradient(vectors - wide)
        return Quantised(through.astype(x.dtype), found, commitment)

    def _begin(self, shape: tuple[int, int]) -> Float[Array, "k d"]:
        key = self.make_rng("params") if self.is_initializing() else jax.random.key(0)
        return self.deviation * jax.random.normal(key, shape, jnp.float32)

    def _followed(self, x, found, where, counts, sums):
        """N, m and e after a batch."""
        chosen = jnp.where(where[..., None], jax.nn.one_hot(found, self.codes, dtype=jnp.float32), 0.0)
        chosen, flat = chosen.reshape(-1, self.codes), x.reshape(-1, x.shape[-1])
        count = collective.total(jnp.sum(chosen, 0))
        total = collective.total(jnp.matmul(chosen.T, flat, precision=lax.Precision.HIGHEST))
        counts = self.decay * counts + (1 - self.decay) * count
        mass = jnp.sum(counts)
        counts = (counts + self.epsilon) / (mass + self.codes * self.epsilon) * mass
        sums = self.decay * sums + (1 - self.decay) * total
        if self.revive:
            mean = mass / self.codes
            dead = counts < self.revive * mean
            drawn = _drawn(self.make_rng("revive"), x, where, self.codes)
            sums = jnp.where(dead[:, None], drawn * mean, sums)
            counts = jnp.where(dead, mean, counts)
        return counts, sums, sums / counts[:, None]


def _drawn(key, x, where, number):
    """Vectors of all devices' real frames, drawn by lot; the same on every device."""
    x, where = collective.everywhere((x, where))
    x, where = x.reshape(-1, x.shape[-1]), where.reshape(-1)
    at = jax.random.categorical(key, jnp.where(where, 0.0, -1e9), shape=(number,))
    return x[at]


def jitter(key: Key[Array, ""], x: Float[Array, "b t d"], share: float) -> Float[Array, "b t d"]:
    """Each step as its left or its right neighbour, each with the probability `share`, the same in all rows.

    Chorowski et al. 2019, "Unsupervised Speech Representation Learning Using WaveNet Autoencoders". The official code
    of ResDAVEnet-VQ adds 0, 1 or 2 to a step's number where -1, 0 or 1 are meant: there all is also moved by a step in
    training and not at inference. Here it is not.
    """
    steps = x.shape[1]
    chance = jax.random.uniform(key, (steps,))
    move = jnp.where(chance < share, -1, jnp.where(chance < 2 * share, 1, 0))
    return x[:, jnp.clip(jnp.arange(steps) + move, 0, steps - 1)]
