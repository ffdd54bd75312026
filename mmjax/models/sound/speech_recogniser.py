"""A small recogniser of speech: units, by connectionist temporal classification, and who speaks."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.errors import OptionError
from mmjax.models.sound.speech_blocks import ConvNorm


class SpeechRecogniser(nn.Module):
    """Log-mel frames -> scores of units at each step of several frames (Graves et al. 2006), and who speaks.

    Residual convolutions over time see half a second: units are told from their surroundings, and what words there are
    is not learned by heart. Level does not matter: each sound is measured from its loudest band down.

    Attributes:
      units: n; the blank is number n.
      speaker: numbers that say who speaks; 0 for a recogniser that does not tell.
      frames: of a step; the shortest unit must last a step, and two for a unit that comes twice in a row.
      width: channels.
      layers: residual convolutions.
      kernel: of each, in steps, odd.
      depth: what lies further below the loudest band than this is silence; in nats of magnitude.
      dropout: share of the channels' values that training drops behind each residual convolution.
      dtype: of the convolutions; parameters and outputs are float32.
    """

    units: int
    speaker: int = 0
    frames: int = 2
    width: int = 64
    layers: int = 4
    kernel: int = 5
    depth: float = 7.0
    dropout: float = 0.0
    dtype: Any = jnp.float32

    def checked(self) -> SpeechRecogniser:
        """Itself; raises OptionError for sizes that there cannot be."""
        if self.kernel % 2 == 0:
            raise OptionError("kernel", f"is {self.kernel}: it must be odd, to have a middle")
        for name in ("frames", "width", "depth"):
            if getattr(self, name) <= 0:
                raise OptionError(name, f"is {getattr(self, name)}: it must be above 0")
        if not 0 <= self.dropout < 1:
            raise OptionError("dropout", f"is {self.dropout}: it must be at least 0 and below 1")
        return self

    def steps(self, frames: Any) -> Any:
        """How many steps so many frames give; an int or an array."""
        return -(-frames // self.frames)

    @nn.compact
    def __call__(
        self, log_mel: Float[Array, "b t m"], frames: Int[Array, " b"], *, train: bool = False
    ) -> dict[str, Array]:
        """Runs the network.

        Args:
          log_mel: logarithms of magnitudes.
          frames: of each row that are real; what lies beyond does not matter.
          train: use batch statistics and dropout, the rng "dropout"; the collection "state" must then be mutable.

        Returns:
          "units" [b s n + 1], logits; "speaker" [b k]. Float32.
        """
        real = jnp.arange(log_mel.shape[1])[None] < frames[:, None]
        loudest = jnp.max(jnp.where(real[..., None], log_mel, -jnp.inf), (1, 2), keepdims=True)
        below = jnp.where(real[..., None], log_mel - loudest, -self.depth)
        x = 1 + jnp.maximum(below, -self.depth) * (2 / self.depth)  # -1..1
        x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % self.frames), (0, 0)), constant_values=-1.0)
        x = x.reshape(x.shape[0], -1, self.frames * x.shape[2])  # b (s f) m -> b s (f m)
        where = jnp.arange(x.shape[1])[None] < self.steps(frames)[:, None]
        x = nn.relu(self._conv("first", x, where, train))
        out = {"speaker": self._who(x, where)} if self.speaker else {}
        for i in range(self.layers):
            heard = nn.relu(self._conv(f"conv{i}", x, where, train))
            x = x + nn.Dropout(self.dropout, deterministic=not train)(heard)
        return {"units": nn.Dense(self.units + 1, name="units")(x.astype(jnp.float32)), **out}

    def _conv(self, name: str, x: Array, where: Array, train: bool) -> Array:
        return ConvNorm(self.width, self.kernel, "relu", self.dtype, name=name)(x, where, train)

    def _who(self, x: Float[Array, "b s c"], where: Bool[Array, "b s"]) -> Float[Array, "b k"]:
        """Read from the mean and the deviation of each channel over the real steps, so that no order matters."""
        x, count = x.astype(jnp.float32), jnp.maximum(jnp.sum(where, 1, dtype=jnp.float32), 1.0)[:, None]
        mean = jnp.sum(x, 1, where=where[..., None]) / count
        spread = jnp.sum(jnp.square(x - mean[:, None]), 1, where=where[..., None]) / count
        read = jnp.concatenate([mean, jnp.sqrt(spread + 1e-6)], -1)
        return nn.Dense(self.speaker, name="speaker")(nn.relu(nn.Dense(self.width, name="voice")(read)))
