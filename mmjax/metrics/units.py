"""How well codes stand for the units that were spoken, counted frame by frame; and what they cost.

Purity, mutual information and boundaries as in van Niekerk, Nortje and Kamper 2020 and Dunbar et al. 2020 (the
ZeroSpeech challenge), on the host, over a whole split at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int


def table(codes: Int[np.ndarray, "*n"], units: Int[np.ndarray, "*n"]) -> Int[np.ndarray, "k u"]:
    """How often each code was heard in each unit; frames where either is negative do not count."""
    counts = (codes >= 0) & (units >= 0)
    codes, units = codes[counts], units[counts]
    if not len(codes):
        return np.zeros((1, 1), np.int64)
    shape = int(codes.max()) + 1, int(units.max()) + 1
    return np.bincount(codes.astype(np.int64) * shape[1] + units, minlength=shape[0] * shape[1]).reshape(shape)


def purity(counts: Int[np.ndarray, "k u"]) -> float:
    """The share of frames whose unit is the most frequent one of their code. As many codes as frames have 1."""
    return float(counts.max(1).sum() / max(counts.sum(), 1))


def mutual_information(counts: Int[np.ndarray, "k u"]) -> float:
    """I(code; unit) over the mean of both entropies, 0..1 (Strehl and Ghosh 2002 with the arithmetic mean, as
    scikit-learn's default); 1 where both are constant."""
    joint = counts / max(counts.sum(), 1)
    parts = [_entropy(joint.sum(axis)) for axis in (0, 1)]
    shared = sum(parts) - _entropy(joint.ravel())
    return float(shared / (sum(parts) / 2)) if sum(parts) > 0 else 1.0


def _entropy(p: Float[np.ndarray, " k"]) -> float:
    p = p[p > 0]
    return float(-np.sum(p * np.log(p)))


def bits_per_second(codes: Int[np.ndarray, "b t"], seconds: float) -> float:
    """Bits of the runs of equal codes, by how frequent each code is among runs, per second of sound: the bitrate of
    ZeroSpeech 2019 (Dunbar et al. 2019), N / D times the entropy, of what is left when repeats are collapsed.

    Args:
      codes: of each frame; negative ones, behind an utterance, do not count.
      seconds: that a frame lasts.
    """
    real = codes >= 0
    begins = real & np.concatenate([np.ones((len(codes), 1), bool), codes[:, 1:] != codes[:, :-1]], 1)
    runs = np.bincount(codes[begins]) if begins.any() else np.ones(1)
    bits = _entropy(runs / runs.sum()) / np.log(2)
    return float(runs.sum() * bits / max(real.sum() * seconds, 1e-9)) if begins.any() else 0.0


def boundaries(codes: Int[np.ndarray, "b t"], seconds: float) -> list[Float[np.ndarray, " n"]]:
    """Where each row's code changes, in seconds."""
    change = (codes[:, 1:] != codes[:, :-1]) & (codes[:, 1:] >= 0)
    return [(np.flatnonzero(row) + 1) * seconds for row in change]


def boundary_f1(
    found: Sequence[Float[np.ndarray, " n"]], true: Sequence[Float[np.ndarray, " m"]], tolerance: float = 0.02
) -> tuple[float, float, float]:
    """Precision, recall and F1 of boundaries, each true one found at most once, within `tolerance` seconds.

    Both are taken in order, which for times on a line gives as many pairs as can be.
    """
    hits = sum(_matched(np.sort(a), np.sort(b), tolerance) for a, b in zip(found, true, strict=True))
    precision = hits / max(sum(map(len, found)), 1)
    recall = hits / max(sum(map(len, true)), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def _matched(found: Float[np.ndarray, " n"], true: Float[np.ndarray, " m"], tolerance: float) -> int:
    hits, at = 0, 0
    for moment in found:
        while at < len(true) and true[at] < moment - tolerance - 1e-9:
            at += 1
        if at < len(true) and true[at] <= moment + tolerance + 1e-9:
            hits, at = hits + 1, at + 1
    return hits
