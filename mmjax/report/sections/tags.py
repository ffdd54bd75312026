"""Tagging both ways, shown: the tags of pictures, and the pictures of tags.

Drawn where the predictions hold `number/tag_scores` [n c], `number/tag_truth` [n c] and `image/picture`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from mmjax.report.html import Markup, join, tag
from mmjax.report.run_files import Predictions, Run
from mmjax.report.views import choice, joint

PLACE = ("examples", 30)
WANTS = (("number/tag_scores", "number/tag_truth", "image/picture"),)

Scores = Float[np.ndarray, "n c"]
Truth = Bool[np.ndarray, "n c"]

_PICTURES = 9
_TAGS = 6
_LISTED, _NEAREST = 5, 6


def covers(predictions: Predictions) -> set[str]:
    """What the tags are read from; the pictures are the gallery's, too."""
    return {"number/tag_scores", "number/tag_truth"}


def render(run: Run) -> Markup:
    """Tag lists and rows of pictures; empty where there are no tags."""
    predictions = run.predictions
    pictures, scores, truth = map(predictions.get, ("image/picture", "number/tag_scores", "number/tag_truth"))
    if scores is None or truth is None or pictures is None or scores.ndim != 2 or scores.shape != truth.shape:
        return Markup()
    count = min(len(pictures), len(scores))
    scores = np.nan_to_num(np.asarray(scores[:count], np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    truth = np.asarray(truth[:count], bool)
    listed = predictions.names.get("tags", ())
    names = [listed[n] if n < len(listed) else f"tag {n}" for n in range(scores.shape[1])]
    if not scores.size or not truth.any():
        return Markup()
    return join([_tags_of_pictures(pictures, scores, truth, names), _pictures_of_tags(pictures, scores, truth, names)])


def _order(scores: Scores, truth: Truth) -> Int[np.ndarray, "n c"]:
    """Highest first; of equal scores what is wrong, as the figures count."""
    return np.lexsort((truth, -scores), axis=-1)


def _tags_of_pictures(pictures: np.ndarray, scores: Scores, truth: Truth, names: list[str]) -> Markup:
    tagged = np.flatnonzero(truth.any(1))
    order = _order(scores, truth)
    first = truth[tagged, order[tagged, 0]]
    chosen = tagged[choice.choose(first, _PICTURES)]
    cards = [_tag_list(int(n), pictures[n], order[n], scores[n], truth[n], names) for n in chosen]
    how = (
        f"Of the {len(tagged):,} pictures with tags kept on this page, {int(first.sum()):,} have a right tag first. "
        f"Both kinds in turn, chosen by rule; right tags that are not among the first {_LISTED} follow with their rank."
    )
    return join([tag("h3", "Tags of pictures"), tag("p", how), tag("div", *cards, class_="cards small")])


def _tag_list(
    example: int,
    image: np.ndarray,
    order: Int[np.ndarray, " c"],
    scores: Float[np.ndarray, " c"],
    truth: Bool[np.ndarray, " c"],
    names: list[str],
) -> Markup:
    lines = [_line(names[n], scores[n], bool(truth[n])) for n in order[:_LISTED].tolist()]
    missed = [(rank, n) for rank, n in enumerate(order.tolist(), 1) if rank > _LISTED and truth[n]]
    lines += [_line(names[n], scores[n], True, f"rank {rank}: ") for rank, n in missed[:_LISTED]]
    picture = joint.thumbnail(image, f"Picture of example {example}")
    return tag("article", tag("div", picture, tag("ul", *lines, class_="found text"), class_="beside"), class_="card")


def _line(name: str, score: float, right: bool, before: str = "") -> Markup:
    mark = f"{before}{'✓' if right else '✗'} {score:.2f}".replace("-", "−")
    kind = "hit" if right else "miss"
    return tag("li", tag("span", name), tag("span", mark), class_=f"{kind} apart" if before else kind)


def _pictures_of_tags(pictures: np.ndarray, scores: Scores, truth: Truth, names: list[str]) -> Markup:
    held = np.flatnonzero(truth.any(0))
    order = _order(scores.T, truth.T)
    hits = np.take_along_axis(truth.T, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    quality = (precision * hits).sum(1)[held] / hits.sum(1)[held]
    ranked = held[np.argsort(-quality, kind="stable")]
    chosen = ranked[np.linspace(0, len(ranked) - 1, min(_TAGS, len(ranked))).round().astype(int)]
    average = dict(zip(held.tolist(), quality.tolist()))
    cards = []
    for n in chosen.tolist():
        shown = [_picture(pictures[p], int(p), scores[p, n], bool(truth[p, n])) for p in order[n, :_NEAREST]]
        about = f"{int(truth[:, n].sum())} of {len(truth)} have it, average precision {average[n]:.2f}"
        header = tag("header", tag("b", names[n]), tag("span", about))
        cards.append(tag("article", header, tag("ul", *shown, class_="found picture"), class_="card"))
    how = "From the tag whose pictures stand best to the worst, evenly spaced, among the pictures kept on this page."
    return join([tag("h3", "Pictures of tags"), tag("p", how), tag("div", *cards, class_="cards")])


def _picture(image: np.ndarray, example: int, score: float, right: bool) -> Markup:
    mark = f"{'✓' if right else '✗'} {score:.2f}".replace("-", "−")
    shown = joint.thumbnail(image, f"Picture of example {example}")
    return tag("li", shown, tag("span", mark), class_="hit" if right else "miss")
