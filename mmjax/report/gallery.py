"""The gallery: held-out examples with everything that no section shows of them, right and wrong ones mixed.

It is no section itself: it wants nothing by name, and comes after all others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
from jaxtyping import Bool, UInt8

from mmjax import predictions as glossary
from mmjax import workdir
from mmjax.predictions import TARGET
from mmjax.report import html
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Predictions
from mmjax.report.views import choice, picture, sound
from mmjax.report.views import heads as heads_
from mmjax.report.views.heads import Head
from mmjax.report.views.texts import plain
from mmjax.text import vocabulary

_EXAMPLES = 12
_FRAMES = 6  # of a video
_AUDIO_BYTES = 5_200_000  # of all players together, as base64: the page stays below about 8 MB


def pool(predictions: Predictions) -> int:
    """How many examples have everything that a card shows."""
    return min((len(array) for key, array in predictions.arrays.items() if glossary.alone(key)), default=0)


def showable(key: str, array: np.ndarray) -> bool:
    """Whether a card has a place for an array: of a kind that speaks for itself, in a form of that kind."""
    kind = key.partition("/")[0]
    axes = {"image": (3, 4, 5), "heatmap": (3,), "audio": (2, 3), "video": (5,)}.get(
        kind
    )  # also grey pictures, and channels
    return glossary.alone(key) and array.size > 0 and (axes is None or array.ndim in axes)


def _all_right(heads: list[Head], length: int) -> Bool[np.ndarray, " n"]:
    """Whether no head was wrong, example by example."""
    right = np.ones(length, bool)
    for head in heads:
        count = min(length, len(head.predicted))
        right[:count] &= (head.right | ~head.judged)[:count]
    return right


def render(predictions: Predictions, covered: Collection[str] = ()) -> Markup:
    """The gallery of a split.

    Args:
      predictions: of the run.
      covered: keys that the sections of the page show.

    Returns:
      cards with all else, right and wrong ones in turn, and a line that names what no card has a place for; empty where
      everything is covered; a line saying that there is nothing to show where nothing is stored.
    """
    left = glossary.uncovered(predictions.arrays, covered)
    kept = {key: predictions.arrays[key] for key in left if showable(key, predictions.arrays[key])}
    others = [key for key in left if key not in kept]
    beside = tag("p", f"Stored and shown by no section: {', '.join(others)}.", class_="quiet") if others else Markup()
    if kept:
        return html.join([_cards(dataclasses.replace(predictions, arrays=kept), predictions), beside])
    if covered or others:
        return beside
    return html.empty(f"No examples yet: the run stores them in {workdir.PREDICTIONS}/ with its evaluation.")


def _cards(kept: Predictions, every: Predictions) -> Markup:
    """Cards of what is kept here; heatmaps lie over the picture among `every`, whoever else shows it."""
    found = heads_.find(kept)
    length = min([pool(kept), *(len(head.predicted) for head in found)])
    right = _all_right(found, length)
    chosen = choice.choose(right, _EXAMPLES)
    clips = len(chosen) * max(len(kept.of("audio")), 1)
    seconds = _AUDIO_BYTES * 0.75 / max(clips, 1) / 2 / kept.sample_rate
    below = every.get("image/picture")
    cards = [_card(kept, found, int(example), seconds, below) for example in chosen]
    return html.join([tag("p", _how(kept, found, chosen, right)), tag("div", *cards, class_="cards")])


def _how(predictions: Predictions, found: list[Head], chosen: np.ndarray, right: np.ndarray) -> str:
    words = f"{len(chosen)} of the {len(right):,} examples kept from split “{predictions.split}”"
    judged = [head for head in found if head.judged.any()]
    if not judged:
        return f"{words}, evenly spaced."
    count = int(right[chosen].sum())
    every = min(len(head.predicted) for head in judged)
    good = int(_all_right(judged, every).sum())
    heads = "every head" if len(judged) > 1 else f"head “{judged[0].name}”"
    return (
        f"{words}, chosen by rule and not by eye: {count} on which {heads} is right "
        f"and {len(chosen) - count} others, in turn. "
        f"That mix is not the rate: in the whole split {good:,} of {every:,} are right."
    )


def _card(
    predictions: Predictions, found: list[Head], example: int, seconds: float, below: np.ndarray | None
) -> Markup:
    media = [_pictures(predictions, example, below), _sounds(predictions, example, seconds)]
    chips = [heads_.chip(head, example) for head in found if head.judged[example]]
    head = tag("header", tag("b", f"Example {example}"), *chips)
    bars = tag("div", *(heads_.bars(h, example) for h in found), class_="heads") if found else ""
    shown = tag("div", *media, class_="media") if any(media) else ""
    return tag("article", head, shown, _texts(predictions, example), bars, class_="card")


def _title(name: str) -> str:
    """ "map_target" -> "map (reference)"."""
    return f"{name.removesuffix(TARGET)} (reference)" if name.endswith(TARGET) else name


def _pictures(predictions: Predictions, example: int, below: np.ndarray | None) -> Markup:
    images = {name: _side_by_side(array[example]) for name, array in predictions.of("image").items()}
    images |= {name: _side_by_side(_few(array[example])) for name, array in predictions.of("video").items()}
    figures = [
        picture.figure(image, f"Picture “{_title(name)}” of example {example}", _title(name))
        for name, image in images.items()
    ]
    # A heatmap lies over the example's picture; where that has another name, over the first.
    ground = next(iter(images.values()), None)
    if below is not None and showable("image/picture", below) and example < len(below):
        ground = _side_by_side(below[example])
    for name, array in predictions.of("heatmap").items():
        if glossary.over_time(name):
            continue
        values = np.asarray(array[example], np.float64)
        caption = f"{_title(name)}, {' to '.join(map(html.number, picture.bounds(values)))}"
        label = f"Heatmap “{_title(name)}” of example {example}"
        figures.append(picture.figure(picture.overlay(values, ground), label, caption))
    return tag("div", *figures, class_="pictures") if figures else Markup()


def _few(frames: np.ndarray) -> np.ndarray:
    """Of a video's pictures at most six, evenly spaced."""
    return frames[np.unique(np.linspace(0, len(frames) - 1, _FRAMES).round().astype(int))]


