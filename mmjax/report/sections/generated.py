"""What a network drew: each caption with pictures from several codes beside the real one, and what lies between two.

Drawn for `image/generated` [n h w 3], a picture for each example's text, or in its place `image/codes`, several: a
strip [n h k*w 3], or [n k h w 3]. `image/real` stands beside it; every strip on the way from one thing to another
(`image/between_captions`) follows under its own name. What was to be drawn is `text/caption` or `text/caption_target`,
else the first reference, else the name of the class; the text at the far end of a strip, where it is known, is
`text/<name of the strip>`.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mmjax.predictions import TARGET
from mmjax.report import html
from mmjax.report.html import Markup, join, tag
from mmjax.report.run_files import Predictions, Run
from mmjax.report.views import choice, heads, picture
from mmjax.report.views.texts import plain
from mmjax.text import vocabulary

PLACE = ("examples", 10)
WANTS = (("image/generated",),)

_EXAMPLES, _WAYS = 12, 8  # rows of the grid, and of each of the other strips
_SIDE = 128  # pixels of a picture at most: shown at half, sharp on dense screens
_WIDEST = 12  # pictures of a strip
_KNOWN = ("generated", "codes", "real")
_BETWEEN = "between_"  # begins the names of all strips on the way from one thing to another


def covers(predictions: Predictions) -> set[str]:
    """All pictures of it, what was to be drawn, and what stands at the far ends."""
    names = _strips(predictions)
    keys = {f"image/{name}" for name in names} | {f"text/{name}" for name in names if name.startswith(_BETWEEN)}
    return (keys | _words(predictions)[0]) & set(predictions.arrays)


def _strips(predictions: Predictions) -> dict[str, UInt8[np.ndarray, "n k h w 3"]]:
    """Everything that was drawn, and the real pictures, by name."""
    wired = {name: predictions.get(f"image/{name}") for name in _KNOWN}
    ways = {name: array for name, array in predictions.of("image").items() if name.startswith(_BETWEEN)}
    arrays = {name: array for name, array in {**wired, **ways}.items() if array is not None}
    return {name: strip for name, array in arrays.items() if (strip := tiles(array)) is not None}


def render(run: Run) -> Markup:
    """The grid of captions and codes, real beside drawn, and the strips; empty where nothing was drawn."""
    predictions, images = run.predictions, _strips(run.predictions)
    drawn = images.get("codes", images.get("generated"))
    if drawn is None or "generated" not in images:
        return Markup()
    real = images.get("real")
    ways = {name: strip for name, strip in images.items() if name.startswith(_BETWEEN)}
    _, words = _words(predictions)
    count = len(drawn) if real is None else min(len(drawn), len(real))
    chosen = choice.choose(np.ones(count, bool), _EXAMPLES).tolist()
    rows = [_row(words(n), drawn[n], None if real is None else real[n]) for n in chosen]
    codes = drawn.shape[1]
    pictures = f"{codes} pictures, each from a code of its own" if codes > 1 else "a picture"
    beside = ", beside the real one that the text belongs to" if real is not None else ""
    how = (
        f"For each text {pictures}{beside}. {len(chosen)} of the {count:,} examples kept from split "
        f"“{predictions.split}”, evenly spaced and not chosen by eye."
    )
    shown = [tag("h3", "Drawn"), tag("p", how), tag("div", *rows, class_="cards")]
    return join([*shown, *(_between(predictions, name, strip, words) for name, strip in ways.items())])


def tiles(array: np.ndarray) -> UInt8[np.ndarray, "n k h w 3"] | None:
    """Pictures, several of each or a strip of square ones, as k pictures each; None for anything else."""
    if array.ndim == 4 and array.shape[3] == 3 and array.size:
        n, height, width, _ = array.shape
        k = width // height if width % height == 0 else 1
        array = array.reshape(n, height, k, width // k, 3).swapaxes(1, 2)
    if array.ndim != 5 or array.shape[4] != 3 or not array.size:
        return None
    array = array[:, :_WIDEST]
    return np.stack([[picture.pixels(tile) for tile in row] for row in array])


def _words(predictions: Predictions) -> tuple[set[str], Callable[[int], str]]:
    """What was to be drawn: the keys that tell it whole, and the words of an example."""
    for key in ("text/caption", "text/caption_target", "text/captions_target"):
        rows = predictions.get(key)
        if rows is not None:
            return {key}, functools.partial(_text, rows)
    for head in heads.find(predictions):
        keys = {f"label/{head.name}", f"label/{head.name}{TARGET}"} if head.scores is None else set()
        return keys, functools.partial(_class, head)
    return set(), lambda n: f"example {n}"


def _class(head: heads.Head, example: int) -> str:
    """The class that was to be drawn."""
    return head.class_name(int(head.target[example] if head.judged[example] else head.predicted[example]))


def _text(rows: np.ndarray, example: int) -> str:
    """The first line of a row: spelled tokens, a text, or several with line breaks between."""
    if example >= len(rows):
        return f"example {example}"
    entries = [plain(entry) for entry in np.ravel(rows[example])]
    text = vocabulary.join(entries) if len(entries) > 1 else entries[0]
    return text.split("\n")[0] or f"example {example}"


def _row(words: str, drawn: UInt8[np.ndarray, "k h w 3"], real: UInt8[np.ndarray, "1 h w 3"] | None) -> Markup:
    several = len(drawn) > 1
    label = f"{len(drawn)} pictures drawn for “{words}”" if several else f"Drawn for “{words}”"
    figures = [] if real is None else [_strip(real, f"Real picture of “{words}”", "real")]
    figures.append(_strip(drawn, label, f"drawn, {len(drawn)} codes" if several else "drawn"))
    return tag("article", tag("q", words), tag("div", *figures, class_="strip"), class_="card drawn")


def _between(predictions: Predictions, name: str, strips: np.ndarray, words: Callable[[int], str]) -> Markup:
    """What is drawn on the way from one thing to another."""
    ends = predictions.get(f"text/{name}")
    rows = []
    for n in choice.choose(np.ones(len(strips), bool), _WAYS).tolist():
        start, end = words(n), None if ends is None else _text(ends, n)
        label = f"{len(strips[n])} pictures on the way from “{start}” to “{end}”" if end else f"Pictures of “{start}”"
        title = [tag("q", start), " to ", tag("q", end)] if end else [tag("q", start)]
        strip = tag("div", _strip(strips[n], label), class_="strip")
        rows.append(tag("article", tag("div", *title), strip, class_="card drawn"))
    return join([tag("h3", name.replace("_", " ").capitalize()), tag("div", *rows, class_="cards")])


def _strip(pictures: UInt8[np.ndarray, "k h w 3"], label: str, caption: str = "") -> Markup:
    """Pictures side by side as one image, so that a page of hundreds stays small."""
    gap = np.full((pictures.shape[1], max(pictures.shape[1] // 32, 1), 3), 255, np.uint8)
    side = np.concatenate([part for tile in pictures for part in (gap, tile)][1:], axis=1)
    height, width = side.shape[:2]
    shown = Image.fromarray(np.ascontiguousarray(side))
    if height > _SIDE:
        shown = shown.resize((width * _SIDE // height, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, format="JPEG", quality=90, subsampling=0)
    source = html.data_uri(buffer.getvalue(), "image/jpeg")
    drawn = tag("img", src=source, alt=label, width=shown.width, height=shown.height)
    k = len(pictures)
    return tag(
        "figure", drawn, tag("figcaption", caption) if caption else "", style=f"flex:{k} 1 0;max-width:{k * 96}px"
    )
