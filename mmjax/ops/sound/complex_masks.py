"""Complex spectra as networks see them, and complex masks: signed, with or without a bound, and back again.

Every function is differentiable and has no NaN at silence. What compresses a mask is undone by its own inverse: a mask
through another function's inverse loses its sign.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Complex, Float

from mmjax.errors import UserError

TINY = 1e-30  # of an energy: below it a mixture is silent


def power_law(spectrum: Complex[Array, "*b"], power: float = 0.3) -> Complex[Array, "*b"]:
    """|z|^power with the phase of z (Looking to Listen's input, section 3.1); its gradient at silence is 0."""
    energy = _energy(spectrum)
    sounding = energy > TINY
    factor = jnp.where(sounding, jnp.where(sounding, energy, 1) ** ((power - 1) / 2), 0)
    return lax.complex(spectrum.real * factor, spectrum.imag * factor)


def from_power_law(spectrum: Complex[Array, "*b"], power: float = 0.3) -> Complex[Array, "*b"]:
    """The inverse of `power_law`."""
    return power_law(spectrum, 1 / power)


def parts(spectrum: Complex[Array, "*b"]) -> Float[Array, "*b 2"]:
    """Real and imaginary part as two channels."""
    return jnp.stack([spectrum.real, spectrum.imag], -1)


def joined(channels: Float[Array, "*b 2"]) -> Complex[Array, "*b"]:
    """The inverse of `parts`."""
    return lax.complex(channels[..., 0], channels[..., 1])


def ideal_complex(source: Complex[Array, "*b"], mixture: Complex[Array, "*b"]) -> Complex[Array, "*b"]:
    """What the mixture is multiplied with to give the source (Williamson et al. 2016, eq. 6); 0 where it is silent.

    Neither part has a sign or a bound: two voices of opposite phase need parts below 0 and far above 1.
    """
    energy = _energy(mixture)
    silent = energy <= TINY
    product = source * mixture.conj()
    energy = jnp.where(silent, 1, energy)
    return jnp.where(silent, 0, lax.complex(product.real / energy, product.imag / energy))


def clipped(mask: Complex[Array, "*b"], most: float) -> Complex[Array, "*b"]:
    """The mask with either part within -most..most."""
    return lax.complex(*(jnp.clip(x, -most, most) for x in (mask.real, mask.imag)))


def compressed(mask: Complex[Array, "*b"], bound: float | None = 10.0, steepness: float = 0.1) -> Complex[Array, "*b"]:
    """bound * tanh(steepness x / 2) of each part of a complex mask (Williamson et al. 2016, eq. 9).

    Args:
      mask: unbounded and signed.
      bound: K; None leaves the mask as it is.
      steepness: C.

    Raises:
      UserError: bound or steepness not above 0.
    """
    if bound is None:
        return mask
    _check(bound, steepness)
    return lax.complex(*(bound * jnp.tanh(steepness / 2 * x) for x in (mask.real, mask.imag)))


def expanded(
    mask: Complex[Array, "*b"], bound: float | None = 10.0, steepness: float = 0.1, share: float = 0.9999
) -> Complex[Array, "*b"]:
    """The inverse of `compressed`, with the same arguments: 2 / steepness * artanh(x / bound).

    A part beyond `share` of the bound is read as `share` of it, since float32 knows nothing above.
    """
    if bound is None:
        return mask
    _check(bound, steepness)
    inside = (jnp.clip(x / bound, -share, share) for x in (mask.real, mask.imag))
    return lax.complex(*(2 / steepness * jnp.arctanh(x) for x in inside))


def _check(bound: float, steepness: float) -> None:
    if bound <= 0 or steepness <= 0:
        raise UserError(f"bound is {bound}, steepness {steepness}: both must be above 0; bound=None compresses nothing")


def _energy(spectrum: Array) -> Array:
    return jnp.square(spectrum.real) + jnp.square(spectrum.imag)
