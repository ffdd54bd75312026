"""What Speech2Face's predictions are worth: whose face is found by a voice, and what of the speaker it tells.

On the host, over a whole split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Bool, Float

from mmjax.metrics import regression, retrieval
from mmjax.task import Figures

CUTS = (1, 5, 10, 100)  # R@k
ALIKE = 0.1  # by which faces agree in the factor that is easiest to hear
ROWS = 64  # queries whose distances are computed at a time


def score(
    factors: tuple[str, ...],
    durations: tuple[str, ...],
    predictions: Mapping[str, np.ndarray],
    references: Mapping[str, np.ndarray],
) -> Figures:
    """Retrieval of the true face among all of the split by L1, L2 and cosine of the features; what each factor
    explains; and both by the duration of the voice.

    Args:
      factors: names of the columns of the reference "speaker"; () for none.
      durations: suffixes of "embedding/voice_<suffix>".
      predictions: "embedding/..." and "number/factors_of_..." of `hearing.predict`.
      references: "speaker" [n k] where there are factors.
    """
    voice, face = predictions["embedding/voice"], predictions["embedding/face"]
    others = {"another_voice": np.roll(voice, 1, 0), "mean_face": predictions["embedding/mean_face"]}
    figures: Figures = {}
    near = None
    if "number/factors_of_voice" in predictions:
        figures |= _explained(factors, durations, predictions, references["speaker"])
        told = regression.explained(references["speaker"], predictions["number/factors_of_voice"])
        easiest = int(np.nanargmax(told))
        others["easiest_factor"] = predictions[f"embedding/only_{factors[easiest]}"]
        others["true_factors"] = predictions["embedding/true_factors"]
        column = references["speaker"][:, easiest]
        near = np.abs(column[:, None] - column[None]) <= ALIKE
    every = np.ones((len(face), len(face)), bool)
    for measure in ("cosine", "l2", "l1"):
        for name, among in (("face", every), ("alike", near)):
            if among is None:
                continue
            figures |= _found(f"{name}_{measure}", voice, face, among, measure)
            for other, query in others.items():
                found = _found(f"{name}_{measure}", query, face, among, measure)
                figures |= {f"{k}/{other}": v for k, v in found.items() if "/" not in k}
    for suffix in durations:
        found = _found(f"voice_{suffix}", predictions[f"embedding/voice_{suffix}"], face, every, "cosine")
        figures |= found
    return figures


def _explained(
    factors: tuple[str, ...],
    durations: tuple[str, ...],
    predictions: Mapping[str, np.ndarray],
    speaker: Float[np.ndarray, "n k"],
) -> Figures:
    """R2 of each factor read from the drawn face, or from the feature where none is drawn, by the probe of true faces.

    Beside it those of true faces, of the heard feature, of another's voice and of shorter pieces of the voice.
    """
    read = {
        key.removeprefix("number/factors_of_"): regression.explained(speaker, found)
        for key, found in predictions.items()
        if key.startswith("number/factors_of_") and key != "number/factors_of_speaker"
    }
    read["another_voice"] = regression.explained(speaker, np.roll(predictions["number/factors_of_voice"], 1, 0))
    best = read.pop("drawn", read["voice"])
    figures: Figures = {}
    for i, name in enumerate(factors):
        figures[f"{name}_r2"] = float(best[i])
        figures |= {f"{name}_r2/{other}": float(found[i]) for other, found in read.items()}
    return figures


def _found(
    name: str,
    query: Float[np.ndarray, "n d"],
    face: Float[np.ndarray, "n d"],
    among: Bool[np.ndarray, "n n"],
    measure: str,
) -> Figures:
    """R@k and the median rank of each query's own face, each beside what a random order gives."""
    ranks = np.concatenate(list(_ranks(query, face, among, measure)))
    sizes = among.sum(1)
    figures: Figures = {}
    for k in CUTS:
        figures[f"{name}_r@{k}"] = float(np.mean(ranks <= k))
        figures[f"{name}_r@{k}/chance"] = float(np.mean(np.minimum(k / sizes, 1)))
    figures[f"{name}_median_rank"] = float(np.median(ranks))
    reached = np.mean(np.minimum(np.arange(1, sizes.max() + 1)[None] / sizes[:, None], 1), 0)
    figures[f"{name}_median_rank/chance"] = retrieval.median_of(reached)
    return figures


def _ranks(
    query: Float[np.ndarray, "n d"], face: Float[np.ndarray, "n d"], among: Bool[np.ndarray, "n n"], measure: str
) -> Iterator[np.ndarray]:
    """The rank of each query's own face among those that count for it; ties count against us."""
    query, face = np.asarray(query, np.float32), np.asarray(face, np.float32)
    if measure == "cosine":
        query, face = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (query, face))
    square = np.sum(face.astype(np.float64) ** 2, 1)
    for start in range(0, len(query), ROWS):
        some = query[start : start + ROWS]
        if measure == "l1":
            distance = np.stack([np.abs(face - one).sum(1) for one in some])
        else:
            distance = square[None] - 2 * some.astype(np.float64) @ face.T.astype(np.float64)
        own = np.arange(start, start + len(some))
        truth = distance[np.arange(len(some)), own][:, None]
        nearer = among[start : start + len(some)] & ~(distance > truth)
        nearer[np.arange(len(some)), own] = False
        yield 1 + nearer.sum(1)
