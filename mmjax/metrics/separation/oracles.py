"""What masks can reach: the estimates of networks that know the sources. Figures stand beside a network's own."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.errors import UserError
from mmjax.ops.sound import complex_masks, spectral

KINDS = ("binary", "ratio", "complex")


def oracle(
    sources: Float[Array, "*b n time"],
    kind: str,
    n_fft: int,
    hop: int,
    win_length: int | None = None,
    *,
    bound: float | None = None,
    **rules: Any,
) -> Float[Array, "*b n time"]:
    """Each source as its ideal mask cuts it out of the sum of all.

    Args:
      sources: whose sum is the mixture.
      kind: "binary" (the loudest source has the whole point), "ratio" (its share of the magnitudes, the mixture's
        phase) or "complex" (the source itself, but for what `bound` cuts off).
      n_fft: as for `spectral.stft`.
      hop: as there.
      win_length: as there.
      bound: of the parts of a complex mask; None for none.
      **rules: of the convention, as for `spectral.stft`.

    Raises:
      UserError: another kind, or what `stft` raises.
    """
    if kind not in KINDS:
        raise UserError(f"oracle is {kind!r}: choose one of {', '.join(KINDS)}")
    spectra = spectral.stft(sources, n_fft, hop, win_length, **rules)
    mixture = jnp.sum(spectra, -3, keepdims=True)
    if kind == "complex":
        mask = complex_masks.ideal_complex(spectra, jnp.broadcast_to(mixture, spectra.shape))
        if bound is not None:
            mask = complex_masks.joined(jnp.clip(complex_masks.parts(mask), -bound, bound))
    else:
        magnitude = jnp.abs(spectra)
        if kind == "binary":
            number = jnp.arange(spectra.shape[-3]).reshape((1,) * (spectra.ndim - 3) + (-1, 1, 1))
            share = number == jnp.argmax(magnitude, -3, keepdims=True)  # of equally loud ones the first
        else:
            share = magnitude / jnp.maximum(jnp.sum(magnitude, -3, keepdims=True), complex_masks.TINY)
        mask = share.astype(spectra.dtype)
    return spectral.istft(mask * mixture, n_fft, hop, win_length, length=sources.shape[-1], **rules)
