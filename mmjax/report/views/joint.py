"""The sides of a joint space as the report shows them: points, and the picture, caption or sound that each stands for.

Read from `embedding/<side>` [n d] or [n c d] with `image/picture` for the side "image", the lines of
`text/captions_target` for "caption" (`number/caption_ids` [n c] tells which captions there are, negative for none, and
which are the same text) and `audio/sound` for "waveform". Only the examples that are kept with all of these are shown.
"""

from __future__ import annotations

import dataclasses
import io
import itertools

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from mmjax.report import html
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Predictions
from mmjax.report.views import picture, sound
from mmjax.report.views.texts import plain

Things = np.ndarray | list[list[str]]  # pictures, sounds, or of each example its captions

THUMB = 112  # pixels: shown at 84, sharp on dense screens
_SIDES = {"image": "picture", "caption": "text", "waveform": "sound"}  # embedding/<side> -> what a point stands for
_SHOWN = {
    "image": ("image/picture",),
    "caption": ("text/captions_target", "text/caption_target"),
    "waveform": ("audio/sound",),
}  # what it is shown as; the first that is there
# Any two sides with what they are shown as: for WANTS of sections.
WANTS = tuple(
    (f"embedding/{a}", ours, f"embedding/{b}", theirs)
    for a, b in itertools.combinations(_SHOWN, 2)
    for ours, theirs in itertools.product(_SHOWN[a], _SHOWN[b])
)
_PLURALS = {"picture": "pictures", "text": "captions", "sound": "sounds"}
SECONDS = 1.5  # of a player: a page has many of them


@dataclasses.dataclass(frozen=True)
class Side:
    """One modality's points, m of them, several an example where an example has several captions.

    Attributes:
      name: of the embedding ("image").
      kind: "picture", "text" or "sound".
      vectors: [m d], of length 1.
      example: [m], whose point it is.
      ids: [m c], numbers of the texts that belong to it, -1 for none.
      things: of each example its picture or sound; of text, of each point its line.
      unsure: [m], the sum of the variances of a Gaussian; None for points.
      rate: of sounds, in Hz.
    """

    name: str
    kind: str
    vectors: Float[np.ndarray, "m d"]
    example: Int[np.ndarray, " m"]
    ids: Int[np.ndarray, "m c"]
    things: np.ndarray
    unsure: Float[np.ndarray, " m"] | None = None
    rate: int = 22_050

    @property
    def plural(self) -> str:
        """What the points are, for headings."""
        return _PLURALS[self.kind]

    def words(self, index: int) -> str:
        """The line of a caption; what stands in for it of the others."""
        return str(self.things[index]) if self.kind == "text" else f"{self.kind} {self.example[index]}"

    def show(self, index: int) -> Markup:
        """The thing itself: a thumbnail, the caption in quotes, or a player."""
        if self.kind == "picture":
            return thumbnail(self.things[self.example[index]], f"Picture of example {self.example[index]}")
        if self.kind == "text":
            return tag("q", self.words(index))
        clip = self.things[self.example[index]][: int(SECONDS * self.rate)]
        source = html.data_uri(sound.wav_bytes(clip, self.rate), "audio/wav")
        label = f"Play the sound of example {self.example[index]}"
        return tag("audio", controls=True, preload="metadata", src=source, aria_label=label)


def covers(predictions: Predictions) -> set[str]:
    """The points that stand for something on the page; the things themselves are the gallery's, too."""
    return {f"embedding/{side.name}" for side in sides(predictions)}


def sides(predictions: Predictions) -> list[Side]:
    """The sides that can be shown, pictures first, all of the same examples; empty where there are not two."""
    found: dict[str, tuple[np.ndarray, Things]] = {}
    for name, kind in _SIDES.items():
        points = predictions.get(f"embedding/{name}")
        thing = next((array for key in _SHOWN[name] if (array := predictions.get(key)) is not None), None)
        things = _lines(thing) if kind == "text" and thing is not None else thing
        if points is not None and things is not None and points.ndim == 2 + (kind == "text") and points.size:
            found[name] = points, things
    if len(found) < 2:
        return []
    count = min(min(len(points), len(things)) for points, things in found.values())
    made = [_side(predictions, name, points[:count], things) for name, (points, things) in found.items()]
    made = [side for side in made if len(side.vectors)]
    dimensions = {side.vectors.shape[1] for side in made}
    return made if len(dimensions) == 1 < len(made) else []


