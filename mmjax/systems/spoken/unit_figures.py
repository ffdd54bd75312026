"""What units are worth where the data knows what was spoken: figures of codes beside k-means' and lots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmjax.metrics import abx, spans, units
from mmjax.models.sound.unit_encoder import Encoded
from mmjax.task import Batch, Figures

SUFFIXES = ("_same", "_again", "_other")  # the same by another speaker, by the same again; another thing by the same
# What held-out splits must have for the figures, by how much the data knows.
REFERENCES: dict[str, tuple[str, ...]] = {
    "": (),
    "voices": ("new_speaker", "speech_same", "speech_other"),
    "units": (
        *("new_speaker", "speech_same", "speech_other", "speech_again", "units", "unit_times"),
        *("unit_times_same", "unit_times_again"),
    ),
}
WHO = ("", "mel_kmeans", "mel", "oracle")  # rows of number/abx_...: the units, codes of k-means, frames, true units
PIECES = 4  # of an utterance
MOST = 64  # true units that are told apart
TOLERANCE = 0.02  # seconds that a boundary may be off
Sides = Mapping[str, Mapping[str, tuple[Encoded, float]]]  # {suffix: {who: (codes, seconds of each)}}


def known(sides: Sides, batch: Batch) -> dict[str, Array]:
    """What `score` needs: codes, true units at each code, when units begin, and the margins of ABX."""
    own, out = sides[""], {}
    out["number/codes_mel_kmeans"] = own["mel_kmeans"][0].codes
    if "new_speaker" in batch:
        out["number/new_speaker"] = batch["new_speaker"]
    kinds = [(kind, suffix) for kind, suffix in (("across", "_same"), ("within", "_again")) if suffix in sides]
    if "_other" in sides:
        out |= _sentences(sides, batch, kinds)
    return out | (_truly(sides, batch, kinds) if "unit_times" in batch else {})


def _truly(sides: Sides, batch: Batch, kinds: list[tuple[str, str]]) -> dict[str, Array]:
    """What `score` needs of the true units."""
    own, out = sides[""], {}
    said = batch["units"], batch["units_length"]
    for who in ("", "mel_kmeans"):
        encoded, seconds = own[who]
        true = spans.at_steps(batch["unit_times"], *said, encoded.codes.shape[1], seconds)
        out[f"number/units_at{f'_{who}' if who else ''}"] = jnp.where(encoded.codes >= 0, true, -1)
    inside = jnp.arange(1, batch["units"].shape[1])[None] < said[1][:, None]
    begins = batch["unit_times"][:, 1:, 0]
    out["number/begins"] = jnp.where(inside & (begins < _heard(own[""])[:, None]), begins, jnp.nan)
    if "_same" in sides:
        out |= {"number/pieces": _times(batch), "audio/speech_same": batch["speech_same"]}
    return out | _pieces(sides, batch, kinds)


def _heard(side: tuple[Encoded, float]) -> Float[Array, " b"]:
    """Seconds of each utterance that the codes are of."""
    return side[0].steps.astype(jnp.float32) * side[1]


def _frames(side: tuple[Encoded, float]) -> abx.Frames:
    return abx.Frames(side[0].vectors, side[0].steps)


def _sentences(sides: Sides, batch: Batch, kinds: list[tuple[str, str]]) -> dict[str, Float[Array, "b w 1"]]:
    """Margins of whole utterances: X, the same again or by another, and another sentence by X's speaker."""
    triples = []
    for _, suffix in kinds:
        for who in WHO[:3]:
            x, same, other = (_frames(sides[end][who]) for end in ("", suffix, "_other"))
            triples.append((x, same, other))
    margins, out = iter(abx.margins(triples)), {}
    for kind, suffix in kinds:
        there = (batch[f"speech{suffix}_length"] > 0) & (batch["speech_other_length"] > 0)
        rows = jnp.stack([next(margins) for _ in WHO[:3]], 1)
        out[f"number/abx_sentence_{kind}"] = jnp.where(there[:, None], rows, jnp.nan)[..., None]
    return out


def _pieces(sides: Sides, batch: Batch, kinds: list[tuple[str, str]]) -> dict[str, Float[Array, "b w p"]]:
    """Margins of pieces of three units: X, the same piece of the other utterance, and another piece of X's own."""
    one, two = spans.chosen(batch["units_length"], PIECES)
    differ = spans.differ(batch["units"], batch["units_length"], one, two)
    for end, at in (("", one), ("", two)):
        differ &= spans.ends(batch[f"unit_times{end}"], at) <= _heard(sides[end][""])[:, None]
    triples = []
    for _, suffix in kinds:
        for who in WHO:
            x, same = (_coded(sides[end], who, batch, end) for end in ("", suffix))
            times, times_same = batch["unit_times"], batch[f"unit_times{suffix}"]
            seconds = sides[""][who if who != "oracle" else ""][1]
            own = spans.cut(*x, times, one, seconds)
            triples.append((own, spans.cut(*same, times_same, one, seconds), spans.cut(*x, times, two, seconds)))
    margins, out = iter(abx.margins(triples)), {}
    for kind, suffix in kinds:
        counts = differ & (spans.ends(batch[f"unit_times{suffix}"], one) <= _heard(sides[suffix][""])[:, None])
        rows = [jnp.where(counts, next(margins).reshape(counts.shape), jnp.nan) for _ in WHO]
        out[f"number/abx_{kind}"] = jnp.stack(rows, 1)
    return out


