"""Where in a picture a sound comes from: heat maps with their boxes, the same picture with other sounds, and curves.

Drawn for `heatmap/heat` over `image/picture`. Beside it stand `audio/sound`, maps of the same picture for other sounds,
`heatmap/heat_<sound>`, all in one scale of colours, these sounds as `audio/sound_<sound>` where they are given, and
boxes, `number/boxes` with `number/sounding`. Curves are of the share of pictures whose cIoU is at least a threshold,
for `number/ciou` and `number/ciou_adaptive` and each map that stands beside them under these names with a suffix.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from mmjax.report import html, style
from mmjax.report.html import Markup, join, tag
from mmjax.report.run_files import Predictions, Run
from mmjax.report.views import picture, sound

PLACE = ("examples", 45)
WANTS = (("heatmap/heat", "image/picture"),)

_EXAMPLES, _WRONG = 8, 5  # shown, and how many of them are wrong, if there are so many
_SIDE = 224  # pixels of a map: the grid of published evaluators
_SECONDS = 6.0  # of each sound: eight of them are 3 MB of the page
_HEARD, _QUIET = (74, 222, 128), (214, 219, 226)  # green: sounds; grey: does not
# suffix -> the key of its own cIoU, and what its plot says
_PROTOCOLS = {
    "ciou": "half of each map marked (at its median)",
    "ciou_adaptive": "as much marked as is true (adaptive)",
}


def covers(predictions: Predictions) -> set[str]:
    """The maps, and the sounds that are played beside them."""
    maps = _maps(predictions)
    sounds = {_sound_of(name) for name in maps}
    return {f"heatmap/{name}" for name in maps} | (sounds & {*predictions.arrays})


def _maps(predictions: Predictions) -> dict[str, Float[np.ndarray, "n h w"]]:
    """Maps by name, that of the own sound first; empty where there is no picture to lay them over."""
    own, pictures = predictions.get("heatmap/heat"), predictions.get("image/picture")
    if own is None or pictures is None or own.ndim != 3 or pictures.ndim != 4:
        return {}
    others = {name: maps for name, maps in predictions.of("heatmap").items() if name.startswith("heat_")}
    return {"heat": own, **{name: maps for name, maps in others.items() if maps.shape == own.shape}}


def render(run: Run) -> Markup:
    """Cards of a few examples, wrong ones first, and the curves; empty without maps."""
    predictions = run.predictions
    maps, pictures = _maps(predictions), predictions.get("image/picture")
    if not maps or pictures is None:
        return Markup()
    count = min(len(pictures), len(maps["heat"]))
    right, judged = _right(predictions, count)
    chosen = _wrong_first(right, judged, count)
    known = np.zeros(count, bool) if judged is None else judged
    cards = [_card(predictions, maps, n, bool(right[n]) if known[n] else None) for n in chosen]
    how = tag("p", _how(right, judged, count, len(chosen), len(maps)))
    return join(
        [tag("h3", "Where the sound comes from"), how, tag("div", *cards, class_="cards"), _curves(predictions)]
    )


def _right(predictions: Predictions, count: int) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"] | None]:
    """Whether each example is right, and which are judged: those in which something sounds; None where none is."""
    hit = predictions.get("number/pointing")
    hit = predictions.get("number/ciou") if hit is None else hit
    if hit is None:
        return np.ones(count, bool), None
    return np.asarray(hit[:count], np.float64) >= 0.5, _heard(predictions, count)


def _heard(predictions: Predictions, count: int) -> Bool[np.ndarray, " n"]:
    """Whether something in the picture sounds; True where nobody says."""
    sounding = predictions.get("number/sounding")
    return np.ones(count, bool) if sounding is None else np.asarray(np.any(sounding[:count], axis=-1), bool)


def _wrong_first(right: np.ndarray, judged: np.ndarray | None, count: int) -> list[int]:
    """Examples by rule: at most _WRONG that are wrong, evenly spaced, then others."""
    wrong = np.flatnonzero(~right) if judged is None else np.flatnonzero(~right & judged)
    others = np.setdiff1d(np.arange(count), wrong)
    many = min(len(wrong), max(_WRONG, _EXAMPLES - len(others)))
    return [*_spaced(wrong, many), *_spaced(others, _EXAMPLES - many)]


def _spaced(of: np.ndarray, most: int) -> list[int]:
    most = min(most, len(of))
    return of[np.linspace(0, len(of) - 1, most).round().astype(int)].tolist() if most else []


def _how(right: np.ndarray, judged: np.ndarray | None, count: int, shown: int, maps: int) -> str:
    words = f"{shown} of the {count:,} examples kept, chosen by rule"
    if judged is not None and judged.any():
        good = int((right & judged).sum())
        words += f", wrong ones first: the map points to what sounds in {good:,} of {int(judged.sum()):,}"
    boxes = ". Green boxes are of what sounds, grey ones of what does not" if judged is not None else ""
    scale = ". The maps of an example share one scale of colours, so that one that hears nothing should be dark"
    return words + boxes + (scale if maps > 1 else "") + "."


def _card(predictions: Predictions, maps: dict[str, np.ndarray], example: int, right: bool | None) -> Markup:
    pictures = predictions.get("image/picture")
    assert pictures is not None
    ground = _enlarged(picture.pixels(pictures[example]))
    limits = picture.bounds(np.stack([own[example] for own in maps.values()]).astype(np.float64))
    figures = [picture.figure(_boxed(ground, predictions, example), f"Picture of example {example}", "picture")]
    for name, own in maps.items():
        low, high = picture.bounds(np.asarray(own[example], np.float64))
        title = _title(name)
        drawn = _boxed(picture.overlay(own[example], ground, limits), predictions, example)
        caption = f"{title}: {html.number(low)} to {html.number(high)}"
        figures.append(picture.figure(drawn, f"Heat map of example {example} for {title}", caption))
    said = "" if right is None else f"{'✓ points to' if right else '✗ misses'} what sounds"
    chip = tag("span", said, class_=f"chip {'good' if right else 'bad'}") if said else ""
    players = []
    for name in maps:
        heard = predictions.get(_sound_of(name))
        if heard is not None and example < len(heard):
            called = _title(name) if name != "heat" else "sound"
            players.append(sound.player(heard[example], predictions.sample_rate, called, example, _SECONDS))
    return tag(
        "article",
        tag("header", tag("b", f"Example {example}"), chip),
        tag("div", tag("div", *figures, class_="pictures"), tag("div", *players, class_="sounds"), class_="media"),
        class_="card",
    )


def _sound_of(name: str) -> str:
    """The key of the sound that a map is for."""
    return f"audio/{name.replace('heat', 'sound', 1)}"


def _title(name: str) -> str:
    """For which sound a map is."""
    return name.removeprefix("heat").lstrip("_").replace("_", " ") or "its own sound"


def _enlarged(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Its longer side _SIDE pixels, so that lines of boxes are as thin in each."""
    shown = Image.fromarray(np.ascontiguousarray(image))
    scale = _SIDE / max(shown.size)
    return np.asarray(shown.resize([max(1, round(side * scale)) for side in shown.size], Image.Resampling.BICUBIC))


