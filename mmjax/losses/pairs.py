"""All pairs of two sides of a batch: row i of one side against every row of the other, on whichever device it lies.

Losses over all pairs are folds over blocks of columns. Without a block size there is one block, the whole b x B
matrix. With one, a scan holds b x block values at a time and computes them anew for the gradient, which costs one more
matrix product in four: then neither pass holds the matrix. Rows stay where the batch is split; columns are gathered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.errors import OptionError
from mmjax.ops import collective

Carry = TypeVar("Carry")
NOTHING = -1e30  # the score of what does not count: exp gives 0, and 0 * NOTHING is 0 where 0 * -inf is NaN


class Side(NamedTuple):
    """One modality of a batch.

    Attributes:
      z: what the scores are made of: arrays [b ...], float32, 0 where an example does not count.
      group: [b k], examples match each other that have any of k numbers in common: of several captions of one image all
        have its number, and pictures with one caption have that of the caption.
      where: [b], False for examples that do not count.
      number: [b], the example's place in the batch of all devices.
    """

    z: Any
    group: Int[Array, "b k"]
    where: Bool[Array, " b"]
    number: Int[Array, " b"]


def sides(
    first: Any, second: Any, group: Int[Array, "b ..."] | None = None, where: Bool[Array, " b"] | None = None
) -> tuple[Side, Side]:
    """Both sides of a batch of pairs.

    Args:
      first, second: trees of arrays [b ...], any float dtype; row i of one belongs to row i of the other.
      group: [b] or [b k], see `Side`; the same on all devices, as numbers of what they hold are. None: each pair is its
        own.
      where: False for pairs that do not count, whatever they hold. None: all count.
    """
    size = len(jax.tree.leaves(first)[0])
    number = collective.numbers(size)
    group = (number if group is None else jnp.asarray(group)).reshape(size, -1)
    where = jnp.ones(size, bool) if where is None else jnp.asarray(where)
    # Masked before any product: a NaN in the padding must not reach the gradient either.
    first, second = jax.tree.map(lambda x: keep(x.astype(jnp.float32), where), (first, second))
    return Side(first, group, where, number), Side(second, group, where, number)


def keep(x: Float[Array, "b ..."], where: Bool[Array, " b"]) -> Float[Array, "b ..."]:
    """x, but 0 in the rows that do not count."""
    return jnp.where(where.reshape(-1, *[1] * (x.ndim - 1)), x, 0.0)


def everyone(side: Side) -> Side:
    """The rows of all devices, [b/d ...] -> [b ...], on every device. Gradients flow back to where they came from."""
    return collective.everywhere(side)


def fold(
    body: Callable[[Carry, Side, Side], Carry], start: Carry, own: Side, columns: Side, block: int | None = None
) -> Carry:
    """body(... body(body(start, own, columns[:block]), own, columns[block:2 block]) ...).

    Args:
      body: (carry, own, some of the columns) -> carry, of a form that does not depend on how the columns are cut.
      start: the carry, [b] or a tree of such.
      own: b rows.
      columns: of `everyone`, B rows.
      block: columns at a time; None: all at once. It need not divide B.

    Raises:
      OptionError: a block of no columns.
    """
    size = len(columns.where)
    if block is not None and block < 1:
        raise OptionError("block", f"is {block}: it must be 1 or more columns, or None for all at once")
    if block is None or block >= size:
        return body(start, own, columns)
    count = -(-size // block)

    def cut(x):
        x = jnp.pad(x, [(0, count * block - size)] + [(0, 0)] * (x.ndim - 1))  # `where` with False
        return x.reshape(count, block, *x.shape[1:])

    # A scan's body is not merged with its gradient's, so that the barrier against it would only cost time.
    step = jax.checkpoint(lambda carry, part: (body(carry, own, part), None), prevent_cse=False)
    return lax.scan(step, start, jax.tree.map(cut, columns))[0]


def same(own: Side, columns: Side) -> Bool[Array, "b k"]:
    """Which columns match which row: those of a group of its, its own among them."""
    return _met(own, columns) & columns.where[None]


def apart(own: Side, columns: Side) -> Bool[Array, "b k"]:
    """Which columns are negatives of which row: those of other groups."""
    return ~_met(own, columns) & columns.where[None]


def _met(own: Side, columns: Side) -> Bool[Array, "b k"]:
    return jnp.any(own.group[:, None] == columns.group[None], -1)


def dot(a: Float[Array, "b d"], b: Float[Array, "k d"]) -> Float[Array, "b k"]:
    """Inner products of all pairs.

    In full float32 also where the device would round the factors: with TF32's ten bits, cosines err by 1e-3, and a
    scale of 100 makes 0.1 nats of that.
    """
    return jnp.einsum("bd,kd->bk", a, b, precision=lax.Precision.HIGHEST)


def squared_distance(a: Float[Array, "b d"], b: Float[Array, "k d"]) -> Float[Array, "b k"]:
    """|a - b|^2 of all pairs, >= 0, by one matrix product."""
    return jnp.maximum(jnp.sum(a * a, 1)[:, None] + jnp.sum(b * b, 1)[None] - 2.0 * dot(a, b), 0.0)


def hardest(own: Side, columns: Side, block: int | None = None) -> tuple[Int[Array, " b"], Bool[Array, " b"]]:
    """The negative column with the largest inner product for each row, without gradient.

    Of equal ones the first in the batch, so that neither blocks nor devices change which one it is.

    Returns:
      its place among the columns, and whether the row has any negative.
    """

    def body(carry, own, columns):
        best, at = carry
        scores = jnp.where(apart(own, columns), dot(own.z, columns.z), NOTHING)
        first = jnp.argmax(scores, 1)
        found = jnp.take_along_axis(scores, first[:, None], 1)[:, 0]
        return jnp.maximum(best, found), jnp.where(found > best, columns.number[first], at)

    start = jnp.full(own.where.shape, NOTHING), jnp.zeros(own.where.shape, jnp.int32)
    best, at = fold(body, start, *lax.stop_gradient((own, columns)), block)
    return at, best > NOTHING
