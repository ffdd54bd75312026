"""The loss of Speech2Face: how far a feature heard in a voice is from that of the speaker's face, in three ways.

Oh et al. 2019, "Speech2Face: Learning the Face Behind a Voice", eq. 2. Every term is a norm of each example, so that a
mean over the batch weighs the three alike whatever the batch's size.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.ops.vectors import unit


def first_layer(seen: Float[Array, "b n"], heard: Float[Array, "b n"]) -> Float[Array, " b"]:
    """sum_i |seen_i - heard_i|, the distance of what the decoder's first layer makes of both features; >= 0."""
    return jnp.sum(jnp.abs(seen.astype(jnp.float32) - heard.astype(jnp.float32)), -1)


def direction(seen: Float[Array, "b d"], heard: Float[Array, "b d"]) -> Float[Array, " b"]:
    """|seen / |seen| - heard / |heard||^2, the squared distance of both features at length 1; in 0..4."""
    return jnp.sum(jnp.square(unit(seen.astype(jnp.float32)) - unit(heard.astype(jnp.float32))), -1)


def distillation(seen: Float[Array, "b c"], heard: Float[Array, "b c"], temperature: float = 2.0) -> Float[Array, " b"]:
    """-sum_c p_c log q_c in nats: whom the face network takes the face for, p, and whom it takes the voice for, q.

    Args:
      seen, heard: logits of the face network's last layer for either feature.
      temperature: by which both are divided before the softmax; above 0.
    """
    p = jax.nn.softmax(seen.astype(jnp.float32) / temperature)
    return -jnp.sum(p * jax.nn.log_softmax(heard.astype(jnp.float32) / temperature), -1)
