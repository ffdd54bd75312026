"""What is asked as examples of a batch: files read in child processes, texts as the run's numbers, both in order."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmjax import data
from mmjax.answers import films
from mmjax.answers.inputs import FILMS, VOICES, Item, Way
from mmjax.data import pipeline
from mmjax.data.files import child_processes, pieces
from mmjax.data.files.faults import Fault
from mmjax.data.files.pieces import Piece, Pieces
from mmjax.data.tokens import token_fields
from mmjax.errors import UserError
from mmjax.text import vocabulary

FEW = 16  # files for which no further child process is started
SQUASHED = ("squash", "stretch")
LONGEST = 86_400.0  # seconds of a video that is one moment
PIXELS = 224  # of a picture where nothing says more

Example = dict[str, np.ndarray]
Asked = tuple[Mapping[str, Any], Example]  # the columns that name it, and what goes in
Ask = Callable[[str], tuple[Mapping[str, Any], tuple[str, ...]]]


@dataclasses.dataclass(frozen=True)
class Reader:
    """Makes examples as training's were.

    Attributes:
      config: of the run.
      constants: of its data.
      shapes: {field: (dtype, batch, size, ...)} of its batches.
      ask: text -> (batch of one example, lines for the user), where the task reads what is typed; else None.
      every: seconds from one picture of a video to the next.
      say: gets a line for the user.
      whole: whether a sound goes in whole, and a video is one moment: the picture in its middle, and all of its sound.
      faces: how many a video of people talking has to show.
      heard: seconds of a sound that are heard, where they are fewer than training's clips have; 0 = all of a clip.
      voices: recordings of those who are asked for in every sound, int16 [n time], for a task that takes `voices`.
    """

    config: Any
    constants: Mapping[str, np.ndarray]
    shapes: Mapping[str, tuple[Any, ...]]
    ask: Ask | None
    every: float
    say: Callable[[str], None]
    whole: bool = False
    faces: int = 0
    heard: float = 0.0
    voices: np.ndarray | None = None

    def examples(self, items: Sequence[Item]) -> Iterator[tuple[Item, Iterable[Asked] | Fault]]:
        """All examples of each item, in order, or why there are none; they are to be taken before the next item."""
        fields = {item.way.media["text"] for item in items if item.text} if self.ask is None else ()
        encoders = self._encoders(tuple(fields)) if fields else {}
        unknown = 0
        how = self._how(items)
        for item, found in _read(how, items):
            if isinstance(found, Fault):
                yield item, found
                continue
            if found.remark:
                self.say(f"{item.file}: used up to the damage: {found.remark}")
            try:
                text = self._text(item, encoders) if item.text else {}
            except UserError as error:
                yield item, Fault(item.text, "not understood", str(error))
                continue
            unknown += any(np.any(text.get(field, 0) == vocabulary.UNK) for field in fields)
            if item.kind == "film":
                yield from self._film(item, how, text)
                continue
            if item.kind == "talk":
                yield item, self._talk(item)
                continue
            yield item, [(self._named(item, piece), {**self._of(item, piece), **text}) for piece in found.pieces]
        if unknown:
            self.say(f"{unknown:,} texts have words that the run does not know")

    def _encoders(self, fields: tuple[str, ...]) -> dict[str, Callable[[Any], Example]]:
        return token_fields.of_run(fields, self.constants, token_fields.options(self.config.data.get("tokens")))

    def _how(self, items: Sequence[Item]) -> pieces.How:
        fields = {medium: field for item in items for medium, field in item.way.media.items()}
        wide = self.shapes.get(fields.get("picture", ""), (0, 0, 0, PIXELS))[-2]
        long = 0 if self.whole else int(self.shapes.get(fields.get("sound", ""), (0, 0, 0))[2])
        if long and self.heard:
            long = min(long, round(self.heard * pipeline.RATE))
        fit, size = data.fit(self.config.data.name, self.config.data.to_dict())
        return pieces.How(size or int(wide), fit, long, self.every)

    @property
    def film_fit(self) -> str:
        """How pictures of videos become square: as the data set's do, but never on white."""
        return "squash" if data.fit(self.config.data.name, self.config.data.to_dict())[0] in SQUASHED else "crop"

    def _film(self, item: Item, how: pieces.How, text: Example) -> Iterator[tuple[Item, Iterable[Asked] | Fault]]:
        """A video that is seen and heard, of which few moments are in memory at a time."""
        seen, heard = item.way.media["picture"], item.way.media["sound"]
        every = LONGEST if self.whole else self.every
        with films.opened(item.file, every, how.size, how.samples, self.film_fit) as found:
            if isinstance(found, Fault):
                yield item, found
                return
            moments, remark = found
            if remark:
                self.say(f"{item.file}: used up to the damage: {remark}")
            yield (
                item,
                (
                    (
                        self._named(item, Piece(None, moment.start, moment.end)),
                        {**self._picture(seen, moment.picture), **self._sound(heard, moment.sound), **text},
                    )
                    for moment in moments
                ),
            )

    def _talk(self, item: Item) -> list[Asked] | Fault:
        """A video of people talking, as one example."""
        size = self.shapes["face_frames"][-2]
        found = films.talking(item.file, self.faces, int(size))
        if isinstance(found, Fault):
            return found
        if found.remark:
            self.say(f"{item.file}: {found.remark}")
        named = self._named(item, Piece(None, 0.0, len(found.sound) / pipeline.RATE))
        seen, heard = item.way.media["faces"], item.way.media["sound"]
        return [(named, {seen: found.faces, **self._sound(heard, found.sound)})]

    def _named(self, item: Item, piece: Piece) -> Mapping[str, Any]:
        if piece.start is None or piece.end is None:
            return item.told
        return {**item.told, "start": round(piece.start, 3), "end": round(piece.end, 3)}

    def _of(self, item: Item, piece: Piece) -> Example:
        if not item.file:
            return {}
        media = item.way.media
        if item.kind == "pair":
            picture, sound = piece.array
            return {**self._picture(media["picture"], picture), **self._sound(media["sound"], sound)}
        if item.kind == "sound":
            told = {} if self.voices is None else {media[VOICES]: self.voices}
            return {**self._sound(media["sound"], piece.array), **told}
        return self._picture(media["picture"], piece.array)

    def _sound(self, field: str, sound: np.ndarray) -> Example:
        fit = pipeline.Fit(clip_seconds=0.0 if self.whole else self.shapes[field][2] / pipeline.RATE)
        return {field: fit({"waveform": sound})["waveform"], f"{field}_length": np.int32(len(sound))}

    def _picture(self, field: str, picture: np.ndarray) -> Example:
        return {field: pipeline.Fit(pixels=self.shapes[field][-2])({"image": picture})["image"]}

    def _text(self, item: Item, encoders: Mapping[str, Callable[[Any], Example]]) -> Example:
        if self.ask is not None:
            batch, notes = self.ask(item.text)
            for note in notes:
                self.say(f"{item.text!r}: {note}")
            return {name: np.asarray(value)[0] for name, value in batch.items()}
        field = item.way.media["text"]
        return encoders[field]([item.text] if field == "captions_tokens" else item.text)


