"""SDR, SIR and SAR (BSS eval 3) in double precision on the host: the figures that papers print.

They equal those of mir_eval 0.8.2's bss_eval_sources, from one factorisation where that makes one a figure.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.fft
import scipy.linalg
import scipy.optimize
from jaxtyping import Float

FILTER = 512  # taps of the distortion that is forgiven (Vincent et al. 2006, section III.B)
UNDEFINED = float("nan")  # of a reference that is silent: there is nothing to be near to


def bss_eval(
    reference: Float[np.ndarray, "n time"], estimate: Float[np.ndarray, "m time"], taps: int = FILTER
) -> dict[str, Float[np.ndarray, "m n"]]:
    """Ratios in dB of every estimate to every reference (Vincent, Gribonval and Févotte 2006, eq. 18-20).

    An estimate is split into what a causal filter of `taps` makes of the reference, what filters make of the other
    references (interference), and the rest (artifacts). Nothing is averaged, no mean is subtracted. An estimate that
    is early by one sample has a different figure altogether: see `alignment.aligned`.

    Args:
      reference: the true sources, in the order of the columns that come back. All of them: what is missing here
        counts as an artifact and not as interference.
      estimate: in the order of the rows.
      taps: of the filters; 512 in every published figure.

    Returns:
      "sdr", "sir", "sar" [m n]. A silent estimate has -inf three times, a silent reference `UNDEFINED`; the figures of
      the other references are those without it. A perfect estimate has about 300 dB; of one reference, "sir" is inf.

    Raises:
      ValueError: shapes that do not agree.
    """
    reference, estimate = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if reference.ndim != 2 or estimate.ndim != 2 or reference.shape[1] != estimate.shape[1]:
        raise ValueError(f"references {reference.shape} and estimates {estimate.shape}: both must be [n time]")
    sounding, heard = reference.any(1), estimate.any(1)
    found = {name: np.full((len(estimate), len(reference)), -np.inf) for name in ("sdr", "sir", "sar")}
    if sounding.any() and heard.any():
        values = _ratios(reference[sounding], estimate[heard], taps)
        for name, value in values.items():
            found[name][np.ix_(heard, sounding)] = value
    for value in found.values():
        value[:, ~sounding] = UNDEFINED
    return found


def best_order(sir: Float[np.ndarray, "n n"]) -> tuple[int, ...]:
    """Which estimate is each reference's, by the largest mean SIR, as mir_eval chooses; an undefined SIR counts 0."""
    rows, columns = scipy.optimize.linear_sum_assignment(np.nan_to_num(sir, nan=0.0, posinf=1e3, neginf=-1e3).T, True)
    return tuple(int(columns[row]) for row in rows)


def in_order(figures: Mapping[str, np.ndarray], order: tuple[int, ...]) -> dict[str, Float[np.ndarray, " n"]]:
    """The figures of each reference and its estimate: `order` names the row of each column."""
    return {name: value[list(order), np.arange(value.shape[1])] for name, value in figures.items()}


def _ratios(reference, estimate, taps):
    n, time = reference.shape
    size = scipy.fft.next_fast_len(time + taps - 1, real=True)
    sources, sounds = scipy.fft.rfft(reference, size), scipy.fft.rfft(estimate, size)
    gram = np.empty((n, taps, n, taps))
    for i in range(n):
        for j in range(i, n):
            lags = scipy.fft.irfft(sources[i].conj() * sources[j], size)  # of j behind i
            block = scipy.linalg.toeplitz(lags[:taps], lags[-np.arange(taps)])
            gram[i, :, j, :], gram[j, :, i, :] = block, block.T
    products = scipy.fft.irfft(sources.conj()[:, None] * sounds[None], size)[..., :taps]  # n m taps
    products = products.transpose(0, 2, 1)
    whole = _solved(gram.reshape(n * taps, n * taps), products.reshape(n * taps, -1))
    filters = scipy.fft.rfft(whole.reshape(n, taps, -1), size, axis=1)
    explained = scipy.fft.irfft(np.einsum("nf,nfm->mf", sources, filters), size)  # m time
    error = explained.copy()
    error[:, :time] -= estimate
    artifact = np.sum(error**2, -1)
    found = {name: np.empty((len(estimate), n)) for name in ("sdr", "sir", "sar")}
    for j in range(n):
        filters = scipy.fft.rfft(_solved(gram[j, :, j, :], products[j]), size, axis=0)
        target = scipy.fft.irfft(sources[j, :, None] * filters, size, axis=0).T
        energy = np.sum(target**2, -1)
        distortion = target.copy()
        distortion[:, :time] -= estimate
        found["sdr"][:, j] = _decibels(energy, np.sum(distortion**2, -1))
        found["sir"][:, j] = _decibels(
            energy, np.sum((explained - target) ** 2, -1) if n > 1 else np.zeros_like(energy)
        )
        found["sar"][:, j] = _decibels(np.sum(explained**2, -1), artifact)
    return found


def _solved(gram, right):
    """The least-squares solution; where references depend on each other, the shortest one."""
    try:
        return scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram, lower=True), right)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(gram, right, rcond=None)[0]


def _decibels(signal, noise):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(signal == 0, -np.inf, 10 * np.log10(signal / noise))
