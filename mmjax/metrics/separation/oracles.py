"""What masks can reach: the estimates of networks that know the sources. Figures stand beside a network's own."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.errors import UserError
from mmjax.ops.sound import complex_masks, source_masks, spectral

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
        mask = mask if bound is None else complex_masks.clipped(mask, bound)
    else:
        ideal = source_masks.ideal_binary if kind == "binary" else source_masks.ideal_ratio
        mask = ideal(jnp.abs(spectra)).astype(spectra.dtype)
    return spectral.istft(mask * mixture, n_fft, hop, win_length, length=sources.shape[-1], **rules)
