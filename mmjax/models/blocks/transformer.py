"""The pre-norm transformer of CLIP's towers: residual blocks of attention and of a two-layer network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.errors import UserError
from mmjax.ops.attention import attend


def quick_gelu(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """x sigmoid(1.702 x), the approximation of GELU (Hendrycks and Gimpel 2016) that OpenAI's CLIP was trained with."""
    return x * jax.nn.sigmoid(jnp.asarray(1.702, x.dtype) * x)


def gelu(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """x P(N(0, 1) < x), exactly: PyTorch's default, with which most of open_clip's models were trained."""
    return jax.nn.gelu(x, approximate=False)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"quick_gelu": quick_gelu, "gelu": gelu}


class LayerNorm(nn.Module):
    """Layer normalisation (Ba et al. 2016) as PyTorch's, epsilon 1e-5; statistics are float32 whatever x is.

    Attributes:
      dtype: of the output.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """(x - mean) / deviation * scale + bias over the last axis."""
        lead = (1,) * (x.ndim - 1) + (-1,)
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:], jnp.float32).reshape(lead)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], jnp.float32).reshape(lead)
        wide = x.astype(jnp.float32)
        apart = wide - jnp.mean(wide, -1, keepdims=True)
        shrink = jax.lax.rsqrt(jnp.mean(jnp.square(apart), -1, keepdims=True) + jnp.float32(1e-5))
        return (apart * shrink * scale + bias).astype(self.dtype)


class Affine(nn.Module):
    """x W + b over the last axis, as one matrix product of all rows; b starts at 0.

    Attributes:
      features: width of the output.
      std: of the normal distribution that W is drawn from.
      dtype: compute dtype; parameters are float32.
    """

    features: int
    std: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"], first: int = 0, last: int | None = None) -> Float[Array, "*b n"]:
        """The outputs from `first` to before `last`; all by default."""
        kernel = self.param("kernel", nn.initializers.normal(self.std), (x.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        kernel, bias = kernel[:, first:last].astype(self.dtype), bias[first:last].astype(self.dtype)
        y = x.reshape(-1, x.shape[-1]).astype(self.dtype) @ kernel + bias[None]
        return y.reshape(*x.shape[:-1], -1)


class Block(nn.Module):
    """x + attention(norm(x)), then x + network(norm(x)).

    Attributes:
      heads: of the attention; they must divide the width.
      layers: of the whole transformer: what is added to x starts smaller, the more blocks add to it.
      activation: a key of ACTIVATIONS.
      causal: no place sees what comes behind it.
      dtype: compute dtype.
      inside: width of the network between its two layers; 0 = four times as wide as x.
    """

    heads: int
    layers: int
    activation: str
    causal: bool
    dtype: Any
    inside: int = 0

    @nn.compact
    def __call__(self, x: Float[Array, "b t d"], place: Int[Array, " b"] | None = None) -> Float[Array, "b u d"]:
        """The block at every place, or at one place of each row alone (u = 1), which is all that is then computed."""
        width, small = x.shape[-1], (2 * self.layers) ** -0.5
        project = Affine(3 * width, width**-0.5, self.dtype, name="qkv")
        y = LayerNorm(self.dtype, name="attention_norm")(x)
        if place is None:
            query, key, value = self._split(project(y), 3)
        else:
            x, own = at(x, place), at(y, place)
            (query,) = self._split(project(own, 0, width), 1)
            key, value = self._split(project(y, width), 2)
        heard = attend(query, key, value, self._where(key.shape[2], place))
        heard = heard.swapaxes(1, 2).reshape(x.shape)  # b h u k -> b u d
        x = x + Affine(width, width**-0.5 * small, self.dtype, name="attention_out")(heard)
        y = LayerNorm(self.dtype, name="network_norm")(x)
        y = Affine(self.inside or 4 * width, (2 * width) ** -0.5, self.dtype, name="network_in")(y)
        y = ACTIVATIONS[self.activation](y)
        return x + Affine(width, width**-0.5 * small, self.dtype, name="network_out")(y)

    def _split(self, y: Float[Array, "b t n*d"], parts: int) -> Float[Array, "n b h t k"]:
        y = y.reshape(*y.shape[:2], parts, self.heads, -1)
        return y.transpose(2, 0, 3, 1, 4)  # b t n h k -> n b h t k

    def _where(self, places: int, place: Int[Array, " b"] | None) -> Array | None:
        """Which keys a query sees, [b h q k] or 1 along an axis."""
        if not self.causal:
            return None
        keys = jnp.arange(places)[None]
        query = jnp.arange(places)[:, None] if place is None else place[:, None, None, None]
        return (keys <= query)[None, None] if place is None else keys[None, None] <= query


def at(x: Float[Array, "b t d"], place: Int[Array, " b"]) -> Float[Array, "b 1 d"]:
    """One place of each row."""
    return jnp.take_along_axis(x, place[:, None, None], 1)


class Transformer(nn.Module):
    """A stack of blocks.

    Attributes:
      layers: how many.
      heads: of each; they must divide the width.
      activation: a key of ACTIVATIONS.
      causal: no place sees what comes behind it.
      dtype: compute dtype; parameters are float32.
      remat: keep only each block's input for the backward pass and compute the rest again: far less memory, a third
        more arithmetic.
      inside: of each block's network; 0 = four times the width.
    """

    layers: int
    heads: int
    activation: str = "quick_gelu"
    causal: bool = False
    dtype: Any = jnp.float32
    remat: bool = False
    inside: int = 0

    @nn.compact
    def __call__(self, x: Float[Array, "b t d"], place: Int[Array, " b"] | None = None) -> Float[Array, "b u d"]:
        """All places of the last block, or one place of each row: the others' share of that block is not computed.

        Raises:
          UserError: an unknown activation, or heads that do not divide the width.
        """
        if self.activation not in ACTIVATIONS:
            raise UserError(f"activation {self.activation!r} is unknown: choose one of {', '.join(ACTIVATIONS)}")
        if x.shape[-1] % self.heads:
            raise UserError(f"{self.heads} heads do not divide a width of {x.shape[-1]}")
        block = nn.remat(Block) if self.remat else Block
        for i in range(self.layers):
            own = (self.heads, self.layers, self.activation, self.causal, self.dtype, self.inside)
            made = block(*own, name=f"block{i}")
            x = made(x, place if i + 1 == self.layers else None)
        return x
