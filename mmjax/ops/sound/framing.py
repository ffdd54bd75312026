"""Frames of a signal, and signals from frames.

Where a frame overlaps the next, the samples are read as blocks of one hop that neighbouring frames share: slices and
one concatenation, which compilers turn into plain copies. A gather by index does the same several times slower and
is only used where a frame spans so many hops that the slices would be more than the program.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from mmjax.errors import UserError
from mmjax.ops import platform

BLOCKS = 32  # hops in a frame above which frames are gathered by index
SHORTEST = 8  # frames in a chunk, lest a large batch be taken frame by frame
PHASES = 8  # hops in a frame above which the program that takes the phases one by one would be long
CHUNK = 2**21  # samples of frames that a CPU makes at a time: 8 MB, which its caches hold


def count(samples: int, length: int, hop: int) -> int:
    """How many frames fit into so many samples; no frame is padded."""
    return 0 if samples < length else 1 + (samples - length) // hop


def frame(x: Float[Array, "*b time"], length: int, hop: int) -> Float[Array, "*b frames length"]:
    """Cuts frames of `length` samples every `hop` samples; what is left at the end is dropped.

    Args:
      x: [... time].
      length: samples of a frame, 1..time.
      hop: samples from one frame to the next, at least 1; may be more than `length`.

    Returns:
      [... frames length], frames = 1 + (time - length) // hop.

    Raises:
      UserError: fewer samples than one frame.
    """
    samples = x.shape[-1]
    if length < 1 or hop < 1:
        raise UserError(f"frames of {length} samples every {hop}: both must be at least 1")
    if samples < length:
        raise UserError(f"{samples} samples are fewer than one frame of {length}: pad the signal, or use center=True")
    frames, blocks = count(samples, length, hop), -(-length // hop)
    if blocks > BLOCKS:
        return x[..., np.arange(frames)[:, None] * hop + np.arange(length)]
    x = resized(x, (frames + blocks - 1) * hop)
    x = x.reshape(*x.shape[:-1], frames + blocks - 1, hop)
    shifted = [x[..., i : i + frames, :] for i in range(blocks)]
    return jnp.concatenate(shifted, axis=-1)[..., :length]


def overlap_add(frames: Float[Array, "*b frames length"], hop: int) -> Float[Array, "*b time"]:
    """Adds frames `hop` samples apart: the transpose of `frame`.

    Args:
      frames: [... frames length].
      hop: samples from one frame to the next.

    Returns:
      [... time], time = length + hop (frames - 1).
    """
    *batch, n, length = frames.shape
    samples, blocks = length + hop * (n - 1), -(-length // hop)
    if blocks > BLOCKS:
        index = np.arange(n)[:, None] * hop + np.arange(length)
        return jnp.zeros((*batch, samples), frames.dtype).at[..., index].add(frames)
    parts = resized(frames, blocks * hop).reshape(*batch, n, blocks, hop)
    still = [(0, 0, 0)] * len(batch)
    zero = jnp.zeros((), frames.dtype)

    def moved(x, before, after):
        if platform.real_only():  # an exporter may know no lax.pad of any number of rows
            none = jnp.zeros_like(x[..., :1, :])
            return jnp.concatenate([*[none] * before, x, *[none] * after], -2)
        return lax.pad(x, zero, [*still, (before, after, 0), (0, 0, 0)])

    shifted = [moved(parts[..., i, :], i, blocks - 1 - i) for i in range(blocks)]
    total = sum(shifted[1:], shifted[0])  # [... n + blocks - 1, hop]
    return total.reshape(*batch, (n + blocks - 1) * hop)[..., :samples]


def resized(x: Float[Array, "*b time"], samples: int) -> Float[Array, "*b samples"]:
    """Cuts the end off, or appends zeros, to get so many samples."""
    missing = samples - x.shape[-1]
    if missing <= 0:
        return x[..., :samples]
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])


def padded(x: Float[Array, "*b time"], width: int, mode: str) -> Float[Array, "*b time+2*width"]:
    """Pads `width` samples at both ends by "constant" (zeros), "reflect" or "edge".

    Raises:
      UserError: "reflect" by as many samples as there are, or more.
    """
    if width == 0:
        return x
    if mode == "reflect" and width >= x.shape[-1]:
        raise UserError(
            f"pad_mode='reflect' needs more than the {width} samples that it mirrors, here are {x.shape[-1]}: "
            f"use pad_mode='constant', a smaller n_fft or a longer signal"
        )
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(width, width)], mode=mode)


def map_frames(
    function: Callable[[Float[Array, "n frames length"]], Float[Array, "n frames out"]],
    x: Float[Array, "n time"],
    length: int,
    hop: int,
) -> Float[Array, "n frames out"]:
    """`function(frame(x, length, hop))` for a function of each frame alone, without ever holding all frames on a CPU.

    Overlapping frames are several times the signal and their spectra as much again: more than a CPU's caches, so that
    memory, not arithmetic, sets the pace. There the frames are made and used up in chunks of time. Within a chunk the
    frames that do not overlap, every p-th where a frame spans p hops, are taken together: they are the rows of the
    signal as it lies in memory, so that no copy is made before the function's own first product. For 16 clips of 5 s
    this takes two fifths of the time of all frames at once. The batch axis stays whole, so that a batch spread over
    devices stays where it is. Accelerators take everything at once.
    """
    frames, batch = count(x.shape[-1], length, hop), x.shape[0]
    known = max(1, batch) if isinstance(batch, int) else 1  # a program that is exported for any batch size
    size = max(SHORTEST, CHUNK // (length * known))  # frames in a chunk
    if frames <= max(SHORTEST, size // 4):  # little to gain
        return function(frame(x, length, hop))
    hops = -(-length // hop)
    phases = hops if hops <= PHASES else 1
    step = phases * hop  # from one frame of a phase to the next
    rows = -(-size // phases)
    chunks = -(-frames // (rows * phases))
    rows = -(-frames // (chunks * phases))
    span = (rows - 1) * step + (phases - 1) * hop + max(length, step)  # samples of a chunk

    def at_once(x):
        return function(frame(x, length, hop))

    def rows_of(piece, r):
        if step < length:
            return frame(piece, length, hop)
        return piece[:, r * hop : r * hop + rows * step].reshape(piece.shape[0], rows, step)[..., :length]

    def in_chunks(x):
        x = resized(x, (chunks - 1) * rows * step + span)

        def chunk(i):
            piece = lax.dynamic_slice_in_dim(x, i * (rows * step), span, axis=1)
            return jnp.stack([function(rows_of(piece, r)) for r in range(phases)], axis=2)  # [n rows phases out]

        pieces = jnp.moveaxis(lax.map(chunk, jnp.arange(chunks)), 0, 1)  # [n chunks rows phases out]
        return pieces.reshape(x.shape[0], chunks * rows * phases, pieces.shape[-1])[:, :frames]

    return platform.dependent(x, cpu=in_chunks, default=at_once)
