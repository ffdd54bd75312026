"""ABX: whether what is said tells two utterances apart, and not who says it (Schatz et al. 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mmjax.ops import dynamic_time_warping
from mmjax.ops.vectors import unit

TERMS = (  # of `angle`, the highest power first
    *(-0.0012624911, 0.0066700901, -0.0170881256, 0.0308918810),
    *(-0.0501743046, 0.0889789874, -0.2145988016, 1.5707963050),
)


TOGETHER = 2**26  # costs that are warped as one batch at most: 256 MB


class Frames(NamedTuple):
    """Utterances as vectors of frames, and how many of them are real."""

    vectors: Float[Array, "b t d"]
    steps: Int[Array, " b"]


def margin(x: Frames, same: Frames, other: Frames) -> Float[Array, " b"]:
    """d(X, B) - d(X, A) of triples: X and A say the same, B says something else. Below 0 is an error, 0 half a one.

    d is the mean angle, in 0..1, along the best path of dynamic time warping: ZeroSpeech's measure for vectors. Of
    one-hot vectors the angle is 1/2 where codes differ.

    Args:
      x, same, other: X, A and B.
    """
    return margins([(x, same, other)])[0]


def margins(triples: Sequence[tuple[Frames, Frames, Frames]]) -> list[Float[Array, " b"]]:
    """`margin` of several lists of triples (X, A, B), each of as many rows.

    Pairs whose costs have one shape are warped as one batch: the path is a loop, which is compiled, and waited for,
    once and not for each list.
    """
    pairs = [pair for x, same, other in triples for pair in ((x, other), (x, same))]
    costs = [_costs(one, two) for one, two in pairs]
    alike: dict[tuple[int, ...], list[int]] = {}
    for position, cost in enumerate(costs):
        alike.setdefault(cost.shape, []).append(position)
    found: dict[int, Array] = {}
    for (b, n, m), positions in alike.items():
        most = max(1, TOGETHER // (b * n * m))
        for start in range(0, len(positions), most):
            some = positions[start : start + most]
            # Stacked behind the rows, which may be split over devices: each keeps its own.
            cost, first, second = (
                jnp.stack(parts, 1).reshape(b * len(some), *parts[0].shape[1:])
                for parts in (
                    [costs[i] for i in some],
                    [pairs[i][0].steps for i in some],
                    [pairs[i][1].steps for i in some],
                )
            )
            far = dynamic_time_warping.distance(cost, first, second).reshape(b, len(some))
            found |= {position: far[:, i] for i, position in enumerate(some)}
    return [found[2 * i] - found[2 * i + 1] for i in range(len(triples))]


def _costs(one: Frames, two: Frames) -> Float[Array, "b n m"]:
    """The angles between the frames of pairs of utterances, row by row."""
    cosine = jnp.einsum("bnd,bmd->bnm", unit(one.vectors), unit(two.vectors), precision=lax.Precision.HIGHEST)
    return angle(cosine)


def angle(cosine: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """arccos / pi, 0..1, of what rounding may have put outside -1..1.

    By Abramowitz and Stegun 1964, formula 4.4.46, whose error is at most 2e-8 radians: four times as fast as arccos,
    which would take half of the time of ABX.
    """
    size = jnp.minimum(jnp.abs(cosine), 1.0)
    found = jnp.full_like(size, TERMS[0])
    for term in TERMS[1:]:
        found = found * size + term
    found = found * jnp.sqrt(1.0 - size) / jnp.pi
    return jnp.where(cosine < 0, 1.0 - found, found)


def error(margins: Float[Array, " n"]) -> Float[Array, " n"]:
    """1 for a triple that is wrong, 1/2 for one that is undecided."""
    return jnp.where(margins < 0, 1.0, jnp.where(margins == 0, 0.5, 0.0))
