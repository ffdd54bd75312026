"""Retrieval over whole splits: ranks by inner product, computed in blocks on the device, and the field's protocols.

The whole q x g matrix is never held. `metrics.retrieval` does the same on the host from a matrix of any similarity, and
is the reference of the tests.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.metrics import retrieval

BLOCK = 256  # queries at a time: a product of this height runs at full speed, and its scores stay in a CPU's cache
GALLERY = 16_384  # items at a time: at most 16 MB of scores
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


def ranks(
    queries: Float[Array, "q d"],
    gallery: Float[Array, "g d"],
    query_ids: Int[np.ndarray, "q c"],
    gallery_ids: Int[np.ndarray, "g e"],
    block: int = BLOCK,
) -> Int[np.ndarray, " q"]:
    """The ranks of `ranked` alone."""
    return ranked(queries, gallery, query_ids, gallery_ids, block).rank


def ranked(
    queries: Float[Array, "q d"],
    gallery: Float[Array, "g d"],
    query_ids: Int[np.ndarray, "q c"],
    gallery_ids: Int[np.ndarray, "g e"],
    block: int = BLOCK,
    gallery_block: int = GALLERY,
) -> Ranked:
    """Rank of each query's best relevant item by inner product in float32, 1 being the first; ties count against us.

    An item is relevant that shares an id with the query: a caption has the id of its text, a picture those of all its
    captions. One that is not relevant and is as similar as the best relevant one stands before it, and so does one
    whose similarity is NaN, as in `retrieval.ranks`.

    Args:
      queries, gallery: vectors, of length 1 where cosines are meant.
      query_ids, gallery_ids: their ids; negative for none.
      block, gallery_block: queries and items at a time. A gallery of several blocks costs a second matrix product.

    Raises:
      ValueError: shapes do not agree, or a query has no relevant item.
    """
    shapes = [np.shape(x) for x in (queries, query_ids, gallery, gallery_ids)]
    if shapes[0][1] != shapes[2][1] or shapes[0][0] != shapes[1][0] or shapes[2][0] != shapes[3][0]:
        raise ValueError(f"shapes of queries, their ids, the gallery and its ids do not agree: {shapes}")
    gallery_block = min(gallery_block, -(-len(gallery) // block) * block)  # galleries of nearly one size: one program
    query_ids, gallery_ids = _numbered(query_ids, gallery_ids)
    found = _ranked(
        _blocks(jnp.asarray(queries, jnp.float32), block),
        _blocks(query_ids, block, _NONE[0]),
        _blocks(jnp.asarray(gallery, jnp.float32), gallery_block),
        _blocks(gallery_ids, gallery_block, _NONE[1]),
        _blocks(np.ones(len(gallery), bool), gallery_block),
    )
    rank, relevant = (np.asarray(x).reshape(-1)[: len(queries)].astype(np.int64) for x in found)
    if not relevant.all():
        raise ValueError(f"query {int(np.argmin(relevant))} has no relevant item among {len(gallery)}")
    return Ranked(rank, relevant, len(gallery))


def _numbered(query_ids, gallery_ids):
    """Both sides' ids as int32 numbers, however large they are."""
    flat = np.concatenate([np.ravel(query_ids), np.ravel(gallery_ids)])
    numbers = np.unique(flat, return_inverse=True)[1].reshape(-1).astype(np.int32)
    parts = np.split(numbers, [np.size(query_ids)])
    sides = zip((query_ids, gallery_ids), parts, _NONE)
    return [np.where(np.asarray(ids) < 0, np.int32(none), part.reshape(np.shape(ids))) for ids, part, none in sides]


def _blocks(x, size, fill=0):
    """[n ...] -> [blocks size ...], the last one filled up."""
    library = np if isinstance(x, np.ndarray) else jnp
    short = -len(x) % size
    padded = library.pad(x, [(0, short)] + [(0, 0)] * (x.ndim - 1), constant_values=fill)
    return padded.reshape(-1, size, *x.shape[1:])