def _boxed(image: UInt8[np.ndarray, "h w 3"], predictions: Predictions, example: int) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with its boxes, those that sound on top."""
    boxes, sounding = predictions.get("number/boxes"), predictions.get("number/sounding")
    if boxes is None or example >= len(boxes):
        return image
    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    heard = np.ones(len(boxes[example]), bool) if sounding is None else np.asarray(sounding[example], bool)
    for n in np.argsort(heard, kind="stable"):
        top, left, bottom, right = np.asarray(boxes[example][n], np.float64) * np.tile(image.shape[:2], 2)
        if bottom > top and right > left:
            pen.rectangle((left, top, right - 1, bottom - 1), outline=_HEARD if heard[n] else _QUIET, width=2)
    return np.asarray(drawn)


def _curves(predictions: Predictions) -> Markup:
    """The share of pictures with at least a cIoU, of each map, in a plot for each protocol."""
    plots = []
    for protocol, words in _PROTOCOLS.items():
        own = predictions.get(f"number/{protocol}")
        if own is None:
            continue
        where = _heard(predictions, len(own))
        lines = {"its own sound": own, **_others(predictions, protocol)}
        lines = {name: values[where] for name, values in lines.items() if len(values) == len(where)}
        if where.any():
            plots.append(_plot(lines, words))
    return tag("div", *plots, class_="plots") if plots else Markup()


def _others(predictions: Predictions, protocol: str) -> dict[str, np.ndarray]:
    """{name of a map: its cIoU} of those beside the own one."""
    longer = [other for other in _PROTOCOLS if other != protocol and other.startswith(protocol)]
    names = [name for name in predictions.of("number") if name.startswith(f"{protocol}_")]
    names = [name for name in names if not any(name == other or name.startswith(f"{other}_") for other in longer)]
    return {name.removeprefix(f"{protocol}_").replace("_", " "): predictions.of("number")[name] for name in names}


def _plot(lines: dict[str, np.ndarray], words: str) -> Markup:
    thresholds = np.arange(21) / 20
    with style.axes(4.6, 3.0) as (figure, axes):
        for number, (name, values) in enumerate(lines.items()):
            shares = np.mean(np.asarray(values, np.float64)[:, None] >= thresholds[None], 0)
            area = np.trapezoid(shares, dx=0.05)
            colour = style.SERIES[number % len(style.SERIES)]
            label = f"{name}: {100 * shares[10]:.1f} at .5, area {100 * area:.1f}"
            line = "-" if number < len(style.SERIES) else "--"
            axes.plot(thresholds, shares, line, color=colour, label=label, linewidth=2.2 if number == 0 else 1.1)
        axes.axvline(0.5, color=style.RULE, linewidth=0.8, zorder=0)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="cIoU at least", ylabel="share of pictures", title=words)
        axes.legend(loc="upper right", fontsize=7.5)
    return html.plot(figure, f"Share of pictures by least cIoU, {words}")
