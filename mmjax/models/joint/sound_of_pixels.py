"""Sound of Pixels: what is seen chooses among the maps of what is heard (Zhao et al. 2018, section 3.1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.models.blocks.pictures import Convolution
from mmjax.ops import maximum


class FrameHead(nn.Module):
    """The last map of a picture network to k numbers in 0..1: a 3x3 convolution, its maximum over places and frames.

    Attributes:
      channels: k.
      dtype: compute dtype.
    """

    channels: int = 32
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, maps: Float[Array, "b f h w d"]) -> Float[Array, "b k"]:
        """The vector of each clip, of which f pictures were looked at."""
        b, f, h, w, d = maps.shape
        initialiser = nn.initializers.variance_scaling(1.0 / 3.0, "fan_in", "uniform")
        how: dict[str, Any] = {"dtype": self.dtype, "kernel_init": initialiser, "name": "fc"}
        x = Convolution(self.channels, (3, 3), 1, ((1, 1), (1, 1)), **how)(maps.reshape(b * f, h, w, d))
        x = x.astype(jnp.float32).reshape(b, -1, self.channels)  # b (f h w) k
        return jax.nn.sigmoid(maximum.over(x, (1,)))


class Synthesiser(nn.Module):
    """Logits of the mask of each thing that is seen: sum over k of picture_k scale_k sound_k, plus a bias."""

    @nn.compact
    def __call__(self, sound: Float[Array, "b f t k"], picture: Float[Array, "b n k"]) -> Float[Array, "b n f t"]:
        """Args: the maps of a mixture, and the vectors of n pictures each of which asks for a mask."""
        scale = self.param("scale", nn.initializers.ones, (sound.shape[-1],), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (1,), jnp.float32)
        weights = picture * scale[None, None]
        return jnp.einsum("bftk,bnk->bnft", sound.astype(jnp.float32), weights) + bias[0]
