"""STOI and PESQ of voices that were picked out of mixtures, measured on the host: of every estimate of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.metrics.separation import speech
from mmjax.systems.separation.estimates import JUDGED

FIGURES = ("stoi", "pesq")


def measured(names: Sequence[str], rate: int, predicted: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """{"number/quality_<whose>": STOI and PESQ [b 2]} of `JUDGED`, from the sounds that were predicted of a batch.

    Args:
      names: of FIGURES, those that can be had; the others are not a number.
      rate: of the sounds, in Hz.
      predicted: "audio/<whose>" and "audio/estimate_target", int16 [b time], and "number/si_sdr_improvement" [b], which
        is not a number where a mixture does not count.
    """
    counts = np.isfinite(predicted["number/si_sdr_improvement"])
    truth = np.asarray(predicted["audio/estimate_target"])[counts]
    found = {}
    for whose in JUDGED:
        values = np.full((counts.shape[0], len(FIGURES)), np.nan, np.float32)
        for at, name in enumerate(FIGURES):
            if name in names:
                values[counts, at] = getattr(speech, name)(truth, predicted[f"audio/{whose}"][counts], rate)
        found[f"number/quality_{whose}"] = values
    return found


def score(predictions: Mapping[str, Any]) -> dict[str, float]:
    """The means of STOI and of PESQ, and how much the estimates' are above their mixtures', each beside the mixture's
    and the ideal ratio mask's.

    Of the voices of which all of them are known: a voice that says too little has neither.
    """
    rows = [predictions.get(f"number/quality_{whose}") for whose in JUDGED]
    if any(values is None for values in rows):
        return {}
    figures: dict[str, float] = {}
    for name, values in zip(FIGURES, np.moveaxis(np.asarray(rows, np.float64), -1, 0), strict=True):
        known = values[:, np.isfinite(values).all(0)]
        if not known.size:
            continue
        means = dict(zip(JUDGED, known.mean(1).tolist(), strict=True))
        for whose, mean in means.items():
            suffix = "" if whose == "estimate" else f"/{whose}"
            figures[f"{name}{suffix}"] = mean
            figures[f"{name}_improvement{suffix}"] = mean - means["mixture"]
    return figures
