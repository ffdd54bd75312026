"""Speech as numbers of units: frames, a network or none, and the nearest vectors of a codebook."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from mmjax.errors import OptionError
from mmjax.models.sound.resdavenet_vq import POSITIONS, Heard, ResDavenetVQ
from mmjax.ops.nearest import nearest
from mmjax.ops.sound.davenet_mel import DavenetMel

KINDS = ("quantiser", "kmeans")
FRAMES = 2  # position 0, log-mel frames, are taken at 20 ms as position 2 is


class Encoded(NamedTuple):
    """Utterances as codes, one a step: their numbers, -1 behind the last, their vectors, and how many are real."""

    codes: Int[Array, "b t"]
    vectors: Float[Array, "b t d"]
    steps: Int[Array, " b"]


@dataclasses.dataclass(frozen=True)
class UnitEncoder:
    """How utterances become codes; hashable, and equal by value.

    Attributes:
      frames: of log-mel.
      model: the network.
      position: where codes are read: 1..5 of the network, or 0 for log-mel itself.
      kind: whose codebook: the position's "quantiser", or "kmeans", which was fitted to it.
      clusters: of "kmeans".
    """

    frames: DavenetMel
    model: ResDavenetVQ
    position: int
    kind: str = "quantiser"
    clusters: int = 128

    def checked(self) -> UnitEncoder:
        """Itself; raises OptionError for what cannot be."""
        if self.kind not in KINDS:
            raise OptionError("kind", f"is {self.kind!r}: choose {' or '.join(map(repr, KINDS))}")
        if not 0 <= self.position <= POSITIONS:
            raise OptionError("position", f"is {self.position}: it must be from 0, log-mel, to {POSITIONS}")
        if self.kind == "quantiser" and self.position not in self.model.quantised:
            raise OptionError("position", f"is {self.position}: quantised are {tuple(self.model.quantised)}")
        if self.clusters < 1:
            raise OptionError("clusters", f"is {self.clusters}: it must be at least 1")
        return self

    @property
    def stride(self) -> int:
        """Frames from one code to the next."""
        return 2 ** (self.position - 1) if self.position else FRAMES

    @property
    def seconds(self) -> float:
        """From one code to the next."""
        return self.frames.hop * self.stride

    @property
    def codes(self) -> int:
        """How many there are at most."""
        return self.model.codes if self.kind == "quantiser" else self.clusters

    def hear(
        self, parts: Mapping[str, Any], speech: Num[Array, "b time"], length: Int[Array, " b"]
    ) -> tuple[Float[Array, "b t d"], Int[Array, " b"], Heard | None]:
        """The vectors of a position, how many are real, and all that the network heard; None of log-mel.

        Args:
          parts: {"params": .., "state": ..} of the network; not looked at for log-mel.
          speech: at 22,050 Hz.
          length: its samples that are real.
        """
        mel, count = self.frames(speech, length)
        if not self.position:
            return mel[:, ::FRAMES], -(-count // FRAMES), None
        own = {"params": parts["params"], "state": parts["state"]}
        heard: Any = self.model.apply(own, mel, count)
        vectors, where = heard.layers[self.position]
        return vectors.astype(jnp.float32), jnp.sum(where, 1).astype(jnp.int32), heard

    def __call__(self, parts: Mapping[str, Any], speech: Num[Array, "b time"], length: Int[Array, " b"]) -> Encoded:
        """The codes of utterances; `parts` as for `hear`, with "book", the codebook [k d]."""
        return self.encoded(parts["book"], *self.hear(parts, speech, length)[:2])

    def encoded(self, book: Float[Array, "k d"], vectors: Float[Array, "b t d"], count: Int[Array, " b"]) -> Encoded:
        """The nearest codes of a codebook to vectors, whoever made them."""
        codes = nearest(vectors, book)
        real = jnp.arange(codes.shape[1])[None] < count[:, None]
        return Encoded(jnp.where(real, codes, -1), book[codes], count)
