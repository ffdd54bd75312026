"""The sides of a joint space as the report shows them: points, and the picture, caption or sound that each stands for.

Read from `embedding/<side>` [n d] or [n c d] with `image/picture` for the side "image", the lines of
`text/captions_target` for "caption" (`number/caption_ids` [n c] tells which captions there are, negative for none, and
which are the same text) and `audio/sound` for any other. Only the examples that are kept with all of these are shown.
"""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from mmjax.report import html
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Predictions
from mmjax.report.views import picture, sound

THUMB = 112  # pixels: shown at 84, sharp on dense screens
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


def sides(predictions: Predictions) -> list[Side]:
    """The sides that can be shown, pictures first, all of the same examples; empty where there are not two."""
    lines = _lines(predictions.of("text"))
    pictures, audio = predictions.of("image").get("picture"), predictions.of("audio").get("sound")
    things = {}
    for name, points in predictions.of("embedding").items():
        kind = {"image": "picture", "caption": "text"}.get(name, "sound")
        thing = {"picture": pictures, "text": lines, "sound": audio}[kind]
        if thing is not None and points.ndim == 2 + (kind == "text") and points.size:
            things[name] = kind, thing
    if len(things) < 2:
        return []
    count = min(min(len(thing), len(predictions.of("embedding")[name])) for name, (_, thing) in things.items())
    made = [_side(predictions, name, kind, thing, count) for name, (kind, thing) in things.items()]
    made = [side for side in made if len(side.vectors)]
    dimensions = {side.vectors.shape[1] for side in made}
    return sorted(made, key=lambda side: list(_PLURALS).index(side.kind)) if len(dimensions) == 1 < len(made) else []


def _lines(texts: dict[str, np.ndarray]) -> list[list[str]] | None:
    """Each example's captions."""
    rows = texts.get("captions_target", texts.get("caption_target"))
    if rows is None or rows.ndim != 1:
        return None
    plain = (row.decode("utf-8", "replace") if isinstance(row, bytes) else str(row) for row in rows)
    return [row.split("\n") for row in plain]


def _side(predictions: Predictions, name: str, kind: str, things, count: int) -> Side:
    numbers, of = predictions.of("number"), predictions.of("embedding")[name][:count]
    points = of if of.ndim == 3 else of[:, None]
    ids = numbers.get("caption_ids")
    unsure = numbers.get(f"uncertainty_{name}")
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
        things = np.array([things[n][c] for n, c in zip(example, column)], object)
    if unsure is not None:
        unsure = np.asarray(unsure, np.float64)[:count].reshape(count, -1)
        unsure = unsure[there] if unsure.shape == there.shape and np.isfinite(unsure).all() else None
    return Side(
        name,
        kind,
        vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12),
        example,
        own,
        things if kind == "text" else things[:count],
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
