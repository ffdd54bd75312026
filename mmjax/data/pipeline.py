"""From a source to batches: shuffled and endless for training, in order and padded for evaluation.

Position = step: the training stream is a function of (seed, step), so a resumed run needs no iterator state, and any
number of processes sees the same global batch (each takes its slice after batching).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import grain
import numpy as np
from PIL import Image

from mmjax.data import Source
from mmjax.errors import UserError

TRACKS = ("waveform", "stems", "ambience")  # of one clip: cropped at the same place
PICTURES = ("image", "pair", "frames", "face", "face_frames")
RATE = 22_050
ORDERS = ("permutation", "hash")
# Below so many examples a permutation is drawn for each epoch. grain's shuffle computes a place at a time and tries
# about 20,000 / examples times for each: a batch of 32 takes 250 ms of 2 examples, and is at 0.6 ms from 4,000 on.
SMALL = 1000


@dataclasses.dataclass(frozen=True)
class Fit:
    """Gives every example of a source the same shapes, and its lengths.

    Attributes:
      clip_seconds: `waveform` is cropped or zero-padded to this, and so is what it is the sum of; 0 leaves it as it
        is. (What is tied to a time axis, as `speech` is to `unit_times`, comes from its data set padded and with its
        length.)
      pixels: pictures are resized to this square; 0 leaves them as they are.
    """

    clip_seconds: float = 0.0
    pixels: int = 0

    def __call__(self, example: dict[str, Any], rng: np.random.Generator | None = None) -> dict[str, Any]:
        """Crops at random with `rng`, at the start without."""
        out = dict(example)
        tracks = {name: np.asarray(example[name]) for name in TRACKS if name in example}
        if tracks:
            cropped, length = self._sound(tracks, rng)
            out |= cropped
            if "waveform" in tracks:
                out["waveform_length"] = length
        for name in PICTURES:
            if name in example and self.pixels:
                out[name] = _resize(example[name], self.pixels)
        return out

    def _sound(
        self, tracks: dict[str, np.ndarray], rng: np.random.Generator | None
    ) -> tuple[dict[str, np.ndarray], np.int32]:
        """Tracks [... time] of one clip and the length that is no padding."""
        time = next(iter(tracks.values())).shape[-1]
        target = round(self.clip_seconds * RATE) or time
        surplus = time - target
        start = int(rng.integers(surplus + 1)) if rng is not None and surplus > 0 else 0
        length = min(time, target)
        missing = target - length
        cropped = {name: track[..., start : start + target] for name, track in tracks.items()}
        padded = {name: np.pad(t, [(0, 0)] * (t.ndim - 1) + [(0, missing)]) for name, t in cropped.items()}
        return padded, np.int32(length)


def _resize(picture: np.ndarray, pixels: int) -> np.ndarray:
    if picture.shape[-3:-1] == (pixels, pixels):
        return picture
    flat = picture.reshape(-1, *picture.shape[-3:])
    # Bilinear with Pillow's antialiasing, as the published vision networks' own preprocessing.
    small = [np.asarray(Image.fromarray(p).resize((pixels, pixels), Image.Resampling.BILINEAR)) for p in flat]
    return np.stack(small).reshape(*picture.shape[:-3], pixels, pixels, 3)


class _Visit(grain.transforms.RandomMap):
    """One example, drawn anew at each visit where the source can (`draw`: word2vec's subsampling)."""

    def __init__(self, source: Source, fit: Fit):
        self.source, self.fit = source, fit
        self.draw = getattr(source, "draw", None)

    def random_map(self, element, rng):
        example = self.draw(int(element), rng) if self.draw else self.source[int(element)]
        return self.fit(np_example(example), rng)


@functools.lru_cache(maxsize=8)
def _permutation(examples: int, seed: int, epoch: int) -> np.ndarray:
    """An order of so many examples. A bit generator's raw numbers are the same in every version of NumPy."""
    return np.argsort(np.random.PCG64((seed, epoch)).random_raw(examples), kind="stable")


@dataclasses.dataclass(frozen=True)
class _Permuted:
    """The example at a position of the endless stream, each epoch in an order of its own."""

    examples: int
    seed: int

    def __call__(self, position: int, _: int) -> int:
        epoch, place = divmod(position, self.examples)
        return int(_permutation(self.examples, self.seed, epoch)[place])


def train_batches(
    source: Source,
    batch_size: int,
    seed: int,
    start: int,
    process: tuple[int, int] = (0, 1),
    workers: int = 0,
    threads: int = 2,
    prefetch: int = 4,
    clip_seconds: float = 0.0,
    pixels: int = 0,
    order: str = "permutation",
) -> Iterator[dict[str, Any]]:
    """The endless training stream from step `start` on: this process's rows of each global batch.

    Args:
      source: random-access examples.
      batch_size: of the global batch, over all processes.
      seed: of the order and of the crops.
      start: the step to begin with.
      process: (index, count) of this process.
      workers: processes that prepare examples; 0 uses threads of this process.
      threads: that read ahead.
      prefetch: batches held ready.
      clip_seconds, pixels: see `Fit`.
      order: of the examples, another one in each epoch. "permutation" draws one where there are fewer than SMALL;
        "hash" is grain's shuffle of each index for any number, the order of runs of edition 1.

    Yields:
      {field: array [batch_size / processes, ...]} with `valid` all True.

    Raises:
      UserError: examples differ in shape, so that they cannot be stacked; an unknown order.
    """
    if order not in ORDERS:
        raise UserError(f"config.loader.order {order!r} is unknown: choose {', '.join(ORDERS)}")
    index, count = process
    stream = grain.MapDataset.range(len(source)).seed(seed)
    if order == "permutation" and len(source) < SMALL:
        stream = stream.repeat().map_with_index(_Permuted(len(source), seed))
    else:
        stream = stream.shuffle().repeat()
    stream = stream.random_map(_Visit(source, Fit(clip_seconds, pixels)))
    stream = stream.batch(batch_size // count, drop_remainder=True, batch_fn=stack)[index::count][start:]
    ahead = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=prefetch)
    iterable = stream.to_iter_dataset(ahead)
    if workers:
        iterable = iterable.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    return iter(iterable)


def eval_batches(
    source: Source,
    batch_size: int,
    examples: int = 0,
    process: tuple[int, int] = (0, 1),
    workers: int = 0,
    threads: int = 2,
    prefetch: int = 4,
    clip_seconds: float = 0.0,
    pixels: int = 0,
    order: str = "permutation",
) -> Iterator[dict[str, Any]]:
    """One pass in order over the first `examples` (0 = all): the last batch is padded and masked by `valid`.

    Arguments and what is yielded are those of `train_batches`.
    """
    del workers, order  # a pass is short, and in order: starting processes would cost more than they give
    index, count = process
    rows = batch_size // count
    total = min(examples or len(source), len(source))
    # Rows beyond the end repeat the last example, so that every process sees every batch and every shape is the same.
    padded = -(-total // batch_size) * batch_size
    fit = Fit(clip_seconds, pixels)

    def example(position: int) -> dict[str, Any]:
        batch, row = divmod(position, rows)
        at = batch * batch_size + index * rows + row
        return fit(np_example(source[min(at, total - 1)])) | {"valid": np.bool_(at < total)}

    stream = grain.MapDataset.range(padded // count).map(example).batch(rows, batch_fn=stack)
    return iter(stream.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=prefetch)))


def np_example(example: dict[str, Any]) -> dict[str, Any]:
    """Bytes become str, numbers become arrays: whatever a reader gave, batches look the same."""
    return {k: v.decode("utf-8", "replace") if isinstance(v, bytes) else v for k, v in example.items()}


def stack(examples: list[dict[str, Any]]) -> dict[str, Any]:
    """Examples -> one batch; text becomes an object array; `valid` is added where it is missing."""
    batch: dict[str, Any] = {}
    for name, first in examples[0].items():
        column = [example[name] for example in examples]
        if isinstance(first, str | list | tuple):  # text, or several texts, not as many in each example
            batch[name] = np.empty(len(column), object)
            for row, value in enumerate(column):
                batch[name][row] = value
            continue
        shapes = {np.shape(value) for value in column}
        if len(shapes) > 1:
            field = "clip_seconds" if name in TRACKS else "pixels"
            raise UserError(
                f"{name} differs in shape between examples, e.g. {sorted(shapes)[:2]}: set config.loader.{field}"
            )
        batch[name] = np.stack([np.asarray(value) for value in column])
    batch.setdefault("valid", np.ones(len(examples), bool))
    return batch
