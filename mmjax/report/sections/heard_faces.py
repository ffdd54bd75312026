"""Faces that were heard in voices: the true face beside what a decoder draws of it and of the voice, whom the voice
finds, and how well each hidden factor is read from the voice.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from mmjax.report import html, style
from mmjax.report.html import Markup, join, tag
from mmjax.report.run_files import Predictions, Run
from mmjax.report.views import choice, picture, sound

PLACE = ("examples", 12)
WANTS = (("image/face", "audio/voice"), ("embedding/voice", "embedding/face"))

_EXAMPLES, _FOUND, _POINTS = 10, 3, 600
_SECONDS = 8  # of a player
_CAPTIONS = {
    "picture": "true face",
    "face_of_the_feature": "drawn from its own feature",
    "face_of_the_factors": "drawn from the true factors",
    "face": "heard in the voice",
}


def covers(predictions: Predictions) -> set[str]:
    """The faces, the voices, and the features that the figures compare."""
    keys = {f"image/{name}" for name in _CAPTIONS} | {"audio/voice"}
    return (keys | {f"embedding/{name}" for name in predictions.of("embedding")}) & set(predictions.arrays)


def render(run: Run) -> Markup:
    """Cards of examples, and a scatter of each factor."""
    p = run.predictions
    faces = {name: array for name in _CAPTIONS if (array := p.arrays.get(f"image/{name}")) is not None}
    voices = p.get("audio/voice")
    if not faces or voices is None:
        return _factors(run)
    count = min(len(voices), *(len(array) for array in faces.values()))
    chosen = choice.choose(np.ones(count, bool), _EXAMPLES).tolist()
    cards = [_card(p, faces, voices, n, count) for n in chosen]
    how = (
        f"{len(chosen)} of the {count:,} examples kept from split “{p.split}”, evenly spaced and not chosen by eye. "
        "What is drawn from a voice is no likeness: it is the average of the faces that go with such a voice. "
        f"“Nearest” and “farthest” are among the {count:,} faces that are kept, by the cosine of their features."
    )
    return join([tag("h3", "Faces heard in voices"), tag("p", how), tag("div", *cards, class_="cards"), _factors(run)])


def _card(p: Predictions, faces: dict[str, np.ndarray], voices: np.ndarray, n: int, count: int) -> Markup:
    shown = [_figure(array[n], f"Example {n}: {_CAPTIONS[name]}", _CAPTIONS[name]) for name, array in faces.items()]
    clip = np.trim_zeros(voices[n], "b")[: _SECONDS * p.sample_rate]
    player = tag("audio", src=html.data_uri(sound.wav_bytes(clip, p.sample_rate), "audio/wav"), controls=True)
    rows = [tag("div", *shown, class_="strip"), player]
    voice, face = p.get("embedding/voice"), p.get("embedding/face")
    if voice is not None and face is not None and "picture" in faces and count > 2 * _FOUND:
        order = np.argsort(-_cosines(voice[n], face[:count]), kind="stable")
        rank = int(np.flatnonzero(order == n)[0]) + 1
        ends = (("nearest", order[:_FOUND]), ("farthest", order[-_FOUND:]))
        found = [
            _figure(faces["picture"][i], f"Example {n}: {word} face", word if k == 0 else "", 56)
            for word, places in ends
            for k, i in enumerate(places.tolist())
        ]
        rows += [tag("div", *found, class_="strip"), tag("p", f"The true face is number {rank} of {count}.")]
    return tag("article", *rows, class_="card drawn")


def _figure(face: np.ndarray, label: str, caption: str, widest: int = 112) -> Markup:
    """A face with its caption, of one width whatever the caption's; `widest` in pixels."""
    height, width = face.shape[:2]
    shown = tag("img", src=picture.image_uri(picture.pixels(face)), alt=label, width=width, height=height)
    return tag("figure", shown, tag("figcaption", caption), style=f"flex:1 1 0;max-width:{widest}px")


def _cosines(one: Float[np.ndarray, " d"], others: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    return others @ one / np.maximum(np.linalg.norm(others, axis=1) * np.linalg.norm(one), 1e-12)


def _factors(run: Run) -> Markup:
    """True factors against those that a probe reads from the face that was heard."""
    truth, read = run.predictions.get("number/factors_of_speaker"), run.predictions.get("number/factors_of_drawn")
    read = run.predictions.get("number/factors_of_voice") if read is None else read
    if truth is None or read is None:
        return Markup()
    names = [*map(str, run.config.get("factors", ()))]
    names += [f"factor {i + 1}" for i in range(len(names), truth.shape[1])]
    how = f"as a probe fitted on true faces reads it from the face that was heard, of {len(truth):,} speakers"
    plots = [
        html.plot(_scatter(truth[:, i], read[:, i], name), f"Hidden factor {name}, {how}.", name)
        for i, name in enumerate(names[: truth.shape[1]])
    ]
    return join([tag("p", f"Each hidden factor as it is, and {how}."), tag("div", *plots, class_="plots")])


def _scatter(truth: Float[np.ndarray, " n"], read: Float[np.ndarray, " n"], name: str) -> Figure:
    chosen = np.unique(np.linspace(0, len(truth) - 1, min(len(truth), _POINTS)).round().astype(int))
    with style.axes(2.8, 2.5) as (figure, axes):
        axes.plot((0, 1), (0, 1), color=style.RULE, linewidth=1)
        axes.scatter(truth[chosen], read[chosen], s=6, color=style.SERIES[0], alpha=0.6, linewidths=0)
        axes.set_xlabel(f"{name}, true")
        axes.set_ylabel("read from the face")
        axes.set_ylim(-0.3, 1.3)
    return figure