def _times(batch: Batch) -> Float[Array, "b p 6"]:
    """When X, A and B of each triple of pieces begin and end."""
    one, two = spans.chosen(batch["units_length"], PIECES)
    whose = ((batch["unit_times"], one), (batch["unit_times_same"], one), (batch["unit_times"], two))
    found = [(spans.begins(times, at), spans.ends(times, at)) for times, at in whose]
    return jnp.stack([moment for pair in found for moment in pair], -1)


def _coded(side: Mapping[str, tuple[Encoded, float]], who: str, batch: Batch, suffix: str) -> tuple[Array, Array]:
    """Vectors and how many are real: of the true units a vector for each, as if they were codes."""
    if who != "oracle":
        return side[who][0].vectors, side[who][0].steps
    encoded, seconds = side[""]
    times = batch[f"unit_times{suffix}"]
    true = spans.at_steps(times, batch["units"], batch["units_length"], encoded.codes.shape[1], seconds)
    return jnp.asarray(true[..., None] == jnp.arange(MOST)[None, None], jnp.float32), encoded.steps


def score(
    seconds: float,
    mel_seconds: float,
    number: int,
    predictions: Mapping[str, np.ndarray],
    references: Mapping[str, Any],
) -> Figures:
    """Purity, information, boundaries, bits and ABX of the units; beside k-means of log-mel, codes drawn by lot, and
    the true units as the bound.

    Args:
      seconds: of a code.
      mel_seconds: of a code of k-means.
      number: of codes that there are.
      predictions: what `known` gave.
      references: not looked at: all are in the predictions.
    """
    del references
    if "number/codes_mel_kmeans" not in predictions:
        return {}
    codes = predictions["number/codes"]
    lots = np.where(codes >= 0, np.random.default_rng(0).integers(0, number, codes.shape), -1)
    new = np.asarray(predictions.get("number/new_speaker", np.zeros(len(codes))), bool)
    rivals = {"": (codes, seconds), "/mel_kmeans": (predictions["number/codes_mel_kmeans"], mel_seconds)}
    rivals["/by_lot"] = (lots, seconds)
    figures: Figures = {"codes_used": float(len(np.unique(codes[codes >= 0]))), "codes_used/all": float(number)}
    figures |= {f"bits_per_second{end}": units.bits_per_second(*rival) for end, rival in rivals.items()}
    if "number/units_at" in predictions:
        true = predictions["number/units_at"], predictions["number/units_at_mel_kmeans"]
        starts = [row[np.isfinite(row)] for row in predictions["number/begins"]]
        rivals["/oracle"] = (true[0], seconds)
        figures["bits_per_second/oracle"] = units.bits_per_second(*rivals["/oracle"])
        for end, (found, step) in rivals.items():
            figures |= _truth(end, found, true[end == "/mel_kmeans"], step, starts, new)
    for kind in ("across", "within"):
        for name in (f"abx_{kind}", f"abx_sentence_{kind}"):
            if f"number/{name}" in predictions:
                margins = predictions[f"number/{name}"]
                figures |= _errors(name, margins)
                if new.any():
                    figures |= _errors(f"{name}_new_speakers", margins[new])
    return figures


def _truth(end: str, found: Any, units_at: Any, step: float, starts: list[Any], new: Any) -> Figures:
    """Figures of codes beside what was truly spoken."""
    counts = units.table(found, units_at)
    matched = units.boundary_f1(units.boundaries(found, step), starts, TOLERANCE)
    figures = {f"purity{end}": units.purity(counts), f"information{end}": units.mutual_information(counts)}
    figures |= dict(zip((f"boundary_{what}{end}" for what in ("precision", "recall", "f1")), matched, strict=True))
    if new.any():
        figures[f"purity_new_speakers{end}"] = units.purity(units.table(found[new], units_at[new]))
    return figures


def _errors(name: str, margins: Float[np.ndarray, "n w p"]) -> Figures:
    """Shares of triples that are wrong: by who, beside 1/2, what lots give."""
    found: Figures = {}
    for who, rows in zip(WHO, np.moveaxis(margins, 1, 0)):
        rows = rows[np.isfinite(rows)]
        if len(rows):
            found[f"{name}/{who}" if who else name] = float(np.mean(abx.error(rows)))
    return {**found, f"{name}/by_lot": 0.5} if found else {}