def _lines(rows: np.ndarray) -> list[list[str]] | None:
    """Each example's captions."""
    return None if rows.ndim != 1 else [plain(row).split("\n") for row in rows]


def _side(predictions: Predictions, name: str, given: np.ndarray, things: Things) -> Side:
    """A side of the points `given`, [n d] or of captions [n c d], and the things that they stand for."""
    kind, count = _SIDES[name], len(given)
    points = given if given.ndim == 3 else given[:, None]
    ids = predictions.get("number/caption_ids")
    unsure = predictions.get(f"number/uncertainty_{name}")
    own = np.full((count, 1), -1) if ids is None or ids.ndim != 2 else ids[:count].astype(np.int64)
    there = np.ones(points.shape[:2], bool)
    if kind == "text":
        lengths = np.array([len(lines) for lines in things[:count]])
        there = np.arange(points.shape[1])[None] < lengths[:, None]
        if own.shape == there.shape:
            there &= own != -1
            # A caption with a word that the vocabulary lacks matches no other.
            own = np.where(own < -1, np.iinfo(np.int32).max + 1 + np.arange(own.size).reshape(own.shape), own)
    example, column = np.nonzero(there)
    vectors = np.nan_to_num(np.asarray(points[there], np.float64))
    if kind == "text":
        same = own.shape == there.shape
        own = own[there][:, None] if same else np.full((len(example), 1), -1)
        shown = np.array([things[n][c] for n, c in zip(example, column)], object)
    else:
        shown = np.asarray(things[:count])
    if unsure is not None:
        unsure = np.asarray(unsure, np.float64)[:count].reshape(count, -1)
        unsure = unsure[there] if unsure.shape == there.shape and np.isfinite(unsure).all() else None
    return Side(
        name,
        kind,
        vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12),
        example,
        own,
        shown,
        unsure,
        predictions.sample_rate,
    )


def scores(a: Side, b: Side) -> tuple[Float[np.ndarray, "m k"], Float[np.ndarray, "m k"]]:
    """What orders the pairs, and their cosines.

    Points are ordered by cosine; Gaussians by their expected squared distance 2 - 2 cos + the uncertainties of both.
    """
    cosine = a.vectors @ b.vectors.T
    if a.unsure is None or b.unsure is None:
        return cosine, cosine
    return cosine - (a.unsure[:, None] + b.unsure[None]) / 2, cosine


def relevant(a: Side, b: Side) -> Bool[np.ndarray, "m k"]:
    """Of the same example, or sharing a text."""
    match = a.example[:, None] == b.example[None]
    if "text" not in (a.kind, b.kind):
        return match
    for ours in a.ids.T:
        for theirs in b.ids.T:
            match |= (ours[:, None] == theirs[None]) & (ours >= 0)[:, None]
    return match


def ranks(order: Float[np.ndarray, "m k"], match: Bool[np.ndarray, "m k"]) -> Int[np.ndarray, " m"]:
    """The rank of each row's best match, ties counting against it, as in the results."""
    best = np.max(np.where(match, order, -np.inf), axis=1, keepdims=True)
    return 1 + np.sum(~match & (order >= best), axis=1)


def small(image: np.ndarray, side: int) -> Image.Image:
    """A picture with at most `side` pixels along its longer side."""
    shown = Image.fromarray(np.ascontiguousarray(picture.pixels(image)))
    shown.thumbnail((side, side))
    return shown


def thumbnail(image: np.ndarray, label: str) -> Markup:
    """A small JPEG: a page shows the same picture many times."""
    shown, buffer = small(image, THUMB), io.BytesIO()
    shown.save(buffer, format="JPEG", quality=82)
    source = html.data_uri(buffer.getvalue(), "image/jpeg")
    return tag("img", src=source, alt=label, width=shown.width, height=shown.height)
