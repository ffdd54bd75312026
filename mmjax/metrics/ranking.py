"""Retrieval over whole splits: ranks by inner product, computed in blocks on the device, and the field's protocols.

The whole matrix of similarities is never held, and one matrix product serves both directions. `metrics.retrieval` does
the same on the host from a matrix of any similarity, and is the reference of the tests.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
import scipy.sparse
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.metrics import retrieval

BLOCK = 512  # rows of each side at a time: products of 512 x 512 run at full speed, their scores stay in a CPU's cache
_FOLD, _FOLDS = 1_000, 5
_NONE = (-1, -2)  # for "no id": one number a side, so that none is never equal to none


class Ranked(NamedTuple):
    """Queries against a gallery.

    Attributes:
      rank: of each query's best relevant item, 1 being the first.
      relevant: how many items are relevant to each query: what chance depends on.
      gallery: number of items.
    """

    rank: Int[np.ndarray, " q"]
    relevant: Int[np.ndarray, " q"]
    gallery: int


class Side(NamedTuple):
    """One side in blocks: vectors [m s d], ids [m s c], and where they are not padding [m s]."""

    vectors: Float[Array, "m s d"]
    ids: Int[Array, "m s c"]
    where: Bool[Array, "m s"]


def ranks(
    queries: Float[Array, "q d"],
    gallery: Float[Array, "g d"],
    query_ids: Int[np.ndarray, "q c"],
    gallery_ids: Int[np.ndarray, "g e"],
    block: int = BLOCK,
) -> Int[np.ndarray, " q"]:
    """Rank of each query's best relevant item: the first direction of `ranked`.

    Raises:
      ValueError: shapes do not agree, or a query has no relevant item.
    """
    found = ranked(queries, gallery, query_ids, gallery_ids, block)[0]
    if not found.relevant.all():
        raise ValueError(f"query {int(np.argmin(found.relevant))} has no relevant item among {len(gallery)}")
    return found.rank


def ranked(
    a: Float[Array, "n d"],
    b: Float[Array, "m d"],
    a_ids: Int[np.ndarray, "n c"],
    b_ids: Int[np.ndarray, "m e"],
    block: int = BLOCK,
) -> tuple[Ranked, Ranked]:
    """Both sides as queries to the other, by inner product in float32; ties count against us.

    An item is relevant that shares an id with the query: a caption has the id of its text, a picture those of all its
    captions. One that is not relevant and is as similar as the best relevant one stands before it, and so does one
    whose similarity is NaN, as in `retrieval.ranks`. A query without a relevant item stands behind everything else.

    Args:
      a, b: vectors, of length 1 where cosines are meant.
      a_ids, b_ids: their ids; negative for none.
      block: rows of each side at a time.

    Returns:
      of a in the gallery b, and of b in the gallery a.

    Raises:
      ValueError: shapes do not agree.
    """
    shapes = [np.shape(x) for x in (a, a_ids, b, b_ids)]
    if shapes[0][1] != shapes[2][1] or shapes[0][0] != shapes[1][0] or shapes[2][0] != shapes[3][0]:
        raise ValueError(f"shapes of a, its ids, b and its ids do not agree: {shapes}")
    numbers = _numbered(a_ids, b_ids)
    sides = [
        Side(
            _blocks(jnp.asarray(x, jnp.float32), block),
            _blocks(ids, block, none),
            _blocks(np.ones(len(x), bool), block),
        )
        for x, ids, none in zip((a, b), numbers, _NONE)
    ]
    meetings, count = _meetings(*(np.asarray(side.ids) for side in sides))
    rank, relevant = _both(*sides, meetings, count)
    flat = [[np.asarray(x).reshape(-1).astype(np.int64) for x in found] for found in (rank, relevant)]
    return (
        Ranked(flat[0][0][: len(a)], flat[1][0][: len(a)], len(b)),
        Ranked(flat[0][1][: len(b)], flat[1][1][: len(b)], len(a)),
    )


def _numbered(a_ids, b_ids):
    """Both sides' ids as int32 numbers, however large they are."""
    flat = np.concatenate([np.ravel(a_ids), np.ravel(b_ids)])
    numbers = np.unique(flat, return_inverse=True)[1].reshape(-1).astype(np.int32)
    parts = np.split(numbers, [np.size(a_ids)])
    sides = zip((a_ids, b_ids), parts, _NONE)
    return [np.where(np.asarray(ids) < 0, np.int32(none), part.reshape(np.shape(ids))) for ids, part, none in sides]


