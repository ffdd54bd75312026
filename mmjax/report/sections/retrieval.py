"""Retrieval in a joint space, shown: what is nearest to what, the most confident mistakes, the least and most certain.

Drawn where the predictions hold two sides of a joint space: see `report.views.joint`.
"""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Bool, Float

from mmjax.report.html import Markup, join, tag
from mmjax.report.run_files import Run
from mmjax.report.views import choice, joint
from mmjax.report.views.joint import Side

PLACE = ("examples", 20)
WANTS = joint.WANTS
covers = joint.covers

_QUERIES = 8  # of a direction; fewer where three sides make six directions, and half of them where sounds are found
_NEAREST = {"picture": 5, "text": 5, "sound": 2}
_MISTAKES = {"picture": 6, "text": 6, "sound": 4}  # by what is looked for
_CERTAIN = 6


def render(run: Run) -> Markup:
    """The nearest things both ways, mistakes and certainty; empty where there are no two sides to show."""
    sides = joint.sides(run.predictions)
    if not sides:
        return Markup()
    pairs = list(itertools.combinations(sides, 2))
    most = max(_QUERIES // len(pairs), 2)
    counts = " and ".join(f"{len(side.vectors):,} {side.plural}" for side in sides)
    heard = f" Players hold the first {joint.SECONDS:g} s." if any(s.kind == "sound" for s in sides) else ""
    by = "expected distance of the Gaussians" if all(s.unsure is not None for s in sides) else "cosine similarity"
    shown = [
        tag(
            "p",
            f"Among the {counts} of the examples kept on this page, ordered by {by}: ranks here are within these "
            f"few, those under Results within the whole split. Numbers are cosines, ✓ marks what is right.{heard}",
        )
    ]
    for a, b in pairs:
        shown += [_direction(b, a, most), _direction(a, b, most), _mistakes(b, a)]
    return join([tag("h3", "Nearest to each other"), *shown, *(_certainty(side) for side in sides)])


def _direction(queries: Side, items: Side, most: int) -> Markup:
    """Of a few queries, right ones and wrong ones in turn, what is nearest."""
    order, cosine = joint.scores(queries, items)
    match = joint.relevant(queries, items)
    ranks = joint.ranks(order, match)
    right = ranks == 1
    chosen = choice.choose(right, most // 2 if items.kind == "sound" else most)
    cards = [_card(queries, items, int(q), order[q], cosine[q], match[q], int(ranks[q])) for q in chosen]
    how = (
        f" Of {len(right):,} {queries.plural}, {int(right.sum()):,} find a right one first. Both kinds in turn, chosen "
        "by rule."
    )
    title = tag("b", f"{items.plural.capitalize()} for {queries.plural}.")
    return join([tag("p", title, how), tag("div", *cards, class_="cards")])


def _card(
    queries: Side,
    items: Side,
    query: int,
    order: Float[np.ndarray, " k"],
    cosine: Float[np.ndarray, " k"],
    match: Bool[np.ndarray, " k"],
    rank: int,
) -> Markup:
    nearest = np.argsort(-order, kind="stable")[: _NEAREST[items.kind]].tolist()
    shown = [_item(items, n, cosine[n], bool(match[n])) for n in nearest]
    if not match[nearest].any():
        best = int(np.argmax(np.where(match, order, -np.inf)))
        shown.append(_item(items, best, cosine[best], True, f"rank {rank}: "))
    chip = tag("span", f"{'✓' if rank == 1 else '✗'} rank {rank:,}", class_=f"chip {'good' if rank == 1 else 'bad'}")
    found = tag("ul", *shown, class_=f"found {items.kind}")
    if queries.kind != "picture":
        return tag("article", tag("header", tag("b", queries.show(query), class_="query"), chip), found, class_="card")
    header = tag("header", tag("b", f"Picture {queries.example[query]}"), chip)
    return tag("article", header, tag("div", queries.show(query), found, class_="beside"), class_="card")


def _item(items: Side, index: int, cosine: float, right: bool, before: str = "") -> Markup:
    mark = f"{before}{'✓' if right else '✗'} {cosine:.2f}".replace("-", "−")
    kind = "hit" if right else "miss"
    return tag("li", items.show(index), tag("span", mark), class_=f"{kind} apart" if before else kind)


def _mistakes(queries: Side, items: Side) -> Markup:
    """The wrong pairs that are furthest ahead of the right ones."""
    order, cosine = joint.scores(queries, items)
    match = joint.relevant(queries, items)
    best = np.argmax(np.where(match, order, -np.inf), axis=1)
    wrong = np.argmax(np.where(match, -np.inf, order), axis=1)
    rows = np.arange(len(order))
    margin = order[rows, wrong] - order[rows, best]
    ranks, chosen, seen = joint.ranks(order, match), [], set()
    for query in np.argsort(-margin, kind="stable"):
        pair = (int(queries.example[query]), int(wrong[query]))  # of several captions alike one will do
        if margin[query] >= 0 and pair not in seen and not match[query].all():
            seen.add(pair)
            chosen.append(int(query))
    cards = []
    for query in chosen[: _MISTAKES[queries.kind]]:
        found = [
            _item(items, int(wrong[query]), cosine[query, wrong[query]], False),
            _item(items, int(best[query]), cosine[query, best[query]], True, f"rank {ranks[query]}: "),
        ]
        card = [tag("header", tag("b", queries.show(query), class_="query")), tag("ul", *found, class_="found")]
        cards.append(tag("article", *card, class_="card"))
    if not cards:
        return Markup()
    how = f" {items.plural.capitalize()} for {queries.plural} that stand furthest ahead of the right one."
    return join([tag("p", tag("b", "The most confident mistakes."), how), tag("div", *cards, class_="cards small")])


def _certainty(side: Side) -> Markup:
    """The least and the most certain points of a side of Gaussians."""
    if side.unsure is None:
        return Markup()
    order = np.argsort(side.unsure, kind="stable")
    most = min(_CERTAIN, len(order) // 2)
    if not most:
        return Markup()
    panels = []
    for words, chosen in (("most certain", order[:most]), ("least certain", order[::-1][:most])):
        shown = [tag("li", side.show(n), tag("span", f"{side.unsure[n]:.3g}")) for n in chosen.tolist()]
        header = tag("header", tag("b", f"The {words} {side.plural}"))
        panels.append(tag("article", header, tag("ul", *shown, class_=f"found {side.kind}"), class_="card"))
    title = tag("b", f"Certainty of {side.plural}.")
    how = " Numbers are the sums of the Gaussians' variances: smaller is more certain."
    return join([tag("p", title, how), tag("div", *panels, class_="cards")])
