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
from jaxtyping import Array, Bool, Float

from mmjax.metrics.localisation import grid
from mmjax.ops import order

THRESHOLDS = np.arange(21, dtype=np.float32) / 20
BLOCK = 4  # pixels on the side of what pixel AP ranks
Scores = dict[str, Array]


def scores(maps: Float[Array, "b h w"], truth: Float[Array, "b s s"], how: str = "corners", ap: bool = True) -> Scores:
    """What each map is worth, [b] each, all 0..1.

    Args:
      maps: of any resolution, larger where the sound is more likely to come from; no NaN. Only their order matters.
      truth: `grid.union` or `grid.votes`.
      how: see `grid.resized`.
      ap: whether to compute pixel AP, which is half of the work.

    Returns:
      "ciou" at the median and "ciou_adaptive"; "pointing": whether the largest pixel lies in a box (of several equal
      ones the share that does, which is what picking one at random expects); "pixel_ap".
    """
    size = truth.shape[-1]
    pixels = grid.resized(maps, size, how).reshape(len(maps), -1)
    flat = truth.reshape(len(truth), -1)
    marked, kept = marks(pixels, flat)
    best = pixels == jnp.max(pixels, -1, keepdims=True)
    found = {"ciou": ciou(marked.reshape(truth.shape), truth), "ciou_adaptive": ciou(kept.reshape(truth.shape), truth)}
    found["pointing"] = _share(best, flat > 0)
    if ap:
        cells = (size // BLOCK, size // BLOCK)
        blocks = [grid.pooled(x.reshape(truth.shape), cells).reshape(len(maps), -1) for x in (pixels, flat)]
        found["pixel_ap"] = average_precision(blocks[0], blocks[1] >= 0.5)
    return found


def marks(pixels: Float[Array, "b n"], truth: Float[Array, "b n"]) -> tuple[Bool[Array, "b n"], Bool[Array, "b n"]]:
    """The marked pixels at the median, and of the adaptive protocol (as many as half where there is no truth)."""
    n = pixels.shape[-1]
    area = jnp.sum(truth != 0, -1, dtype=jnp.int32)
    area = jnp.where(area == 0, n // 2, area)
    limits = order.kth_largest(pixels, jnp.stack([jnp.full_like(area, n - n // 2), area], -1))
    return pixels >= limits[:, :1], pixels > limits[:, 1:]


def ciou(marked: Bool[Array, "b h w"], truth: Float[Array, "b h w"]) -> Float[Array, " b"]:
    """See the head of this file; 0 where neither the truth nor the map marks anything."""
    hit, beside = _total(jnp.where(marked, truth, 0.0)), _total(jnp.where(marked & (truth == 0), 1.0, 0.0))
    return hit / jnp.maximum(_total(truth) + beside, 1e-9)


def _total(values: Float[Array, "b h w"]) -> Float[Array, " b"]:
    return jnp.sum(jnp.sum(values, 1), 1)  # by columns first, which XLA:CPU does many at a time


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


def _share(of: Bool[Array, "b n"], inside: Bool[Array, "b n"]) -> Float[Array, " b"]:
    """The share of some pixels that lie inside others."""
    return jnp.sum(of & inside, -1, dtype=jnp.float32) / jnp.maximum(jnp.sum(of, -1, dtype=jnp.float32), 1.0)


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
