"""Attention that knows where it looked: location-sensitive attention (Chorowski et al. 2015, section 2.2)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.models.blocks import shared_scan

NEVER = -1e9  # the energy of a padded symbol: its weight is exactly 0, and no row is not a number


class Memory(NamedTuple):
    """What a sentence leaves behind: its symbols' vectors, their half of the attention, and which are real."""

    vectors: Float[Array, "b u e"]
    keys: Float[Array, "b u a"]
    where: Bool[Array, "b u"]


def weights(energy: Float[Array, "b u"], where: Bool[Array, "b u"]) -> Float[Array, "b u"]:
    """Softmax over the real symbols of each row, float32; 0 in the padding."""
    return jax.nn.softmax(jnp.where(where, energy.astype(jnp.float32), NEVER))


def uses(window: int) -> dict[str, shared_scan.Use]:
    """What a step does with what all steps share, for `shared_scan`: {name: (shared, x) -> y}.

    Args:
      window: symbols that the convolution sees, k.

    Returns:
      "attend" and "query": (kernel, x) -> x @ kernel.
      "score": ((keys [b u a], location [2k a], v [a]), (query [b a], looked [b u], total [b u])) -> energies [b u],
        v . tanh(key + query + location @ what stands around the place in looked and total).
      "mix": (vectors [b u e], weights [b u]) -> [b e].
    """

    def score(shared, x):
        (keys, location, kernel), (query, looked, total) = shared, x
        around = jnp.concatenate([windows(looked, window), windows(total, window)], -1)  # b u 2k
        return jnp.tanh(keys + query[:, None] + around @ location) @ kernel

    def mix(vectors, weights):
        return jnp.einsum("bu,bue->be", weights, vectors)

    return {
        "attend": shared_scan.PRODUCT,
        "query": shared_scan.PRODUCT,
        "score": shared_scan.Use(score, shared_scan.summed(score)),
        "mix": shared_scan.Use(mix, lambda _, xs, dys: jnp.einsum("sbu,sbe->bue", xs, dys)),
    }


def windows(x: Float[Array, "b u"], size: int) -> Float[Array, "b u k"]:
    """The `size` values around each place, zeros beyond the ends."""
    padded = jnp.pad(x, ((0, 0), (size // 2, size // 2)))
    return jnp.stack([padded[:, i : i + x.shape[1]] for i in range(size)], -1)
