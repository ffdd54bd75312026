"""Text encoders that are trained beside pictures: Reed's char-CNN-RNN, and a small one for words."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# Layers of the official code: "cvpr2016" is HybridCNN.lua, "icml2016" HybridCNNLong.lua, whose text features were
# published with the GAN. (channels, pooling window, pooling stride) of each convolution; a window of 1 is no pooling.
PRESETS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "cvpr2016": ((384, 3, 3), (512, 3, 3), (256, 3, 2)),
    "icml2016": ((384, 3, 3), (512, 3, 3), (256, 1, 1)),
}


def _torch(size: int):
    """Torch 7's own initialiser: U(-1/sqrt(fan in), 1/sqrt(fan in)), of kernels and biases."""

    def draw(key, shape, dtype=jnp.float32):
        return nn.initializers.uniform(2.0 / size**0.5)(key, shape, dtype) - jnp.asarray(size**-0.5, dtype)

    return draw


class CharCnnRnn(nn.Module):
    """Characters -> three convolutions of kernel 4 with pooling -> a recurrent network -> the mean of its states.

    Reed et al. 2016, "Learning Deep Representations of Fine-Grained Visual Descriptions", in the official code's sizes:
    201 characters of a fixed alphabet in, 1024 out. The recurrent network is ReLU(W x + U h + b), without U at its
    first step. As in that code, padding counts like any other character: sentences fill what they fill of 201.

    With 70 characters "icml2016" has 1,814,144 parameters; the alphabet here is the data's.

    Attributes:
      vocabulary: characters, the padding among them.
      features: d of the result.
      layers: of PRESETS.
      kernel: of the convolutions.
      dtype: compute dtype.
    """

    vocabulary: int
    features: int = 1024
    layers: tuple[tuple[int, int, int], ...] = PRESETS["icml2016"]
    kernel: int = 4
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, tokens: Int[Array, "b t"], length: Int[Array, " b"]) -> Float[Array, "b d"]:
        """Encodes sentences.

        Args:
          tokens: numbers of characters, 0 in the padding, which is all zeros here as in the official code.
          length: characters of each sentence; not needed.
        """
        del length
        x = nn.one_hot(tokens, self.vocabulary, dtype=self.dtype) * (tokens > 0)[..., None].astype(self.dtype)
        for i, (channels, window, stride) in enumerate(self.layers):
            fan = self.kernel * x.shape[-1]
            if x.shape[1] < self.kernel:
                raise ValueError(f"sentences of {tokens.shape[1]} characters are too short for the network")
            made = {"kernel_init": _torch(fan), "bias_init": _torch(fan), "name": f"conv{i}"}
            x = nn.relu(nn.Conv(channels, (self.kernel,), padding="VALID", dtype=self.dtype, **made)(x))
            if window > 1:
                x = nn.max_pool(x, (window,), (stride,))
        width = x.shape[-1]

        def linear(features, name):
            make = _torch(width)
            return nn.Dense(features, dtype=self.dtype, kernel_init=make, bias_init=make, name=name)

        inputs, recur = linear(width, "input")(x), linear(width, "state")
        state = nn.relu(inputs[:, 0])
        total = state
        for step in range(1, inputs.shape[1]):  # 18 at most
            state = nn.relu(inputs[:, step] + recur(state))
            total = total + state
        return linear(self.features, "out")(total / inputs.shape[1]).astype(jnp.float32)


class WordEncoder(nn.Module):
    """Words -> vectors -> a convolution over three words -> their mean -> a linear map.

    Enough for the sentences of a small world: who stands beside which adjective is told by the convolution.

    Attributes:
      vocabulary: words, the padding among them.
      features: d of the result.
      embed: size of a word's vector.
      hidden: channels of the convolution.
      dtype: compute dtype.
    """

    vocabulary: int
    features: int = 64
    embed: int = 64
    hidden: int = 128
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, tokens: Int[Array, "b t"], length: Int[Array, " b"]) -> Float[Array, "b d"]:
        """Encodes sentences: tokens are numbers of words, of which the first `length` count."""
        where = jnp.arange(tokens.shape[1])[None] < length[:, None]
        mask = where[..., None].astype(self.dtype)
        x = nn.Embed(self.vocabulary, self.embed, dtype=self.dtype, name="words")(tokens) * mask
        x = nn.relu(nn.Conv(self.hidden, (3,), dtype=self.dtype, name="conv")(x)) * mask
        mean = jnp.sum(x, 1) / jnp.maximum(jnp.sum(mask, 1), jnp.ones((), self.dtype))
        return nn.Dense(self.features, dtype=self.dtype, name="out")(mean).astype(jnp.float32)
