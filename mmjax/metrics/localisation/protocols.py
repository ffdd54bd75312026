"""How well a map says where a sound comes from: cIoU under both of the field's protocols, pointing, pixel AP.

cIoU of the marked pixels m and the truth g (0, 1, or 0.5 where one of three annotators has marked) is

    sum m g / (sum g + sum m [g = 0])

(Senocak et al. 2018, "Learning to Localize Sound Source in Visual Scenes", eq. 8). What is printed as "cIoU" is the
share of pictures where it is at least 0.5; AUC is the area under that share over the thresholds 0, 0.05, ..., 1.

Which pixels are marked is the protocol.

* At the median (hche11/Localizing-Visual-Sounds-the-Hard-Way, stoneMo/EZ-VSL, stoneMo/SLAVC): those that are at least
  sort(map)[n // 2]. Without ties that is half the picture, however large the truth is: half of VGG-SS's boxes are
  smaller than a quarter of it, and no map without ties can be right there. Ties at the threshold are marked, as EZ-VSL
  and SLAVC do (LVS leaves out the pixel at the threshold), so that a map that is everywhere alike marks everything.
* Adaptive (kaistmm/SSLalignment): those above sort(map)[n - a] where a pixels of the truth are not 0: one less than a
  without ties, and no pixel of a map that is everywhere alike.

A picture without truth (a negative) scores 0 everywhere: leave it out with `where`, see `negatives`.
"""

from __future__ import annotations

import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.metrics.localisation import grid
from mmjax.ops import lanes, order

THRESHOLDS = np.arange(21, dtype=np.float32) / 20
BLOCK = 4  # pixels on the side of what pixel AP ranks
FIELD = 5  # bits, see `_sums`: room for 2 * lanes.PIECES
Scores = dict[str, Array]


def scores(maps: Float[Array, "b h w"], truth: Float[Array, "b s s"], how: str = "corners", ap: bool = True) -> Scores:
    """What each map is worth, [b] each, all 0..1.

    Args:
      maps: of any resolution, larger where the sound is more likely to come from; no NaN. Only their order matters.
      truth: `grid.union` or `grid.votes`: multiples of a half.
      how: see `grid.resized`.
      ap: whether to compute pixel AP, which is half of the work.

    Returns:
      "ciou" at the median and "ciou_adaptive"; "pointing": whether the largest pixel lies in a box (of several equal
      ones the share that does, which is what picking one at random expects); "pixel_ap".
    """
    size = truth.shape[-1]
    pixels = grid.resized(maps, size, how).reshape(len(maps), -1)
    flat = truth.reshape(len(truth), -1)
    found = _counted(order.keys(jnp.where(pixels == 0, 0.0, pixels)), flat)  # -0 is not less than 0
    if ap:
        cells = (size // BLOCK, size // BLOCK)
        blocks = [grid.pooled(x.reshape(truth.shape), cells).reshape(len(maps), -1) for x in (pixels, flat)]
        found["pixel_ap"] = average_precision(blocks[0], blocks[1] >= 0.5)
    return found


def _counted(keys: Int[Array, "b n"], truth: Float[Array, "b n"]) -> Scores:
    """ "ciou", "ciou_adaptive" and "pointing" of pixels that have these `order.keys`."""
    n, there = keys.shape[-1], (truth != 0).astype(jnp.int32)
    beside, twice = (1 - there) << FIELD, (2 * truth).astype(jnp.int32)
    whole, area = _sums(twice + (there << FIELD))
    wanted = jnp.where(area == 0, n // 2, area)  # where there is no truth, as many as half
    limits = order.kth_key(keys, jnp.stack([jnp.full_like(area, n - n // 2), wanted], -1))
    best = jnp.max(lanes.joined(jnp.maximum, lanes.pieces(keys, order.LEAST)), -1, keepdims=True)

    def counted(marked: Bool[Array, "b n"], right: Int[Array, "b n"]) -> list[Float[Array, " b"]]:
        return [x.astype(jnp.float32) for x in _sums(jnp.where(marked, right + beside, 0))]

    hits, off = counted(keys >= limits[:, :1], twice)
    hits_adaptive, off_adaptive = counted(keys > limits[:, 1:], twice)
    inside, outside = counted(keys == best, there)
    twice_whole = whole.astype(jnp.float32)
    return {
        "ciou": hits / jnp.maximum(twice_whole + 2 * off, 1.0),
        "ciou_adaptive": hits_adaptive / jnp.maximum(twice_whole + 2 * off_adaptive, 1.0),
        "pointing": inside / jnp.maximum(inside + outside, 1.0),
    }


def _sums(pairs: Int[Array, "b n"]) -> tuple[Int[Array, " b"], Int[Array, " b"]]:
    """The sum of the lower FIELD bits of each number, and of the higher ones, in one pass; neither is more than 2."""
    lane = lanes.joined(jnp.add, lanes.pieces(pairs, 0))  # of so few that nothing is carried
    return jnp.sum(lane & ((1 << FIELD) - 1), -1), jnp.sum(lane >> FIELD, -1)


def area_under(values: Float[Array, " b"]) -> Float[Array, " b"]:
    """What each cIoU adds to AUC: the trapezoidal rule over the 21 thresholds, so that AUC is their mean."""
    weights = np.full(len(THRESHOLDS), 0.05, np.float32)
    weights[[0, -1]] /= 2
    return (values[:, None] >= THRESHOLDS[None]).astype(jnp.float32) @ weights


def average_precision(values: Float[Array, "b n"], truth: Bool[Array, "b n"]) -> Float[Array, " b"]:
    """Average precision of each row's ranking: the mean over true places of the precision down to their value.

    Equal values are one step, as scikit-learn has it, so that a constant row has the share of true places; 0 without
    any. `scores` ranks the means over blocks of 4 x 4 pixels, true where at least half of the block is.
    """
    ranked = jnp.argsort(-values, -1)
    values, truth = (jnp.take_along_axis(x, ranked, -1) for x in (values, truth))
    n = values.shape[-1]
    hits = jnp.cumsum(truth.astype(jnp.float32), -1)
    ends = jnp.concatenate([values[:, 1:] != values[:, :-1], jnp.ones((len(values), 1), bool)], -1)
    # The last place of each run of equals, seen from any place in it.
    last = lax.cummin(jnp.where(ends, jnp.arange(n, dtype=jnp.int32)[None], n), 1, reverse=True)
    precision = jnp.take_along_axis(hits, last, -1) / (last + 1).astype(jnp.float32)
    return jnp.sum(precision, -1, where=truth) / jnp.maximum(hits[:, -1], 1.0)


def figures(found: Scores, where: Bool[Array, " b"], suffix: str = "") -> dict[str, tuple[Array, Array]]:
    """(total, count) of "ciou", "auc", "ciou_adaptive", "auc_adaptive" and all else of `scores`, named with a suffix.

    Args:
      found: from `scores`, or from `trivial`.
      where: the pictures that count: those with truth.
      suffix: such as "/disc".
    """
    named = {}
    for name, values in found.items():
        if name.startswith("ciou"):
            named[name] = (values >= 0.5).astype(jnp.float32)
            named[name.replace("ciou", "auc")] = area_under(values)
        else:
            named[name] = values
    count = jnp.sum(where, dtype=jnp.float32)
    return {f"{name}{suffix}": (jnp.sum(values, where=where), count) for name, values in named.items()}