def recordings(files: Sequence[str], count: int, samples: int, say: Callable[[str], None]) -> np.ndarray:
    """The beginnings of sounds or of videos' sounds, int16 [count samples], zeros behind their ends.

    Raises:
      UserError: there are not so many, or one cannot be read.
    """
    if len(files) != count:
        raise UserError(
            f"--voice: this run tells {count} voices apart: give a recording of each; here are {len(files)}"
        )
    how, way = pieces.How(PIXELS, "", 0, LONGEST), Way((), {})
    found = np.zeros((count, samples), np.int16)
    for row, (item, read) in zip(found, _read(how, [Item({}, way, file, "sound") for file in files]), strict=True):
        if isinstance(read, Fault):
            raise UserError(f"--voice {item.file}: {read.kind}" + (f" ({read.detail})" if read.detail else ""))
        if read.remark:
            say(f"{item.file}: used up to the damage: {read.remark}")
        sound = read.pieces[0].array[:samples]
        row[: len(sound)] = sound
    return found


def _read(how: pieces.How, items: Sequence[Item]) -> Iterator[tuple[Item, Pieces | Fault]]:
    """The pieces of each item in order; a text has one that is empty, and so has a film, which is read later.

    A file that ends its decoder is a fault.
    """
    # Of a pair, the sound comes with the numbers behind those of all items.
    parts = [(i, "picture" if item.kind == "pair" else item.kind, item.file) for i, item in enumerate(items)]
    files = [part for part in parts if part[2] and part[1] not in FILMS]
    files += [(len(items) + i, "sound", item.sound) for i, item in enumerate(items) if item.sound]
    files.sort(key=lambda part: part[0] % len(items))
    ready: dict[int, Pieces | Fault] = {}
    with child_processes.Children(min(len(os.sched_getaffinity(0)), 1 + len(files) // FEW)) as children:
        done = children.each(functools.partial(pieces.read, how), files)
        for i, item in enumerate(items):
            wanted = {i} if item.file and item.kind not in FILMS else set()
            wanted |= {len(items) + i} if item.sound else set()
            while not wanted <= ready.keys():
                (number, _, path), found = next(done)
                if isinstance(found, child_processes.Lost):
                    found = Fault(path, found.kind, found.detail)
                ready[number] = found
            here = [ready.pop(number) for number in sorted(wanted)]
            yield item, _paired(*here) if item.sound else here[0] if here else Pieces((Piece(None),))


def _paired(picture: Pieces | Fault, sound: Pieces | Fault) -> Pieces | Fault:
    """The picture beside each piece of the sound."""
    for one in (picture, sound):
        if isinstance(one, Fault):
            return one
    assert isinstance(picture, Pieces)
    assert isinstance(sound, Pieces)
    seen = picture.pieces[0].array
    return Pieces(tuple(Piece((seen, piece.array), piece.start, piece.end) for piece in sound.pieces), sound.remark)


def batch(examples: Sequence[Asked], size: int) -> dict[str, np.ndarray]:
    """A batch of `size` rows: the last example fills what is left, and is not `valid` there."""
    rows = [example for _, example in examples]
    made = pipeline.stack(rows + rows[-1:] * (size - len(rows)))
    return {**made, "valid": np.arange(size) < len(rows)}