def _blocks(x, size, fill=0):
    """[n ...] -> [blocks size ...], the last one filled up."""
    library = np if isinstance(x, np.ndarray) else jnp
    short = -len(x) % size
    padded = library.pad(x, [(0, short)] + [(0, 0)] * (x.ndim - 1), constant_values=fill)
    return padded.reshape(-1, size, *x.shape[1:])


def _meetings(a_ids: Int[np.ndarray, "m s c"], b_ids: Int[np.ndarray, "k s e"]) -> tuple[Int[np.ndarray, "p 2"], int]:
    """The pairs of blocks that share an id, filled up to all pairs, and how many they are."""
    most = max(a_ids.max(), b_ids.max()) + 1
    holds = []
    for ids in (a_ids, b_ids):
        block, *_ = np.nonzero(ids >= 0)
        held = (np.ones(len(block), np.int32), (block, ids[ids >= 0]))
        holds.append(scipy.sparse.csr_matrix(held, shape=(len(ids), max(most, 1))))
    meetings = np.stack((holds[0] @ holds[1].T).nonzero(), 1).astype(np.int32)
    return np.pad(meetings, ((0, len(a_ids) * len(b_ids) - len(meetings)), (0, 0))), len(meetings)


@jax.jit
def _both(a: Side, b: Side, meetings: Int[Array, "p 2"], count: Int[Array, ""]):
    """((ranks of a [m s], of b [k s]), (numbers of relevant items, likewise))."""
    best, relevant = _best(a, b, meetings, count)

    def row(before_b, own):
        block, best_a = own

        def column(before_a, other):
            items, best_b = other
            scores, match = _compare(block, items)
            ahead = ~match & ~(scores < best_a[:, None]) & items.where[None]
            behind = ~match & ~(scores < best_b[None]) & block.where[:, None]
            return before_a + jnp.sum(ahead, 1, dtype=jnp.int32), jnp.sum(behind, 0, dtype=jnp.int32)

        before_a, more = lax.scan(column, jnp.zeros(best_a.shape, jnp.int32), (b, best[1]))
        return before_b + more, before_a

    before_b, before_a = lax.scan(row, jnp.zeros(b.where.shape, jnp.int32), (a, best[0]))
    return (1 + before_a, 1 + before_b), relevant


def _best(a, b, meetings, count):
    """Similarity of each one's best relevant item, -inf where there is none, and the number of relevant ones.

    Only blocks that share an id are compared: as a rule those near the diagonal, a small part of the whole.
    """

    def meet(n, carry):
        (best_a, best_b), (count_a, count_b) = carry
        i, j = meetings[n]
        scores, match = _compare(jax.tree.map(lambda x: x[i], a), jax.tree.map(lambda x: x[j], b))
        scores = jnp.where(match & ~jnp.isnan(scores), scores, -jnp.inf)
        best = best_a.at[i].max(jnp.max(scores, 1)), best_b.at[j].max(jnp.max(scores, 0))
        counts = (count_a.at[i].add(jnp.sum(match, 1, dtype=jnp.int32)), jnp.sum(match, 0, dtype=jnp.int32))
        return best, (counts[0], count_b.at[j].add(counts[1]))

    start = tuple(jnp.full(x.where.shape, -jnp.inf, jnp.float32) for x in (a, b))
    none = tuple(jnp.zeros(x.where.shape, jnp.int32) for x in (a, b))
    return lax.fori_loop(0, count, meet, (start, none))


def _compare(one: Side, other: Side) -> tuple[Float[Array, "s s"], Bool[Array, "s s"]]:
    """Scores and relevance of two blocks. A pair that is compared twice must have the same score, to the last bit.

    Hence HIGHEST, for accelerators would round the factors, and the barrier: the product is alike wherever it is used.
    """
    scores = lax.dot_general(one.vectors, other.vectors, (((1,), (1,)), ((), ())), precision=lax.Precision.HIGHEST)
    match = jnp.any(one.ids[:, None, :, None] == other.ids[None, :, None, :], (2, 3))
    return lax.optimization_barrier(scores), match


