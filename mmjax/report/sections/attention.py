"""Where a network looked at each word that it wrote: its attention over the picture, map by map, the word below.

Drawn for `attention/<name>` [n t i j] that has `text/<name>` [n t], its words, and `image/picture` beside it. Words
that stand in none of the example's references (`text/<name>s_target`, else `text/<name>_target`) are marked.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from mmjax.predictions import TARGET
from mmjax.report.html import Markup, join, tag
from mmjax.report.run_files import Predictions, Run
from mmjax.report.views import choice, picture, texts
from mmjax.text import tokenise, vocabulary

PLACE = ("examples", 40)
WANTS = (("attention/<name>", "text/<name>", "image/picture"),)

_EXAMPLES = 8
_SIDE = 112  # pixels of a map: a caption of 20 words fits on a page
_SPECIAL = frozenset(vocabulary.SPECIAL)


def covers(predictions: Predictions) -> set[str]:
    """The maps; their words stand in the gallery, too, beside the references and what others wrote."""
    return {f"attention/{name}" for name in _drawable(predictions)}


def _drawable(predictions: Predictions) -> dict[str, np.ndarray]:
    """The maps that have words and a picture, by name."""
    words = predictions.of("text")
    return {
        name: maps
        for name, maps in predictions.of("attention").items()
        if predictions.get("image/picture") is not None and name in words and (maps.ndim, words[name].ndim) == (4, 2)
    }


def render(run: Run) -> Markup:
    """A row of maps for each of a few examples, captions of known words and others in turn; empty without attention."""
    pictures, spelled, shown = run.predictions.get("image/picture"), run.predictions.of("text"), []
    for name, maps in _drawable(run.predictions).items():
        assert pictures is not None
        references = spelled.get(f"{name}s{TARGET}", spelled.get(f"{name}{TARGET}"))
        count = min(map(len, (maps, pictures, spelled[name], *(() if references is None else (references,)))))
        rows = [_Row(spelled[name][n], None if references is None else references[n]) for n in range(count)]
        chosen = choice.choose(np.array([not row.strange for row in rows], bool), _EXAMPLES)
        cards = [_card(int(n), pictures[n], maps[n], rows[n]) for n in chosen]
        shown += [tag("h3", f"Word by word: {name}"), tag("p", _how(rows, references)), *cards]
    return join(shown)


class _Row:
    """The words of one caption, its references as text, and which words none of them has."""

    def __init__(self, entries: np.ndarray, reference: np.ndarray | None):
        self.words = words_of(entries)
        self.references = [] if reference is None else _lines(reference)
        known = {word for text in self.references for rules in tokenise.RULES for word in tokenise.caption(text, rules)}
        self.strange = {word for word in self.words if known and word.strip(vocabulary.SPACE) not in known}


def words_of(entries: np.ndarray) -> list[str]:
    """The words of a row of spelled tokens, up to the first <end>."""
    words = [texts.plain(entry) for entry in entries.tolist()]
    stop = words.index(vocabulary.SPECIAL[vocabulary.END]) if vocabulary.SPECIAL[vocabulary.END] in words else None
    return [word for word in words[:stop] if word and word not in _SPECIAL]


def _lines(reference: np.ndarray) -> list[str]:
    """References as text: one of spelled tokens, or several separated by line breaks."""
    if np.ndim(reference):
        return [vocabulary.join(reference.tolist())]
    return str(reference).split("\n")


def _how(rows: list[_Row], references: np.ndarray | None) -> str:
    words = "The attention that made each word, from its least (grey) to its most (bright)."
    if references is None:
        return words
    right = sum(not row.strange for row in rows)
    return (
        f"{words} Marked are words that none of the picture's reference captions has; of the {len(rows)} captions "
        f"kept, {right} have no such word. Both kinds are shown in turn, chosen by rule."
    )


def _card(example: int, image: np.ndarray, maps: Float[np.ndarray, "t i j"], row: _Row) -> Markup:
    small = _small(picture.pixels(image))
    figures = [picture.figure(small, f"Picture of example {example}", "picture")]
    figures += [
        _word(picture.overlay(heat, small), example, word, word in row.strange)
        for word, heat in zip(row.words, np.asarray(maps, np.float64), strict=False)
    ]
    chip = ""
    if row.references:
        said = f"✗ {len(row.strange)} in no reference" if row.strange else "✓ every word in a reference"
        chip = tag("span", said, class_=f"chip {'bad' if row.strange else 'good'}")
    about = [tag("dt", "references"), tag("dd", "\n".join(row.references))] if row.references else []
    return tag(
        "article",
        tag("header", tag("b", f"Example {example}"), chip),
        tag("div", *figures, class_="pictures words"),
        tag("dl", *about, class_="texts") if about else "",
        class_="card attention",
    )


def _word(shown: UInt8[np.ndarray, "h w 3"], example: int, word: str, strange: bool) -> Markup:
    height, width = shown.shape[:2]
    label = f"Attention of example {example} at “{word}”"
    drawn = tag("img", src=picture.image_uri(shown), alt=label, width=width, height=height)
    return tag("figure", drawn, tag("figcaption", word, class_="bad" if strange else None))


def _small(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """At most 112 pixels a side."""
    shown = Image.fromarray(np.ascontiguousarray(image))
    shown.thumbnail((_SIDE, _SIDE))
    return np.asarray(shown)
