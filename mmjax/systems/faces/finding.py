"""What Speech2Face's predictions are worth: whose face is found by a voice, and what of the speaker it tells.

On the host, over a whole split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from mmjax.metrics import regression, retrieval
from mmjax.task import Figures

CUTS = (1, 5, 10, 100)  # R@k
LANDMARK_ERRORS = ("landmark_error", "shape_error")  # as they are caught, and laid onto the true ones
ALIKE = 0.1  # by which faces agree in the factor that is easiest to hear
ROWS = 64  # queries whose distances are computed at a time


def score(
    kind: str,
    factors: tuple[str, ...],
    durations: tuple[str, ...],
    predictions: Mapping[str, np.ndarray],
    references: Mapping[str, np.ndarray],
) -> Figures:
    """Retrieval of the true face among all of the split by L1, L2 and cosine of the features; what each factor
    explains; and both by the duration of the voice. Speakers are known by the mean feature of their utterances.

    Args:
      kind: "face" or "speaker", whose features are looked for.
      factors: names of the columns of the reference "speaker"; () for none.
      durations: suffixes of "embedding/voice_<suffix>".
      predictions: "embedding/...", "number/factors_of_..." and "number/landmark_errors_of_..." of `hearing.predict`.
      references: "speaker" [n k] where there are factors; "group" [n] of speakers, or of persons where it is known.
    """
    voice, mean = predictions["embedding/voice"], f"mean_{kind}"
    gallery, own = predictions[f"embedding/{kind}"], np.arange(len(voice))
    if kind == "speaker":
        gallery, own = _by_speaker(gallery, references["group"])
    every = np.ones((len(voice), len(gallery)), bool)
    whose = own
    if kind != "speaker" and "group" in references:
        # Whoever is found by another picture of the same person is found: it does not stand in the way.
        whose = np.unique(references["group"], return_inverse=True)[1]
        every = (whose[:, None] != whose[None]) | np.eye(len(voice), dtype=bool)
    others = {"another_voice": voice[_another(whose)], mean: predictions[f"embedding/{mean}"]}
    others |= {f"voice_{suffix}": predictions[f"embedding/voice_{suffix}"] for suffix in durations}
    figures: Figures = {}
    near = None
    if kind == "speaker":
        others["encoder"] = predictions["embedding/encoder"]
    if "number/factors_of_voice" in predictions:
        told = regression.explained(references["speaker"], predictions["number/factors_of_voice"])
        easiest = int(np.argmax(np.where(np.isnan(told), -np.inf, told)))  # of one example nothing is explained
        # What each factor alone gives is known; shown is the one that this voice tells best.
        renamed = {f"only_{name}": "" for name in factors} | {f"only_{factors[easiest]}": "easiest_factor"}
        figures |= _explained(factors, predictions, references["speaker"], renamed)
        del figures[f"{factors[easiest]}_r2/easiest_factor"]  # which it is told
        for who, errors in _of("number/landmark_errors_of_", predictions, renamed).items():
            means = np.asarray(errors, np.float64).mean(0).tolist()
            figures |= {f"{of}/{who}": float(mean) for of, mean in zip(LANDMARK_ERRORS, means, strict=True)}
        others["easiest_factor"] = predictions[f"embedding/only_{factors[easiest]}"]
        others["true_factors"] = predictions["embedding/true_factors"]
        column = references["speaker"][:, easiest]
        near = every & (np.abs(column[:, None] - column[None]) <= ALIKE)
    for measure in ("cosine", "l2", "l1"):
        for name, among in ((kind, every), ("alike", near)):
            if among is None:
                continue
            figures |= _found(f"{name}_{measure}", voice, gallery, own, among, measure)
            for other, query in others.items():
                found = _found(f"{name}_{measure}", query, gallery, own, among, measure)
                figures |= {f"{k}/{other}": v for k, v in found.items() if "/" not in k}
    return figures


def _by_speaker(
    feature: Float[np.ndarray, "n d"], group: np.ndarray
) -> tuple[Float[np.ndarray, "g d"], Int[np.ndarray, " n"]]:
    """The mean feature of each speaker, and whose each example is."""
    names, own = np.unique(group, return_inverse=True)
    return np.stack([feature[own == i].mean(0) for i in range(len(names))]), own


def _another(own: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """For each example one of the next speaker, in turn; of its own where there is but one."""
    order, counts = np.argsort(own, kind="stable"), np.bincount(own)
    begins = np.cumsum(counts) - counts
    place = np.empty_like(order)
    place[order] = np.arange(len(own)) - begins[own[order]]
    following = (own + 1) % len(counts)
    return order[begins[following] + place % counts[following]]


def _of(start: str, predictions: Mapping[str, np.ndarray], renamed: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The predictions whose name begins so, by the rest of it; those renamed to "" are left out."""
    found = {key.removeprefix(start): value for key, value in predictions.items() if key.startswith(start)}
    return {renamed.get(name, name): value for name, value in found.items() if renamed.get(name, name)}


def _explained(
    factors: tuple[str, ...],
    predictions: Mapping[str, np.ndarray],
    speaker: Float[np.ndarray, "n k"],
    renamed: Mapping[str, str],
) -> Figures:
    """R2 of each factor read from the drawn face, or from the feature where none is drawn, by the probe of true faces.

    Beside it those of true faces, of the mean one, of the heard feature, of shorter pieces of the voice, of another's
    voice, and of the features that go with all factors and with the easiest alone.
    """
    found = _of("number/factors_of_", predictions, {**renamed, "speaker": ""})
    read = {name: regression.explained(speaker, factors_read) for name, factors_read in found.items()}
    own = predictions.get("number/factors_of_drawn", predictions["number/factors_of_voice"])
    read["another_voice"] = regression.explained(speaker, np.roll(own, 1, 0))
    best = read.pop("drawn", read["voice"])
    figures: Figures = {}
    for i, name in enumerate(factors):
        figures[f"{name}_r2"] = float(best[i])
        figures |= {f"{name}_r2/{other}": float(found[i]) for other, found in read.items()}
    return figures


def _found(
    name: str,
    query: Float[np.ndarray, "n d"],
    gallery: Float[np.ndarray, "g d"],
    own: Int[np.ndarray, " n"],
    among: Bool[np.ndarray, "n g"],
    measure: str,
) -> Figures:
    """R@k and the median rank of each query's own face, each beside what a random order gives."""
    ranks = np.concatenate(list(_ranks(query, gallery, own, among, measure)))
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
    query: Float[np.ndarray, "n d"],
    gallery: Float[np.ndarray, "g d"],
    own: Int[np.ndarray, " n"],
    among: Bool[np.ndarray, "n g"],
    measure: str,
) -> Iterator[np.ndarray]:
    """The rank of each query's own entry among those that count for it; ties count against us."""
    query, gallery = np.asarray(query, np.float32), np.asarray(gallery, np.float32)
    if measure == "cosine":
        query, gallery = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (query, gallery))
    square = np.sum(gallery.astype(np.float64) ** 2, 1)
    for start in range(0, len(query), ROWS):
        rows = slice(start, start + ROWS)
        some, truth = query[rows], own[rows]
        if measure == "l1":
            distance = np.stack([np.abs(gallery - one).sum(1) for one in some])
        else:
            distance = square[None] - 2 * some.astype(np.float64) @ gallery.T.astype(np.float64)
        at = np.arange(len(some))
        nearer = among[rows] & ~(distance > distance[at, truth][:, None])
        nearer[at, truth] = False
        yield 1 + nearer.sum(1)
