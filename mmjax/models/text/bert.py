"""BERT's encoder, and the mean of what it makes of a sentence: Sentence-BERT's point of it."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.models.blocks.transformer import gelu
from mmjax.ops.attention import attend


class Bert(nn.Module):
    """Devlin et al. 2019, "BERT", the post-norm transformer, with the mean over a sentence's pieces.

    The mean is Reimers and Gurevych 2019, "Sentence-BERT", section 3. The sizes are those of MiniLM-L6-H384 (Wang et
    al. 2020, "MiniLM"); of the two kinds of segments the first is everywhere, and there is no dropout.

    Attributes:
      vocabulary: pieces.
      width, layers, heads, inside: of the transformer.
      positions: most pieces of a sentence, [CLS] and [SEP] included.
      dtype: compute dtype; norms and the mean are float32.
    """

    vocabulary: int = 30522
    width: int = 384
    layers: int = 6
    heads: int = 12
    inside: int = 1536
    positions: int = 512
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, pieces: Int[Array, "b t"], where: Bool[Array, "b t"]) -> Float[Array, "b d"]:
        """Vectors of sentences, float32, not normalised.

        Args:
          pieces: their numbers, [CLS] first and [SEP] last.
          where: False behind the last; each sentence needs one piece.
        """
        b, t = pieces.shape
        x = nn.Embed(self.vocabulary, self.width, name="words")(pieces)
        places = self.param("positions", nn.initializers.normal(0.02), (self.positions, self.width))
        segment = self.param("segments", nn.initializers.normal(0.02), (2, self.width))
        x = self._norm("norm", x + places[None, :t] + segment[None, :1])
        for i in range(self.layers):
            name = f"layer{i}"
            q, k, v = (self._dense(f"{name}_{part}", self.width, x) for part in ("query", "key", "value"))
            q, k, v = (y.reshape(b, t, self.heads, -1).transpose(0, 2, 1, 3) for y in (q, k, v))
            y = attend(q, k, v, where[:, None, None]).transpose(0, 2, 1, 3).reshape(b, t, -1)
            x = self._norm(f"{name}_attended", x + self._dense(f"{name}_attention", self.width, y))
            y = gelu(self._dense(f"{name}_inside", self.inside, x))
            x = self._norm(f"{name}_norm", x + self._dense(f"{name}_outside", self.width, y))
        counts = where[..., None].astype(jnp.float32)
        return jnp.sum(x.astype(jnp.float32) * counts, 1) / jnp.sum(counts, 1)

    def _dense(self, name, features, x):
        return nn.Dense(features, dtype=self.dtype, name=name)(x)

    def _norm(self, name, x):
        return nn.LayerNorm(epsilon=1e-12, dtype=self.dtype, use_fast_variance=False, name=name)(x.astype(jnp.float32))
