"""SDR, SIR and SAR (BSS eval 3) in double precision on the host: the figures that papers print.

They equal those of mir_eval 0.8.2's bss_eval_sources, from one factorisation for all references and one for each,
where that makes two a figure.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import scipy.fft
import scipy.linalg
import scipy.optimize
import threadpoolctl
from jaxtyping import Float

FILTER = 512  # taps of the distortion that is forgiven (Vincent et al. 2006, section III.B)
SEGMENT = 4096  # samples of a transform, at least: half a megabyte or so of spectra at a time, and an eighth of overlap
SURE = 1e-7  # of an energy: 4e-7 dB, what rounding may do to a figure before it is computed from residuals
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
    """As above, where nothing is silent: by the energies of projections, or of residuals where these are too close."""
    n, m = len(reference), len(estimate)
    with _one_thread():
        cross, products = _lags(reference, estimate, taps)
        right = np.asfortranarray(products.reshape(m, n * taps).T)
        whole, factor = _solved(cross, right)
        own = np.empty_like(whole)
        for j in range(n):
            here = slice(j * taps, (j + 1) * taps)
            known = factor[:taps, :taps] if j == 0 and factor is not None else None  # the first block's own factor
            own[here], made = _solved(cross[:, j : j + 1, j : j + 1], right[here], known)
            factor = factor if made is not None else None
    if factor is None:  # the shortest solutions leave something of every equation
        return _explicit(reference, estimate, _parts(whole, n), _parts(own, n))
    found, sure = _implicit(reference, estimate, _parts(whole, n), _parts(own, n), products)
    if not sure.all():
        few = ~sure
        values = _explicit(reference, estimate[few], _parts(whole[:, few], n), _parts(own[:, few], n))
        for name, value in values.items():
            found[name][few] = value
    return found


def _parts(filters, n):
    """[m n taps] of columns."""
    return filters.T.reshape(filters.shape[1], n, -1)


@functools.cache
def _libraries():
    return threadpoolctl.ThreadpoolController()


def _one_thread():
    """BLAS on one thread: on these sizes more of them mostly wait for each other, at full speed."""
    return _libraries().limit(limits=1, user_api="blas")


def _lags(reference, estimate, taps):
    """Products of delayed references with references, [2 taps - 1, n, n], and with estimates, [m n taps].

    The first hold <i delayed by a, j delayed by b> at (taps - 1 + a - b, i, j). Only these few lags are wanted, of
    sounds that are much longer: they are cut into segments, whose spectra are added up before the transform back.
    """
    (n, time), m = reference.shape, len(estimate)
    size = min(max(SEGMENT, 1 << (4 * taps - 1).bit_length()), scipy.fft.next_fast_len(time + taps - 1, real=True))
    step = size - taps + 1
    count = -(-time // step)
    signals = np.zeros((n + m, taps - 1 + count * step))
    signals[:n, taps - 1 : taps - 1 + time], signals[n:, taps - 1 : taps - 1 + time] = reference, estimate
    heads = scipy.fft.rfft(signals[:, taps - 1 :].reshape(n + m, count, step), size)  # zeros follow
    windows = np.lib.stride_tricks.sliding_window_view(signals[:n], size, axis=1)[:, ::step]
    windows = scipy.fft.rfft(windows, size)  # what is up to taps - 1 samples earlier, too
    spectra = np.empty((n + m, n, size // 2 + 1), np.complex128)
    heads = np.conjugate(heads, out=heads)
    work = np.empty_like(heads[0])
    for row in range(n + m):
        for column in range(n):
            np.sum(np.multiply(heads[row], windows[column], out=work), 0, out=spectra[row, column])
    found = scipy.fft.irfft(spectra, size)[..., taps - 1 :: -1]  # at [., j, k]: j delayed by k
    cross = np.empty((2 * taps - 1, n, n))
    cross[taps - 1 :] = found[:n].transpose(2, 1, 0)
    cross[taps - 1 :: -1] = found[:n].transpose(2, 0, 1)
    return cross, found[n:]


def _solved(cross, right, factor=None):
    """The least-squares solution [k m] and the factor; the shortest and None where references depend on each other.

    `factor` is that of these equations, where it is known.
    """
    failed = 0
    if factor is None:
        factor, failed = scipy.linalg.lapack.dpotrf(_gram(cross), lower=1, clean=0, overwrite_a=1)
    if not failed:
        return scipy.linalg.lapack.dpotrs(factor, right, lower=1)[0], factor
    lower = np.tril(_gram(cross))
    return np.linalg.lstsq(lower + np.tril(lower, -1).T, right, rcond=None)[0], None


def _gram(cross):
    """The lower half of the normal equations' matrix, [n taps, n taps] in Fortran's order; above it anything."""
    n, taps = cross.shape[1], (len(cross) + 1) // 2
    gram = np.empty((n, taps, n, taps))  # transposed, so that rows are written
    for i in range(n):
        for j in range(i + 1):
            lags = np.ascontiguousarray(cross[:, i, j])
            gram[j, :, i] = np.lib.stride_tricks.sliding_window_view(lags, taps)[::-1]
    return gram.reshape(n * taps, n * taps).T


def _implicit(reference, estimate, whole, own, products):
    """The ratios from energies alone, and for each estimate whether rounding leaves all of them exact to SURE.

    A projection's energy is the product of its filters with the right side, and a residual's is the difference: one of
    nearly equal numbers where the figure is high.
    """
    total = np.sum(estimate**2, -1)[:, None]
    single = np.sum(own * products, -1)  # m n
    joint = np.sum(whole * products, (1, 2))[:, None]
    level = np.sqrt(np.sum(reference**2, -1))
    # What rounding may do to an energy: products of the sounds are known to its share of these levels.
    blur = np.finfo(float).eps * own.shape[-1]
    doubt = blur * (total + (level * np.linalg.norm(own, axis=-1)) ** 2)
    doubts = doubt + blur * (total + np.sum(level * np.linalg.norm(whole, axis=-1), -1, keepdims=True) ** 2)
    n = own.shape[1]
    noise = {"sdr": total - single, "sir": joint - single if n > 1 else np.zeros_like(single), "sar": total - joint}
    sure = (doubt < SURE * np.minimum(noise["sdr"], single)) & (doubts < SURE * np.minimum(noise["sar"], joint))
    if n > 1:
        sure &= doubts < SURE * noise["sir"]
    signal = {"sdr": single, "sir": single, "sar": np.broadcast_to(joint, single.shape)}
    with np.errstate(invalid="ignore"):
        return {name: _decibels(signal[name], noise[name]) for name in noise}, sure.all(1)


def _explicit(reference, estimate, whole, own):
    """The ratios from the residuals themselves, which are exact however small they are."""
    (n, time), taps = reference.shape, own.shape[-1]
    size = scipy.fft.next_fast_len(time + taps - 1, real=True)
    sources = scipy.fft.rfft(reference, size)
    explained = scipy.fft.irfft(np.einsum("nf,mnf->mf", sources, scipy.fft.rfft(whole, size)), size)  # m time

    def energy_beside(filtered):  # of what the estimate has and `filtered` has not
        rest = filtered.copy()
        rest[:, :time] -= estimate
        return np.sum(rest**2, -1)

    found = {name: np.empty((len(estimate), n)) for name in ("sdr", "sir", "sar")}
    for j in range(n):
        target = scipy.fft.irfft(sources[j] * scipy.fft.rfft(own[:, j], size), size)
        energy = np.sum(target**2, -1)
        found["sdr"][:, j] = _decibels(energy, energy_beside(target))
        found["sir"][:, j] = _decibels(
            energy, np.sum((explained - target) ** 2, -1) if n > 1 else np.zeros_like(energy)
        )
        found["sar"][:, j] = _decibels(np.sum(explained**2, -1), energy_beside(explained))
    return found


def _decibels(signal, noise):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(signal == 0, -np.inf, 10 * np.log10(signal / noise))
