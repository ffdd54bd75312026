"""CLIP's text tower: a transformer that looks back only, read at the end of the text."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.errors import UserError
from mmjax.models.blocks.transformer import LayerNorm, Transformer
from mmjax.models.vision.vision_transformer import project
from mmjax.text import vocabulary


class TextTransformer(nn.Module):
    """Words to one vector of the shared space (Radford et al. 2021, section 2.4), initial values as in its code.

    Biases start at 0, where the code leaves PyTorch's default to those of the two-layer networks.

    Attributes:
      vocabulary: rows of the embedding.
      width: of the tokens.
      layers: blocks.
      heads: of each block.
      context: learned positions, <start> and <end> included.
      embed: width of the output.
      activation: "quick_gelu" (OpenAI's weights) or "gelu".
      dtype: compute dtype; parameters are float32.
      remat: compute the blocks again in the backward pass instead of keeping what they made.
    """

    vocabulary: int
    width: int = 512
    layers: int = 12
    heads: int = 8
    context: int = 77
    embed: int = 512
    activation: str = "quick_gelu"
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, tokens: Int[Array, "b t"], length: Int[Array, " b"]) -> Float[Array, "b d"]:
        """One vector a text, float32, not normalised.

        Args:
          tokens: numbers of words with <end> behind the last; <start> is put before them here. What lies behind
            <end> changes nothing.
          length: how many tokens a text has, <end> included.

        Raises:
          UserError: there are more tokens than positions.
        """
        b, t = tokens.shape
        if t + 1 > self.context:
            raise UserError(
                f"texts of {t} tokens and <start> do not fit into the text network's context, {self.context}"
            )
        words = self.param("words", nn.initializers.normal(0.02), (self.vocabulary, self.width), jnp.float32)
        position = self.param("positions", nn.initializers.normal(0.01), (self.context, self.width), jnp.float32)
        start = jnp.full((b, 1), vocabulary.START, tokens.dtype)
        x = words[jnp.concatenate([start, tokens], 1)].astype(self.dtype) + position[: t + 1].astype(self.dtype)[None]
        blocks = Transformer(self.layers, self.heads, self.activation, True, self.dtype, self.remat, name="blocks")
        x = blocks(x, jnp.clip(length.astype(jnp.int32), 0, t))[:, 0]  # <start> has moved <end> from length - 1
        return project(LayerNorm(self.dtype, name="norm_after")(x), self.embed, self.dtype)
