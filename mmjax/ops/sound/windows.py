"""Window functions (Harris 1978), as constants of a compiled program."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from mmjax.errors import UserError

# a[0] - a[1] cos(t) + a[2] cos(2t) - ..., t = 2 pi n / N
COSINE_SUMS: dict[str, tuple[float, ...]] = {
    "hamming": (0.54, 0.46),
    "hann": (0.5, 0.5),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}
NAMES = (*COSINE_SUMS, "bartlett", "boxcar", "kaiser")


@functools.lru_cache(maxsize=64)
def window(
    name: str = "hamming", length: int = 1024, *, periodic: bool = True, beta: float = 12.0
) -> Float[np.ndarray, " length"]:
    """A window by name.

    Args:
      name: hamming, hann, blackman, nuttall, blackmanharris, flattop, bartlett (a triangle), boxcar (ones) or kaiser.
      length: samples, N >= 1.
      periodic: one period of N samples, which is right for spectra; False: symmetric over N samples, for filters.
      beta: of the Kaiser window.

    Returns:
      [length] float64, read-only; at most 1.

    Raises:
      UserError: no such window, or a length below 1.
    """
    if name not in NAMES:
        raise UserError(f"no window {name!r}: choose one of {', '.join(NAMES)}")
    if length < 1:
        raise UserError(f"a window of {length} samples: the length must be at least 1")
    values = _values(name, length + 1, beta)[:-1] if periodic and length > 1 else _values(name, length, beta)
    values.flags.writeable = False
    return values


def _values(name: str, length: int, beta: float) -> np.ndarray:
    """The symmetric window."""
    if name == "boxcar" or length == 1:
        return np.ones(length)
    if name == "bartlett":
        return 1 - np.abs(np.linspace(-1, 1, length))
    if name == "kaiser":
        return np.kaiser(length, beta)
    angle = 2 * np.pi * np.arange(length) / (length - 1)
    return sum((-1) ** k * a * np.cos(k * angle) for k, a in enumerate(COSINE_SUMS[name]))


def laid_in(
    chosen: str | Sequence[float] | np.ndarray, length: int, total: int, *, periodic: bool, align: str
) -> Float[np.ndarray, " total"]:
    """The window of `length` samples in `total` samples of zeros: in the "centre", or at the "start".

    Args:
      chosen: a name, or the `length` values themselves.

    Raises:
      UserError: values of another length.
    """
    values = window(chosen, length, periodic=periodic) if isinstance(chosen, str) else np.asarray(chosen, np.float64)
    if values.shape != (length,):
        raise UserError(f"the window given has shape {values.shape}; win_length is {length}")
    left = (total - length) // 2 if align == "centre" else 0
    return np.pad(values, (left, total - length - left))
