"""What generators and discriminators are made of: convolutions of stride two as DCGAN has them, and spectral norm.

XLA's CPU back end is at its best in convolutions of stride one, so a stride of two is computed as one over blocks of
two by two pixels: the same numbers, with the same parameters.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mmjax.ops.convolution import convolve


def blocks(x: Float[Array, "b h w c"]) -> Float[Array, "b i j d"]:
    """Moves each 2 x 2 square of pixels into the channels."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)  # b i dy j dx c -> b i j dy dx c
    return x.reshape(b, h // 2, w // 2, 4 * c)


def pixels(x: Float[Array, "b i j d"]) -> Float[Array, "b h w c"]:
    """The inverse of `blocks`."""
    b, h, w, d = x.shape
    x = x.reshape(b, h, w, 2, 2, d // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, 2 * h, 2 * w, d // 4)


def _around(x):
    return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


class Weights(nn.Module):
    """A linear map or a convolution of stride one, its matrix perhaps divided by its largest singular value.

    Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", algorithm 1: one power iteration
    in each call that trains, from the vector `u` of the last one, which is in "state".

    Attributes:
      features: of the result.
      kernel: side of the convolution; 0 for a linear map of [b c].
      spectral: whether the matrix is divided.
      bias: whether one is added.
      padding: "SAME" or "VALID".
      initialiser: of the kernel.
      dtype: compute dtype.
    """

    features: int
    kernel: int = 0
    spectral: bool = False
    bias: bool = True
    padding: str = "SAME"
    initialiser: nn.initializers.Initializer = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b ... c"], *, train: bool) -> Float[Array, "b ... d"]:
        shape = (self.kernel,) * (2 * bool(self.kernel)) + (x.shape[-1], self.features)
        kernel = self.param("kernel", self.initialiser, shape, jnp.float32)
        if self.spectral:
            kernel = kernel / self._norm(kernel.reshape(-1, self.features), train)
        kernel, x = kernel.astype(self.dtype), x.astype(self.dtype)
        if self.kernel:
            y = convolve(x, kernel, (1, 1), self.padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
        else:
            y = x @ kernel
        if self.bias:
            own = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32).astype(self.dtype)
            y = y + own.reshape((1,) * (y.ndim - 1) + (-1,))
        return y

    def _norm(self, matrix, train):
        """The largest singular value [], as good as the power iteration has become."""
        start = nn.initializers.normal(1.0)
        u = self.variable("state", "u", lambda: start(self.make_rng("params"), (self.features,), jnp.float32))
        fixed = lax.stop_gradient(matrix)
        right = u.value / jnp.maximum(jnp.linalg.norm(u.value), 1e-12)
        left = fixed @ right
        left = left / jnp.maximum(jnp.linalg.norm(left), 1e-12)
        right = fixed.T @ left
        right = right / jnp.maximum(jnp.linalg.norm(right), 1e-12)
        if train and not self.is_initializing():
            u.value = right
        return left @ matrix @ right


class Halve(nn.Module):
    """The convolution of kernel 4, stride 2 and padding 1: [b h w c] -> [b h/2 w/2 d]. Arguments as of `Weights`."""

    features: int
    spectral: bool = False
    bias: bool = True
    initialiser: nn.initializers.Initializer = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j d"]:
        options = {"spectral": self.spectral, "bias": self.bias, "initialiser": self.initialiser, "dtype": self.dtype}
        return Weights(self.features, 2, padding="VALID", name="conv", **options)(blocks(_around(x)), train=train)


class Double(nn.Module):
    """The transposed convolution of kernel 4, stride 2 and padding 1: [b h w c] -> [b 2h 2w d].

    Each pixel is made of the four nearest.
    """

    features: int
    initialiser: nn.initializers.Initializer = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j d"]:
        made = {"bias": False, "initialiser": self.initialiser, "dtype": self.dtype, "name": "conv"}
        y = Weights(4 * self.features, 2, padding="VALID", **made)(_around(x), train=train)
        return pixels(y)[:, 1:-1, 1:-1]


def leaky(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Leaky ReLU with DCGAN's slope of 0.2."""
    return jax.nn.leaky_relu(x, 0.2)