def figures(name: str, found: Ranked) -> dict[str, float]:
    """R@1, R@5, R@10, median and mean rank of one direction, each beside its expectation under random scores.

    The median is np.median's; code descended from VSE++ rounds it down.

    Args:
      name: of the direction: "image_to_caption" gives "image_to_caption_r@1" and "image_to_caption_r@1/chance".
      found: of `ranked`.
    """
    reached = retrieval.chance_reached(found.gallery, found.relevant)
    values = {f"r@{k}": (np.mean(found.rank <= k), reached[min(k, found.gallery) - 1]) for k in (1, 5, 10)}
    values["median_rank"] = np.median(found.rank), retrieval.median_of(reached)
    # The best of r items in random order stands at (g + 1) / (r + 1).
    values["mean_rank"] = np.mean(found.rank), np.mean((found.gallery + 1) / (found.relevant + 1))
    pairs = {f"{name}_{figure}": pair for figure, pair in values.items()}
    return {k: float(v) for figure, pair in pairs.items() for k, v in zip((figure, f"{figure}/chance"), pair)}


def both_ways(
    names: tuple[str, str],
    a: Float[Array, "n d"],
    b: Float[Array, "n c d"] | Float[Array, "n d"],
    ids: Int[np.ndarray, "n c"] | Int[np.ndarray, " n"],
) -> dict[str, float]:
    """The figures of both directions, under the protocols that the size of the split allows.

    Every b is a query of its own, as every caption is in the literature; an a is found by the best of its b's. What
    has an equal id is relevant too: two pictures with the same caption are both right for it, and so is either's copy
    for both pictures. With an id for each b only the own one is.

    The whole split has the plain names: "image_to_caption_r@1", ... Of at least 5,000 examples also the protocols of
    Karpathy and Fei-Fei 2015 and VSE++ (Faghri et al. 2018) on COCO, in which only the own one is right, whatever the
    ids: "..._5k_r@1", of the first 5,000, and "..._1k_r@1", the mean over five folds of 1,000 of them with their b's,
    in the order of the split.

    Args:
      names: of the two sides: ("image", "caption").
      a: one vector an example; where similarity is the inner product.
      b: one or several an example; whatever stands where its id is negative does not count.
      ids: of the b's. An example without any b is no query, but stays in the gallery.

    Raises:
      ValueError: shapes do not agree, or no example has a b.
    """
    one, many, own = np.asarray(a), np.asarray(b), np.asarray(ids)
    many = many[:, None] if many.ndim == 2 else many
    own = own[:, None] if own.ndim == 1 else own
    if len(one) != len(many) or many.shape[:2] != own.shape:
        raise ValueError(f"a has {len(one)} examples, b is {many.shape} and the ids are {own.shape}")
    if not (own >= 0).any():
        raise ValueError(f"no example has a {names[1]}")
    found = _of_split(names, one, many, own)
    if len(one) < _FOLD * _FOLDS:
        return found
    own = np.where(own >= 0, np.arange(own.size).reshape(own.shape), -1)  # as published: only the own one is right
    folds = [slice(_FOLD * i, _FOLD * (i + 1)) for i in range(_FOLDS)]
    each = [_of_split(names, one[f], many[f], own[f], "_1k") for f in folds if (own[f] >= 0).any()]
    found |= {name: float(np.mean([fold[name] for fold in each])) for name in (each or [{}])[0]}
    first = slice(_FOLD * _FOLDS)
    return found | (_of_split(names, one[first], many[first], own[first], "_5k") if each else {})


def _of_split(names, a, b, ids, protocol=""):
    """Both directions' figures of one gallery."""
    present = ids >= 0
    items = b.reshape(-1, b.shape[-1]) if present.all() else b[present]  # a copy would cost a tenth of the time
    back, there = ranked(items, a, ids[present][:, None], ids)
    some = present.any(1)
    there = Ranked(there.rank[some], there.relevant[some], there.gallery)
    one, two = (f"{one}_to_{other}{protocol}" for one, other in (names, names[::-1]))
    return figures(one, there) | figures(two, back)
