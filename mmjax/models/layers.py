"""One-dimensional convolution and pooling, channel-last: [b t c]."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def conv1d(x: Float[Array, "b t c"], kernel: Float[Array, "k c o"], stride: int, pad: int) -> Float[Array, "b u o"]:
    """Cross-correlation with `pad` zeros on both sides; u = (t + 2 pad - k) // stride + 1, as PyTorch counts."""
    return lax.conv_general_dilated(x, kernel, (stride,), [(pad, pad)], dimension_numbers=("NWC", "WIO", "NWC"))


def max_pool1d(x: Float[Array, "b t c"], window: int) -> Float[Array, "b t//window c"]:
    """The maximum of each window of as many steps; a last, incomplete window is dropped."""
    # A reshape and a maximum, because the gradient of lax.reduce_window is slow on a CPU.
    steps = x.shape[1] // window
    x = x[:, : steps * window].reshape(x.shape[0], steps, window, x.shape[2])  # [b u window c]
    return jnp.max(x, axis=2)
