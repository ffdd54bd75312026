"""Does a picture show what its caption names? A classifier's scores against the classes that words stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def named(tokens: Int[Array, "b t"], length: Int[Array, " b"], words: Int[Array, " c"]) -> Bool[Array, "b c"]:
    """Which classes a caption names; `words` are the numbers of the classes' words, -1 for none."""
    where = jnp.arange(tokens.shape[1])[None] < length[:, None]
    same = (tokens[:, :, None] == words[None, None]) & where[..., None] & (words >= 0)[None, None]
    return jnp.any(same, 1)


def right(scores: Float[Array, "b c"], wanted: Bool[Array, "b c"]) -> Bool[Array, " b"]:
    """Whether the k classes that are wanted are those of the k largest scores; ties are wrong."""
    rank = jnp.sum(scores[:, None] >= scores[:, :, None], -1)  # 1 is the first
    count = jnp.sum(wanted, 1, keepdims=True)
    return jnp.all((rank <= count) | ~wanted, 1) & (count[:, 0] > 0)


def chance(wanted: Bool[Array, "b c"]) -> Float[Array, " b"]:
    """What random scores expect of `right`: 1 / C(c, k)."""
    classes = wanted.shape[1]
    table = jnp.asarray([1.0 / math.comb(classes, k) for k in range(classes + 1)], jnp.float32)
    return table[jnp.sum(wanted, 1)]


def with_baselines(
    name: str,
    scores: Mapping[str, Mapping[str, Float[Array, "b c"]]],
    wanted: Mapping[str, Bool[Array, "b c"]],
    where: Bool[Array, " b"],
    valid: Bool[Array, " b"],
) -> dict[str, tuple[Any, Any]]:
    """{figure: (total, count)} of what pictures show against what their captions name, with its baselines.

    Args:
      name: of the figure.
      scores: {"drawn", "real"} of each head: {head: {which: scores}}.
      wanted: by head; an example is right if it is for each head.
      where: whose captions name something of each head.
      valid: no padding.
    """

    def hits(which: str, rolled: int) -> Array:
        own = {head: jnp.roll(rows, rolled, 0) for head, rows in wanted.items()}
        return jnp.all(jnp.stack([right(scores[head][which], own[head]) for head in wanted]), 0)

    shuffled = where & valid & jnp.roll(where & valid, 1, 0)
    expected = math.prod([chance(rows) for rows in wanted.values()], start=jnp.float32(1))
    values = {
        name: (hits("drawn", 0), where & valid),
        f"{name}/shuffled_captions": (hits("drawn", 1), shuffled),
        f"{name}/chance": (expected, where & valid),
        f"{name}/real_pictures": (hits("real", 0), where & valid),
    }
    sums = {k: jnp.sum(v, where=counted, dtype=jnp.float32) for k, (v, counted) in values.items()}
    return {k: (sums[k], jnp.sum(counted, dtype=jnp.float32)) for k, (_, counted) in values.items()}
