"""cIoU under both protocols of many maps at once, in NumPy: for maps that are at hand, such as another's.

The figures are those of `protocols`, and less is computed than a published evaluator does: no map is sorted. Some of
its pixels tell near which value a threshold lies, and only the pixels that lie there are put in order. All of a map
stays in the cache until it is scored.

One core scores; several need several processes, for operations are so short that threads wait for each other. Nothing
here imports JAX, so that a process starts quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mmjax.metrics.localisation.resizing import SIZE, resizing

PART = 128  # maps that are handed out at once: twelve milliseconds
CHUNK = 32  # maps of which the rows and the samples are made at once
ROWS, COLUMNS = slice(2, None, 5), slice(2, None, 4)  # of the pixels that tell where thresholds lie: one in twenty
FARTHER = 6  # places of these: a threshold is looked for so far beyond what they say; of 800 one lay beyond that


def scores(
    maps: Float[np.ndarray, "n h w"],
    boxes: Float[np.ndarray, "n k 4"],
    where: Bool[np.ndarray, "n k"],
    how: str = "corners",
    votes: bool = False,
    each: Callable[[Callable[..., Any], Iterable[Any]], Iterable[Any]] = map,
) -> dict[str, Float[np.ndarray, " n"]]:
    """ "ciou" at the median and "ciou_adaptive" of each map, 0..1, as `protocols.scores`, for `protocols.figures`.

    Args:
      maps: float32, of any resolution, finite. Only their order matters.
      boxes: ymin, xmin, ymax, xmax, 0..1 of the picture.
      where: which of them count.
      how: see `grid.resized`.
      votes: whether the truth is `grid.votes` of the boxes, and not `grid.union`.
      each: (function, its arguments one by one) -> the results in order: that of a pool of processes has several cores.

    Raises:
      ValueError: another `how`.
    """
    edges = np.floor(np.clip(boxes, 0, 1) * np.float32(SIZE)).astype(int)
    slices = [slice(start, start + PART) for start in range(0, len(maps), PART)]
    found = each(_scored, [(maps[part], edges[part], where[part], how, votes) for part in slices])
    ciou = np.concatenate([np.zeros((0, 2)), *found])
    return {"ciou": ciou[:, 0], "ciou_adaptive": ciou[:, 1]}


def _scored(part: tuple[np.ndarray, np.ndarray, np.ndarray, str, bool]) -> Float[np.ndarray, "n 2"]:
    """cIoU at the median and adaptive of maps, the edges of their boxes, which of these count, how and votes."""
    maps, edges, where, how, votes = part
    n, found = SIZE * SIZE, np.zeros((len(maps), 2))
    ranks, boxes, counts = _Ranks(n), edges.tolist(), where.tolist()
    for i, (pixels, sample) in enumerate(_resized(maps, how)):
        own = [box for box, there in zip(boxes[i], counts[i], strict=True) if there]
        layers = [_inside(pixels, own, least) for least in ((1, 2) if votes else (1,))]
        whole, area = sum(size for _, size in layers), layers[0][1]  # of votes twice the truth, and of all below
        for j, (rank, marks) in enumerate(((n - n // 2, np.greater_equal), (area or n // 2, np.greater))):
            limit, marked = ranks.of(pixels.reshape(-1), sample, rank, marks)
            hits = [int(np.count_nonzero(marks(inside, limit))) for inside, _ in layers]
            found[i, j] = sum(hits) / max(whole + len(layers) * (marked - hits[0]), 1)
    return found


def _resized(maps: Float[np.ndarray, "n h w"], how: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pixels [s s] of each map, in the place of those of the last one, and some of them, ascending."""
    rows, columns = (resizing(size, SIZE, how) for size in maps.shape[1:])
    if maps.shape[1:] == (SIZE, SIZE):
        yield from ((pixels, np.sort(pixels[ROWS, COLUMNS], None)) for pixels in maps)
        return
    pixels = np.empty((SIZE, SIZE), np.float32)
    right, few, across = map(np.ascontiguousarray, (columns.T, columns[COLUMNS].T, rows[ROWS]))  # as BLAS is fast at
    for start in range(0, len(maps), CHUNK):
        chunk = maps[start : start + CHUNK]
        samples = np.sort((across @ chunk @ few).reshape(len(chunk), -1), -1)
        for stretched, sample in zip(rows @ chunk, samples, strict=True):
            yield np.matmul(stretched, right, out=pixels), sample


def _inside(pixels: Float[np.ndarray, "s s"], boxes: Sequence[Sequence[int]], least: int) -> tuple[np.ndarray, int]:
    """The pixels that are in at least so many boxes, perhaps among others that are -inf, and how many they are."""
    tops, lefts, bottoms, rights = zip(*boxes, strict=True) if boxes else [(0,)] * 4
    top, left, bottom, right = min(tops), min(lefts), max(bottoms), max(rights)
    inside = pixels[top:bottom, left:right]
    if len(boxes) == least == 1:
        return inside.ravel(), inside.size
    marks = np.zeros(pixels.shape, np.uint8)
    for box in boxes:
        marks[box[0] : box[2], box[1] : box[3]] += 1
    there = marks[top:bottom, left:right] >= least
    return np.where(there, inside, np.float32(-np.inf)), int(np.count_nonzero(there))


class _Ranks:
    """Finds pixels by their rank, in room that is used again.

    Args:
      n: pixels, a multiple of 8.
    """

    def __init__(self, n: int):
        self.n, self.masks = n, (np.empty(n, bool), np.empty(n, bool))
        self.words = [mask.view(np.uint64) for mask in self.masks]

    def of(
        self, pixels: Float[np.ndarray, " n"], sample: Float[np.ndarray, " m"], rank: int, marks: np.ufunc
    ) -> tuple[float, int]:
        """The value of a rank, 1 being the largest, and how many pixels are marked by it.

        All pixels are compared with a number of the sample, and then with another, as far beyond the rank as the first
        one was off, and somewhat farther: few pixels lie between.

        Args:
          pixels: finite.
          sample: of the same distribution, ascending.
          rank: 1..n.
          marks: np.greater_equal, or np.greater.
        """
        m = len(sample)
        at = m - 1 - rank * m // self.n
        np.greater_equal(pixels, sample[at], out=self.masks[0])
        reach = int(np.count_nonzero(self.masks[0]))
        over = reach - rank
        apart = FARTHER + abs(over) * 5 * m // (4 * self.n)
        other = min(at + apart, m - 1) if over >= 0 else max(at - apart, 0)
        np.greater_equal(pixels, sample[other], out=self.masks[1])
        np.bitwise_xor(self.words[0], self.words[1], out=self.words[0])
        near = pixels[self.masks[0]]
        if not -len(near) <= over < len(near):  # the sample misled, or many pixels are equal
            value = np.partition(pixels, self.n - rank)[self.n - rank]
            return value, int(np.count_nonzero(marks(pixels, value)))
        near.partition(over)
        above = reach - len(near) if over >= 0 else reach
        return near[over], above + int(np.count_nonzero(marks(near, near[over])))
