"""Intelligibility and perceived quality of speech, for those who have the extra `speech`: STOI and PESQ.

Neither knows level or sign, and a figure above the mixture's is no proof of separation: stand SI-SDR beside them.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from mmjax.errors import UserError
from mmjax.metrics.separation.bss_eval_host import UNDEFINED

SHORTEST = 0.6  # seconds; of less than 30 frames of speech pystoi makes 1e-5, whatever they hold
PESQ_RATES = {8000: "nb", 16000: "wb"}
# What P.862's raw score of -0.5, the lowest, is mapped to (P.862.1 and P.862.2).
PESQ_LOWEST = {
    8000: 0.999 + 4 / (1 + np.exp(1.4945 * 0.5 + 4.6607)),
    16000: 0.999 + 4 / (1 + np.exp(1.3669 * 0.5 + 3.8224)),
}


def stoi(
    reference: Float[np.ndarray, "n time"], estimate: Float[np.ndarray, "n time"], rate: int, *, extended: bool = False
) -> Float[np.ndarray, " n"]:
    """Short-time objective intelligibility (Taal et al. 2011), or the extended one (Jensen and Taal 2016): up to 1.

    Args:
      reference: clean speech.
      estimate: of it, not shifted against it.
      rate: in Hz.
      extended: for noise that comes and goes, as another speaker does.

    Returns:
      [n] float64: 0 for a silent estimate; `UNDEFINED` for a silent reference and for one with too little speech.

    Raises:
      UserError: no pystoi, or other shapes.
    """
    module = _module("pystoi")

    def of(s, x):
        if not s.any() or len(s) < SHORTEST * rate:
            return UNDEFINED
        if not x.any():
            return 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # it says so where there is too little speech
            try:
                return float(module.stoi(s, x, rate, extended=extended))
            except RuntimeWarning:
                return UNDEFINED

    return _each(of, reference, estimate)


def pesq(
    reference: Float[np.ndarray, "n time"], estimate: Float[np.ndarray, "n time"], rate: int
) -> Float[np.ndarray, " n"]:
    """Perceptual evaluation of speech quality, P.862.1 at 8 kHz, P.862.2 (wide band) at 16 kHz: 1.0 to 4.6.

    Args:
      reference: clean speech.
      estimate: of it; PESQ finds its delay by itself.
      rate: 8000 or 16000.

    Returns:
      [n] float64: the lowest there is for a silent estimate; `UNDEFINED` where the reference is silent or too short, or
      has no speech that PESQ finds, and where PESQ fails.

    Raises:
      UserError: no pesq, another rate, or other shapes.
    """
    if rate not in PESQ_RATES:
        raise UserError(f"PESQ is defined at 8000 and 16000 Hz, not at {rate}: resample first")
    module = _module("pesq")

    def of(s, x):
        if not s.any() or len(s) < rate // 4:
            return UNDEFINED
        if not x.any():
            return float(PESQ_LOWEST[rate])
        try:
            value = module.pesq(rate, s, x, PESQ_RATES[rate], on_error=module.PesqError.RETURN_VALUES)
        except Exception:  # what its C code makes of one utterance must not cost the figures of all others
            return UNDEFINED
        return float(value) if value >= 0 else UNDEFINED

    return _each(of, reference, estimate)


def offered(rate: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which of "stoi" and "pesq" can be had at a rate in Hz, and lines for the user of what cannot, and why."""
    missing = {}
    for name, module in (("stoi", "pystoi"), ("pesq", "pesq")):
        try:
            _module(module)
        except UserError as error:
            missing[name] = str(error)
    lines = []
    if missing:  # of both, one line is enough: one extra brings them
        lines.append(f"no {' and no '.join(map(str.upper, missing))}: {next(iter(missing.values()))}")
    names = [name for name in ("stoi", "pesq") if name not in missing]
    if "pesq" in names and rate not in PESQ_RATES:
        names.remove("pesq")
        lines.append(f"no PESQ: it is defined at 8000 and 16000 Hz, and config.sound.rate is {rate}")
    return tuple(names), tuple(lines)


def _each(of: Any, reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    reference, estimate = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if reference.ndim != 2 or reference.shape != estimate.shape:
        raise UserError(f"references {reference.shape} and estimates {estimate.shape}: both must be [n time]")
    return np.array([of(s, x) for s, x in zip(reference, estimate, strict=True)], np.float64)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, ValueError) as error:  # the latter of a wheel that was built for another NumPy
        raise UserError(
            f"{name} is missing, which comes with the extra `speech`: pip install 'mmjax[speech]' ({error})"
        ) from None
