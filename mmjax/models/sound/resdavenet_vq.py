"""ResDAVEnet-VQ: residual convolutions over speech, whose layers may be quantised (Harwath, Hsu and Glass 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.errors import OptionError
from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.sound.quantiser import Quantised, Quantiser, jitter

POSITIONS = 5  # behind the first layer and behind each of four stages
JITTERED = (1, 2)  # positions whose output is jittered in training, quantised or not


class Heard(NamedTuple):
    """What the network makes of utterances.

    Attributes:
      out: of the last stage, float32, one step for sixteen frames.
      where: which steps of it are real.
      layers: {position: (what was there before it was quantised, which steps are real)}.
      quantised: {position: `Quantised`} of the quantised ones.
    """

    out: Float[Array, "b u d"]
    where: Bool[Array, "b u"]
    layers: dict[int, tuple[Float[Array, "b t d"], Bool[Array, "b t"]]]
    quantised: dict[int, Quantised]


class ResDavenetVQ(nn.Module):
    """A layer over the bands of a frame, then four residual stages over time, each of which halves the rate.

    "Learning Hierarchical Discrete Linguistic Units from Visually-Grounded Speech", section 3.1, at the official code's
    sizes by default. Every utterance is heard as that network hears it alone: what lies behind it is 0 in each layer,
    as a convolution's own padding, and in no statistics. (The official code lets padding into both.)

    Attributes:
      widths: channels behind the first layer and of each stage.
      depths: residual blocks of each stage.
      kernel: steps that a convolution sees, odd.
      quantised: positions 1..5 that are: 1 has a step of 10 ms, 2 of 20 ms, 3 of 40 ms, ...
      codes: of each quantiser.
      revive, decay: of each quantiser, see `Quantiser`.
      jitter: the share of steps that become their left neighbour, and their right one.
      dtype: compute dtype; parameters, statistics and codebooks stay float32.
    """

    widths: Sequence[int] = (128, 128, 256, 512, 1024)
    depths: Sequence[int] = (2, 2, 2, 2)
    kernel: int = 9
    quantised: Sequence[int] = ()
    codes: int = 1024
    revive: float = 0.0
    decay: float = 0.99
    jitter: float = 0.12
    dtype: Any = "float32"

    def checked(self) -> ResDavenetVQ:
        """Itself; raises OptionError for a number that is out of its range."""
        for name, wanted in (("widths", POSITIONS), ("depths", POSITIONS - 1)):
            given = getattr(self, name)
            if len(given) != wanted or min(given) < 1:
                raise OptionError(name, f"is {tuple(given)}: it must be {wanted} numbers of at least 1")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise OptionError("kernel", f"is {self.kernel}: it must be odd")
        if not set(self.quantised) <= set(range(1, POSITIONS + 1)):
            raise OptionError("quantised", f"is {tuple(self.quantised)}: positions are 1 to {POSITIONS}")
        if self.codes < 1:
            raise OptionError("codes", f"is {self.codes}: it must be at least 1")
        if not 0 <= self.jitter <= 0.5:
            raise OptionError("jitter", f"is {self.jitter}: it must be from 0 to 0.5")
        if not 0 <= self.revive < 1 or not 0 < self.decay < 1:
            raise OptionError("revive", f"is {self.revive}, decay {self.decay}: both must be below 1, decay above 0")
        return self

    @nn.compact
    def __call__(
        self,
        mel: Float[Array, "b t m"],
        count: Int[Array, " b"],
        *,
        train: bool = False,
        cold: Bool[Array, ""] | bool = False,
    ) -> Heard:
        """Runs the network.

        Args:
          mel: frames, of `DavenetMel`.
          count: how many are real, at least 1 each.
          train: normalise by the batch, jitter (a key "jitter") and let codebooks follow (with `revive`, a key
            "revive"); "state" must then be mutable.
          cold: whether vectors still pass the quantisers unchanged; may be traced. Codebooks that are revived follow
            all the same, so that they fit when they are turned on; others wait as they began, as in the official code,
            which trains without quantisers first and then begins another run with them.
        """
        layers: dict[int, tuple[Array, Array]] = {}
        quantised: dict[int, Quantised] = {}
        cold = jnp.asarray(cold)

        def leave(position: int, x: Array, where: Array) -> Array:
            layers[position] = (x, where)
            if position in self.quantised:
                follow = (jnp.ones((), bool) if self.revive else ~cold) if train else None
                own = Quantiser(self.codes, self.decay, revive=self.revive, name=f"quantiser{position}")
                found = quantised[position] = own(x, where, follow)
                x = jnp.where(cold, x, found.vectors)
            if train and self.jitter and position in JITTERED:
                x = jitter(self.make_rng("jitter"), x, self.jitter)
            return jnp.where(where[..., None], x, jnp.zeros((), x.dtype))

        where = jnp.arange(mel.shape[1])[None] < count[:, None]
        x = _dense(self.widths[0], self.dtype, "bands")(mel.astype(self.dtype))
        x = leave(1, nn.relu(self._norm("norm")(x, train=train, where=where)), where)
        for stage, (width, depth) in enumerate(zip(self.widths[1:], self.depths, strict=True), start=1):
            for i in range(depth):
                stride = 2 if i == 0 else 1
                where = where[:, ::stride]
                block = Residual(width, self.kernel, stride, self.dtype, name=f"stage{stage}_block{i}")
                x = block(x, where, train=train)
                x = jnp.where(where[..., None], x, jnp.zeros((), x.dtype)) if i < depth - 1 else x
            x = leave(stage + 1, x, where)
        return Heard(x.astype(jnp.float32), where, layers, quantised)

    def _norm(self, name: str) -> BatchNorm:
        return BatchNorm(dtype=self.dtype, name=name)


class Residual(nn.Module):
    """Two convolutions with BatchNorm, added to their input, or to a projection of it where the rate is halved."""

    width: int
    kernel: int
    stride: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "b t c"], where: Bool[Array, "b u"], *, train: bool) -> Float[Array, "b u d"]:
        def norm(name: str, y: Array) -> Array:
            return BatchNorm(dtype=self.dtype, name=name)(y, train=train, where=where)

        y = nn.relu(norm("norm1", self._conv("conv1", x, self.stride)))
        y = jnp.where(where[..., None], y, jnp.zeros((), y.dtype))
        y = norm("norm2", self._conv("conv2", y, 1))
        if self.stride != 1 or x.shape[-1] != self.width:
            x = norm("norm_project", _dense(self.width, self.dtype, "project")(x[:, :: self.stride]))
        return nn.relu(y + x)

    def _conv(self, name: str, x: Array, stride: int) -> Array:
        pad = (self.kernel - 1) // 2
        return nn.Conv(
            self.width,
            (self.kernel,),
            (stride,),
            [(pad, pad)],
            use_bias=False,
            dtype=self.dtype,
            kernel_init=HE,
            name=name,
        )(x)


HE = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def _dense(width: int, dtype: Any, name: str) -> nn.Dense:
    return nn.Dense(width, use_bias=False, dtype=dtype, kernel_init=HE, name=name)