def _side_by_side(image: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """A picture, or k of them [k h w c] in a row."""
    return np.concatenate([picture.pixels(one) for one in image], axis=1) if image.ndim == 4 else picture.pixels(image)


def _sounds(predictions: Predictions, example: int, seconds: float) -> Markup:
    sounds = predictions.of("audio")
    players = [
        sound.player(array[example], predictions.sample_rate, _title(name), example, seconds)
        for name, array in sounds.items()
    ]
    lengths = [array.shape[1] / predictions.sample_rate for array in sounds.values()]
    drawn = [
        sound.features(array[example], name, _title(name), example, max(lengths, default=0))
        for name, array in predictions.of("heatmap").items()
        if glossary.over_time(name)
    ]
    return tag("div", *players, *drawn, class_="sounds") if players or drawn else Markup()


def _texts(predictions: Predictions, example: int) -> Markup:
    lines: list[Markup] = []
    texts, scores = predictions.of("text"), predictions.of("scores")
    for name in sorted(texts, key=lambda name: name != "question"):  # it comes before what is said to it
        if heads_.spelt(name.removesuffix(TARGET), scores, texts):
            continue  # drawn as bars
        array = texts[name]
        entries = [plain(entry) for entry in array[example].flat]
        text = "\n".join(filter(None, entries)) if name in glossary.LISTS else vocabulary.join(entries)
        lines += [tag("dt", _title(name).replace("_", " ")), tag("dd", text or "(empty)")]
    return tag("dl", *lines, class_="texts") if lines else Markup()
