"""The gallery: held-out examples with everything that was stored of them, right and wrong ones mixed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from mmjax.report import html
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Predictions
from mmjax.report.views import heads as heads_
from mmjax.report.views import picture, sound
from mmjax.report.views.heads import Head
from mmjax.text import vocabulary

_EXAMPLES = 12
_AUDIO_BYTES = 5_200_000  # of all players together, as base64: the page stays below about 8 MB
_SHOWN = ("image", "heatmap", "audio", "text")
_TARGET = "_target"
_SPECIAL = set(vocabulary.SPECIAL)


def choose(right: Bool[np.ndarray, " n"], most: int) -> Int[np.ndarray, " k"]:
    """At most `most` examples, right and wrong in turn, evenly spaced over each; the same ones each time.

    Args:
      right: [n], whether the network was right on each example of the pool.
      most: how many to take.

    Returns:
      their indices; where one sort is short the other fills up.
    """
    groups = [np.flatnonzero(right), np.flatnonzero(~right)]
    half = most // 2
    takes = [min(len(groups[0]), max(most - half, most - len(groups[1]))), 0]
    takes[1] = min(len(groups[1]), most - takes[0])
    picked = [g[np.linspace(0, len(g) - 1, k).round().astype(int)] for g, k in zip(groups, takes)]
    keys = [np.arange(k) * 2 + offset for offset, k in enumerate(takes)]
    return np.concatenate(picked)[np.argsort(np.concatenate(keys), kind="stable")].astype(int)


def pool(predictions: Predictions) -> int:
    """How many examples have everything that a card shows."""
    shown = [len(array) for key, array in predictions.arrays.items() if key.split("/")[0] in _SHOWN]
    return min(shown or [len(array) for array in predictions.arrays.values()], default=0)


def _all_right(heads: list[Head], length: int) -> Bool[np.ndarray, " n"]:
    """Whether no head was wrong, example by example."""
    right = np.ones(length, bool)
    for head in heads:
        count = min(length, len(head.predicted))
        right[:count] &= (head.right | ~head.judged)[:count]
    return right


def render(predictions: Predictions) -> Markup:
    """The gallery of a split, or a line saying that there is nothing to show."""
    length = pool(predictions)
    found = heads_.find(predictions)
    kinds = {key.split("/")[0] for key in predictions.arrays}
    if not length or not kinds & {*_SHOWN, "scores", "label"}:
        return html.empty("No examples yet: the run stores them in predictions/ with its evaluation.")
    length = min([length, *(len(head.predicted) for head in found)])
    right = _all_right(found, length)
    chosen = choose(right, _EXAMPLES)
    clips = len(chosen) * max(len(predictions.of("audio")), 1)
    seconds = _AUDIO_BYTES * 0.75 / clips / 2 / predictions.sample_rate
    cards = [_card(predictions, found, int(example), seconds) for example in chosen]
    return html.join([tag("p", _how(predictions, found, chosen, right)), tag("div", *cards, class_="cards")])


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


def _card(predictions: Predictions, found: list[Head], example: int, seconds: float) -> Markup:
    media = [_pictures(predictions, example), _sounds(predictions, example, seconds)]
    chips = [heads_.chip(head, example) for head in found if head.judged[example]]
    head = tag("header", tag("b", f"Example {example}"), *chips)
    bars = tag("div", *(heads_.bars(h, example) for h in found), class_="heads") if found else ""
    shown = tag("div", *media, class_="media") if any(media) else ""
    return tag("article", head, shown, _texts(predictions, example), bars, class_="card")


def _title(name: str) -> str:
    """ "map_target" -> "map (reference)"."""
    return f"{name.removesuffix(_TARGET)} (reference)" if name.endswith(_TARGET) else name


def _pictures(predictions: Predictions, example: int) -> Markup:
    images = {
        name: picture.pixels(array[example]) for name, array in predictions.of("image").items() if array.ndim in (3, 4)
    }
    figures = [
        picture.figure(image, f"Picture “{_title(name)}” of example {example}", _title(name))
        for name, image in images.items()
    ]
    below = next(iter(images.values()), None)
    for name, array in predictions.of("heatmap").items():
        if array.ndim != 3 or not array[0].size or sound.feature(name):
            continue
        values = np.asarray(array[example], np.float64)
        caption = f"{_title(name)}, {' to '.join(map(html.number, picture.bounds(values)))}"
        label = f"Heatmap “{_title(name)}” of example {example}"
        figures.append(picture.figure(picture.overlay(values, below), label, caption))
    return tag("div", *figures, class_="pictures") if figures else Markup()


def _sounds(predictions: Predictions, example: int, seconds: float) -> Markup:
    players = [
        sound.player(array[example], predictions.sample_rate, _title(name), example, seconds)
        for name, array in predictions.of("audio").items()
        if array.ndim > 1 and array.shape[1]
    ]
    lengths = [array.shape[1] / predictions.sample_rate for array in predictions.of("audio").values() if array.ndim > 1]
    drawn = [
        sound.features(array[example], name, _title(name), example, max(lengths, default=0))
        for name, array in predictions.of("heatmap").items()
        if array.ndim == 3 and array[0].size and sound.feature(name)
    ]
    return tag("div", *players, *drawn, class_="sounds") if players or drawn else Markup()


def _texts(predictions: Predictions, example: int) -> Markup:
    lines, texts, scores = [], predictions.of("text"), predictions.of("scores")
    for name in sorted(texts, key=lambda name: name != "question"):  # it comes before what is said to it
        if heads_.spelt(name.removesuffix(_TARGET), scores, texts):
            continue  # drawn as bars
        array = texts[name]
        entries = [
            entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry)
            for entry in array[example].flat
        ]
        # Words of a vocabulary, padded, are one text; anything else is a list.
        text = vocabulary.join(entries) if _SPECIAL & set(entries) else "\n".join(filter(None, entries))
        lines += [tag("dt", _title(name).replace("_", " ")), tag("dd", text or "(empty)")]
    return tag("dl", *lines, class_="texts") if lines else Markup()
