"""What is asked as examples of a batch: files read in child processes, texts as the run's numbers, both in order."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmjax import data
from mmjax.answers.inputs import Item
from mmjax.data import pipeline
from mmjax.data.files import child_processes, pieces
from mmjax.data.files.faults import Fault
from mmjax.data.files.pieces import Piece, Pieces
from mmjax.data.tokens import token_fields
from mmjax.errors import UserError
from mmjax.text import vocabulary

FEW = 16  # files for which no further child process is started
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
    """

    config: Any
    constants: Mapping[str, np.ndarray]
    shapes: Mapping[str, tuple[Any, ...]]
    ask: Ask | None
    every: float
    say: Callable[[str], None]

    def examples(self, items: Sequence[Item]) -> Iterator[tuple[Item, list[Asked] | Fault]]:
        """All examples of each item, in order, or why there are none."""
        fields = {item.way.media["text"] for item in items if item.text} if self.ask is None else ()
        encoders = self._encoders(tuple(fields)) if fields else {}
        unknown = 0
        for item, found in _read(self._how(items), items):
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
            yield item, [(self._named(item, piece), {**self._of(item, piece), **text}) for piece in found.pieces]
        if unknown:
            self.say(f"{unknown:,} texts have words that the run does not know")

    def _encoders(self, fields: tuple[str, ...]) -> dict[str, Callable[[Any], Example]]:
        return token_fields.of_run(fields, self.constants, token_fields.options(self.config.data.get("tokens")))

    def _how(self, items: Sequence[Item]) -> pieces.How:
        fields = {medium: field for item in items for medium, field in item.way.media.items()}
        wide = self.shapes.get(fields.get("picture", ""), (0, 0, 0, PIXELS))[-2]
        long = self.shapes.get(fields.get("sound", ""), (0, 0, 0))[2]
        fit, size = data.fit(self.config.data.name, self.config.data.to_dict())
        return pieces.How(size or int(wide), fit, int(long), self.every)

    def _named(self, item: Item, piece: Piece) -> Mapping[str, Any]:
        if piece.start is None or piece.end is None:
            return item.told
        return {**item.told, "start": round(piece.start, 3), "end": round(piece.end, 3)}

    def _of(self, item: Item, piece: Piece) -> Example:
        if not item.file:
            return {}
        field = item.way.media["sound" if item.kind == "sound" else "picture"]
        if item.kind == "sound":
            fit = pipeline.Fit(clip_seconds=self.shapes[field][2] / pipeline.RATE)
            padded, length = fit({"waveform": piece.array}), np.int32(len(piece.array))
            return {field: padded["waveform"], f"{field}_length": length}
        pixels = self.shapes[field][-2]
        return {field: pipeline.Fit(pixels=pixels)({"image": piece.array})["image"]}

    def _text(self, item: Item, encoders: Mapping[str, Callable[[Any], Example]]) -> Example:
        if self.ask is not None:
            batch, notes = self.ask(item.text)
            for note in notes:
                self.say(f"{item.text!r}: {note}")
            return {name: np.asarray(value)[0] for name, value in batch.items()}
        field = item.way.media["text"]
        return encoders[field]([item.text] if field == "captions_tokens" else item.text)


def _read(how: pieces.How, items: Sequence[Item]) -> Iterator[tuple[Item, Pieces | Fault]]:
    """The pieces of each item in order; a text has one that is empty. A file that ends its decoder is a fault."""
    files = [(i, item.kind, item.file) for i, item in enumerate(items) if item.file]
    ready: dict[int, Pieces | Fault] = {}
    with child_processes.Children(min(len(os.sched_getaffinity(0)), 1 + len(files) // FEW)) as children:
        done = children.each(functools.partial(pieces.read, how), files)
        for i, item in enumerate(items):
            while item.file and i not in ready:
                (number, _, path), found = next(done)
                if isinstance(found, child_processes.Lost):
                    found = Fault(path, found.kind, found.detail)
                ready[number] = found
            yield item, ready.pop(i) if item.file else Pieces((Piece(None),))


def batch(examples: Sequence[Asked], size: int) -> dict[str, np.ndarray]:
    """A batch of `size` rows: the last example fills what is left, and is not `valid` there."""
    rows = [example for _, example in examples]
    made = pipeline.stack(rows + rows[-1:] * (size - len(rows)))
    return {**made, "valid": np.arange(size) < len(rows)}
