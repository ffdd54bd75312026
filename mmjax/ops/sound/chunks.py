"""Sounds of any length, in chunks that overlap: what is made of each fades into what is made of the next."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from mmjax.errors import UserError
from mmjax.ops.sound import framing


def overlap_added(
    process: Callable[[Float[Array, "b length"], Int[Array, ""]], Float[Array, "b n length"]],
    waveform: Float[Array, "b time"],
    length: int,
    overlap: int,
) -> Float[Array, "b n time"]:
    """What `process` makes of a sound, chunk by chunk: memory and compilation do not grow with the sound.

    Where chunks overlap, the earlier one fades out as the later one fades in, and their weights add up to 1; so a
    process that changes nothing gives the sound back.

    Args:
      process: of sounds of `length` samples, and of the sample with which they begin.
      waveform: of any length; a sound of `length` or less is one chunk.
      length: samples of a chunk.
      overlap: samples that it shares with the next, at most half of them.

    Raises:
      UserError: an overlap that is no such number.
    """
    if not 0 <= overlap <= length // 2:
        raise UserError(f"chunks of {length} samples overlap by {overlap}: it must be 0 to {length // 2}")
    time, hop = waveform.shape[-1], length - overlap
    count = 1 + max(0, -(-(time - length) // hop))
    padded = jnp.pad(waveform, [(0, 0), (0, (count - 1) * hop + length - time)])
    if count == 1:
        return process(padded, jnp.zeros((), jnp.int32))[..., :time]
    starts = jnp.arange(count, dtype=jnp.int32) * hop
    cut = lax.map(lambda at: process(lax.dynamic_slice_in_dim(padded, at, length, 1), at), starts)  # count b n length
    weights = np.ones((count, length), np.float32)
    ramp = ((np.arange(overlap) + 0.5) / max(overlap, 1)).astype(np.float32)
    weights[1:, :overlap] = ramp
    weights[:-1, length - overlap :] = 1 - ramp
    frames = jnp.moveaxis(cut, 0, 2) * jnp.asarray(weights)[None, None]  # b n count length
    b, n = frames.shape[:2]
    added = framing.overlap_add(frames.reshape(b * n, count, length), hop)
    return added.reshape(b, n, -1)[..., :time]
