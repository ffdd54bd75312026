"""What a complex mask costs that is to pick a source out of a mixture, where what is loud counts more."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from mmjax.ops.sound import complex_masks, source_masks

MOST = 5.0  # within which VisualVoice keeps either part of a mask


def ideal_mask(
    source: Complex[Array, "*b f t"], mixture: Complex[Array, "*b f t"], most: float = MOST
) -> Complex[Array, "*b f t"]:
    """The mask to learn: source / mixture, either part within -most..most.

    Masks are clipped and not compressed there: a network whose mask is most * tanh(.) reaches all that is asked for
    but the bound itself. 0 where the mixture is silent.
    """
    return complex_masks.clipped(complex_masks.ideal_complex(source, mixture), most)


def mask_error(
    found: Complex[Array, "*b f t"], target: Complex[Array, "*b f t"], mixture: Complex[Array, "*b f t"]
) -> Float[Array, "*b"]:
    """The mean over bins, frames and both parts of w (found - target)^2, w = log(1 + |mixture|) within .001..10.

    The mask prediction loss of VisualVoice (Gao and Grauman 2021, "Audio-Visual Speech Separation with Cross-Modal
    Consistency"), weighted as in the official code.

    Args:
      found: the mask that a network gives.
      target: the one to learn, see `ideal_mask`.
      mixture: its spectrum, of samples of -1..1.

    Returns:
      [...], float32, >= 0.
    """
    apart = found - target
    squared = (jnp.square(apart.real) + jnp.square(apart.imag)) / 2
    return jnp.mean(squared * source_masks.weights(jnp.abs(mixture), "log"), (-2, -1))
