"""What each modality tells of the answer, in bits: usable information, and its parts where two tell of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.audit.shares import span
from mmjax.metrics.information import batches, calibration, decomposition, quantise, trust, usable

RARE = 0.05  # answers with a smaller share of the examples are one answer in the table
MOST = 8  # clusters of a side


def measure(
    known: tuple[np.ndarray, Mapping[str, np.ndarray]],
    held: tuple[np.ndarray, Mapping[str, np.ndarray]],
    players: Sequence[str],
    permutations: int,
    seed: int,
    kinds: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Bits and calibration of the system and of each one-sided predictor.

    Args:
      known: (class [n], {who: logits [n c]}) of the validation split, on which the prior and the calibration are
        fitted: "" for the system, and one for each of `players`.
      held: likewise, of the split that is audited and chooses nothing.
      players: the modalities.
      permutations, seed: of the p-values, intervals and clusters.
      kinds: {name: which examples of `held` are of this kind, bool [n]}, such as types of questions.

    Returns:
      prior: bits of the answer that the prior does not tell; tells: {who: usable information with its interval and p};
      right: {who: {kind: the share that its likeliest class gets right, as it was trained}}, "" for all kinds;
      together: what the system knows more than the sum of its sides; calibration: {who: errors before and after};
      reliability: of the system after it; parts: of two sides, or the line why there are none; batch_parts: the same
      from the probabilities alone; examples: that have a class.
    """
    there = {"": np.ones(len(held[0]), bool), **(kinds or {})}
    there = {name: of[held[0] >= 0] for name, of in there.items()}
    (label, logits), (known_label, known_logits) = _classed(*held), _classed(*known)
    classes = next(iter(logits.values())).shape[1]
    prior = calibration.log_prior(known_label, classes)
    who = ("", *players)
    log_p = {w: calibration.fit(known_logits[w], known_label, prior)(logits[w]) for w in who}
    each = {w: usable.bits(log_p[w], label, prior) for w in who}
    after = {w: calibration.reliability(np.exp(log_p[w]), label) for w in who}
    raw = {w: calibration.log_softmax(logits[w]) for w in who}
    # As they were said: the calibration of a side that tells nothing by itself gives all the same prior, and what it
    # tells beside the other would be gone.
    sides = {m: (calibration.log_softmax(known_logits[m]), raw[m]) for m in players}
    return {
        "examples": len(label),
        "classes": classes,
        "prior": span(-prior[label] / np.log(2), seed),
        "tells": {w: {**span(each[w], seed), "p": float(trust.p_value(each[w], permutations, seed))} for w in who},
        "right": {w: _right(raw[w], label, there, seed) for w in who},
        "together": span(each[""] - sum(each[m] for m in players), seed),
        "calibration": {
            w: {"before": calibration.reliability(np.exp(raw[w]), label).error, "after": after[w].error} for w in who
        },
        "reliability": {name: _plain(getattr(after[""], name)) for name in ("confidence", "accuracy", "share")},
        "parts": parts(known_label, label, sides, permutations, seed),
        "batch_parts": batch_parts(known_label, log_p, players, seed),
    }


def _right(said: np.ndarray, label: np.ndarray, kinds: Mapping[str, np.ndarray], seed: int) -> dict[str, Any]:
    """{kind: the share that the likeliest class gets right}, without kinds of which there is none."""
    hit = (said.argmax(1) == label).astype(np.float64)
    return {name: span(hit[of], seed) for name, of in kinds.items() if of.any()}


def _plain(values: np.ndarray) -> list[float | None]:
    """Numbers for JSON, which has no NaN."""
    return [None if x != x else float(x) for x in values]


def _classed(label: np.ndarray, logits: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Those examples that have a class."""
    there = label >= 0
    return label[there], {who: value[there] for who, value in logits.items()}


def numbered(known: np.ndarray, classes: int) -> np.ndarray:
    """The number of each class, [classes]: those that are rare among the known examples share the last one."""
    common = np.flatnonzero(np.bincount(known, minlength=classes) >= RARE * max(len(known), 1))
    number = np.full(classes, len(common))
    number[common] = np.arange(len(common))
    return number


def batch_parts(
    known: np.ndarray, log_p: Mapping[str, np.ndarray], players: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """Redundant, unique and synergistic bits by the batch estimator, of calibrated predictors, rare classes as one.

    Args:
      known: classes of the validation split.
      log_p: {who: log-probabilities of the audited split, [n c]}, "" for the system.
      players: the modalities.
      seed: of the order in which examples come into batches, for a data set's own may go by class or by picture.
    """
    if len(players) != 2:
        return {"refused": f"parts are of two modalities, and here are {len(players)}"}
    number = numbered(known, next(iter(log_p.values())).shape[1])
    into = np.eye(number.max() + 1)[number]  # c merged
    order = np.random.default_rng(seed).permutation(len(log_p[""]))
    one, two, both = (np.exp(log_p[who][order]) @ into for who in (*players, ""))
    if len(one) < 2 * batches.SIZE:
        return {"refused": f"{len(one):,} examples are too few for two batches of {batches.SIZE}"}
    found = batches.parts(one, two, both)
    low, high = found.interval
    names = ("redundant", *(f"only {m}" for m in players), "synergy")
    spans = {
        name: {"value": float(found.value[i]), "low": float(low[i]), "high": float(high[i])}
        for i, name in enumerate(names)
    }
    return {"batches": len(found.parts), "size": batches.SIZE, "answers": int(number.max()) + 1, "bits": spans}


def parts(
    known: np.ndarray,
    label: np.ndarray,
    sides: Mapping[str, tuple[np.ndarray, np.ndarray]],
    permutations: int,
    seed: int,
) -> dict[str, Any]:
    """Redundant, unique and synergistic bits of two sides, each quantised by what it says of the answer.

    Clusters are of the validation split's predictions, by the roots of their probabilities (Hellinger's distance), as
    many as the examples are enough for. A quantised side tells less than the side: lower bounds of its information.

    Args:
      known, label: classes of the validation split and of the audited one.
      sides: {modality: log-probabilities of the validation split and of the audited one, [n c] each}.
      permutations: of the answers, for the bias and the p-values; and as many draws for the intervals.
      seed: of all of these.
    """
    if len(sides) != 2:
        return {"refused": f"parts are of two modalities, and here are {len(sides)}"}
    number = numbered(known, int(max(known.max(initial=0), label.max(initial=0))) + 1)
    answer, classes = number[label], int(number.max()) + 1
    clusters = min(MOST, math.isqrt(len(label) // (decomposition.ENOUGH * classes)))
    if clusters < 2 or classes < 2:
        least = decomposition.ENOUGH * 4 * classes
        return {"refused": f"{len(label):,} examples are too few for a table of 2 x 2 x {classes} cells: {least:,}"}
    numbers = []
    for before, now in sides.values():
        centres = quantise.centres(np.exp(before / 2), clusters, seed)
        numbers.append(quantise.assign(np.exp(now / 2), centres))
    one, two = numbers
    found = decomposition.decompose(one, two, answer, permutations, permutations, seed)
    names = ("redundant", *(f"only {m}" for m in sides), "synergy")
    return {
        "cells": found.shape,
        "bits": {
            name: {
                "value": float(found.value[i]),
                "low": float(found.low[i]),
                "high": float(found.high[i]),
                "p": float(found.p[i]),
                "claimed": found.claimed(decomposition.PARTS[i]),
            }
            for i, name in enumerate(names)
        },
    }