@jax.jit
def _ranked(
    queries: Float[Array, "m b d"],
    query_ids: Int[Array, "m b c"],
    gallery: Float[Array, "k s d"],
    gallery_ids: Int[Array, "k s e"],
    where: Bool[Array, "k s"],
) -> tuple[Int[Array, "m b"], Int[Array, "m b"]]:
    """Rank and number of relevant items of each query; items that are not `where` are padding."""
    size = queries.shape[1]
    none = jnp.zeros(size, jnp.int32)

    def of_block(block):
        start = (jnp.full(size, -jnp.inf, jnp.float32), none)
        best, relevant = _sweep(functools.partial(_best, *block), start, (gallery, gallery_ids, where))
        before = _sweep(functools.partial(_before, *block, best), none, (gallery, gallery_ids, where))
        return 1 + before, relevant

    return lax.map(of_block, (queries, query_ids))


def _sweep(body, start, parts):
    """Folds `body` over the blocks of the gallery. One block needs no loop: the compiler then computes scores once."""
    if len(parts[0]) == 1:
        return body(start, *(x[0] for x in parts))
    return lax.scan(lambda carry, part: (body(carry, *part), None), start, parts)[0]


def _best(queries, query_ids, carry, items, item_ids, where):
    """Similarity of the best relevant item so far, and the number of relevant ones."""
    best, count = carry
    scores, relevant = _compare(queries, query_ids, items, item_ids)
    here = jnp.max(jnp.where(relevant & ~jnp.isnan(scores), scores, -jnp.inf), 1)
    return jnp.maximum(best, here), count + jnp.sum(relevant, 1, dtype=jnp.int32)


def _before(queries, query_ids, best, count, items, item_ids, where):
    """The number of items so far that stand before the best relevant one."""
    scores, relevant = _compare(queries, query_ids, items, item_ids)
    ahead = ~relevant & ~(scores < best[:, None]) & where[None]
    return count + jnp.sum(ahead, 1, dtype=jnp.int32)


def _compare(queries, query_ids, items, item_ids):
    """Scores and relevance, [b s] both. HIGHEST: accelerators would round the factors, and ranks with them."""
    scores = lax.dot_general(queries, items, (((1,), (1,)), ((), ())), precision=lax.Precision.HIGHEST)
    return scores, jnp.any(query_ids[:, None, :, None] == item_ids[None, :, None, :], (2, 3))


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
    for both pictures. With an id for each b this is the classical protocol, in which only the own one is.

    The whole split has the plain names: "image_to_caption_r@1", ... Of at least 5,000 examples also "..._1k_r@1": the
    mean over five folds of 1,000 examples with their b's, in the order of the split, the "1K" of VSE++ (Faghri et al.
    2018) and of Karpathy and Fei-Fei 2015 on COCO. Of more than 5,000 also "..._5k_r@1", of the first 5,000; on
    Karpathy's test split of 5,000 the plain names are the papers' "5K".

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
    folds = [slice(_FOLD * i, _FOLD * (i + 1)) for i in range(_FOLDS)]
    each = [_of_split(names, one[f], many[f], own[f], "_1k") for f in folds if (own[f] >= 0).any()]
    found |= {name: float(np.mean([fold[name] for fold in each])) for name in (each or [{}])[0]}
    if len(one) > _FOLD * _FOLDS and each:
        first = slice(_FOLD * _FOLDS)
        found |= _of_split(names, one[first], many[first], own[first], "_5k")
    return found


def _of_split(names, a, b, ids, protocol=""):
    """Both directions' figures of one gallery."""
    present = ids >= 0
    some = present.any(1)
    items, item_ids = b[present], ids[present][:, None]
    there, back = (f"{one}_to_{other}{protocol}" for one, other in (names, names[::-1]))
    return figures(there, ranked(a[some], items, ids[some], item_ids)) | figures(back, ranked(items, a, item_ids, ids))
