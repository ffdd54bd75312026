"""Pictures of one's own sentences, or of classes by their names, drawn by a trained network; all in one PNG.

python -m mmjax.tools.sample runs/text_to_image --text "a red bell above a blue drum" --seed 1 -n 8 -o out.png
python -m mmjax.tools.sample runs/text_to_image --text "a red bell" "a blue bell" -n 6       a row each, a code a column
python -m mmjax.tools.sample runs/conditional_gan --text bell                                a class by its name
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mmjax import workdir as files
from mmjax.engine import config as configs
from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.text import vocabulary

MOST = 256  # pictures of a sentence: they are drawn as one batch
COLUMNS = 8
GAP = 2  # white pixels between pictures


@dataclasses.dataclass(frozen=True)
class Drawer:
    """A trained network that draws.

    Attributes:
      run: the trained system.
      shapes: {field: [dtype, batch, size, ...]} of the batches that it was trained on.
    """

    run: restore.Restored
    shapes: Mapping[str, Sequence[Any]]

    def draw(self, text: str, count: int = 8, seed: int = 0) -> tuple[UInt8[np.ndarray, "n h w 3"], list[str]]:
        """`count` pictures of a sentence, each from a code of its own; of a conditional GAN, of a class.

        Args:
          text: the sentence, or the class's name.
          count: 1 to 256; the codes depend on it and on `seed` alone.
          seed: of the codes, 0 to 2^31 - 1. Another sentence with the same seed is drawn from the same codes.

        Returns:
          the pictures, by the average of the generator's weights where the run keeps one; and lines for the user, such
          as which words are not in the vocabulary.

        Raises:
          UserError: a count or seed out of range, no word that the network knows, or no such class.
        """
        if not 1 <= count <= MOST:
            raise UserError(f"-n {count}: it must be 1 to {MOST} pictures")
        if not 0 <= seed < 2**31:
            raise UserError(f"--seed {seed}: it must be 0 to {2**31 - 1}")
        if not text.strip():
            raise UserError("--text is empty: say what is to be drawn")
        fields, notes = SYSTEMS[self.run.config.system](self, text)
        batch = {name: np.repeat(value[None], count, axis=0) for name, value in fields.items()}
        return self.run.predict(batch, seed)["image/generated"], notes


def _sentence(drawer: Drawer, text: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """The fields of one example with this caption, and what to say about it."""
    frozen, shapes = drawer.run.variables["frozen"], drawer.shapes
    words = vocabulary.words_of(np.asarray(frozen["caption_vocabulary"]))
    ids, unknown = vocabulary.encode(text, words, "caption", frozen.get("caption_model"))
    lost = ", ".join(_with_neighbours(word, words) for word in unknown)
    if not (ids != vocabulary.UNK).any():
        raise UserError(f"--text {text!r}: no word of it is in the vocabulary ({lost or 'it has none'})")
    notes = [f"not in the vocabulary: {lost}"] if unknown else []
    made: dict[str, np.ndarray] = {}
    for field in {"captions_tokens", "caption_tokens"} & set(shapes):
        *several, length = shapes[field][2:]
        if len(ids) > length - 1:
            dropped = len(ids) - (length - 1)
            notes.append(f"the network reads {length - 1} tokens: the last {dropped} of {len(ids)} are cut off")
        kept = np.append(ids[: length - 1], vocabulary.END)
        tokens = np.full((*several, length), vocabulary.PAD, np.int32)
        first = tokens.reshape(-1, length)[0]  # of several captions, as where an example has no more
        right = drawer.run.config.data.get("tokens", {}).get("align") == "right"
        first[length - len(kept) if right else 0 :][: len(kept)] = kept
        made |= {field: tokens, f"{field}_length": np.asarray((tokens != vocabulary.PAD).sum(-1), np.int32)}
    return made, list(dict.fromkeys(notes))


def _class(drawer: Drawer, text: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """The label of the class with this name, or of this number."""
    names = next(iter(drawer.run.task.names.values()), ())
    wanted, folded = text.strip().casefold(), [name.casefold() for name in names]
    count = len(names) or int(drawer.run.config.get("classes", 0))
    numbers = [str(n) for n in range(count)]
    for known in (folded, numbers):
        if wanted in known:
            return {"label": np.array(known.index(wanted), np.int32)}, []
    close = difflib.get_close_matches(wanted, folded, 3)
    listed = [names[folded.index(name)] for name in close] or list(names[:12])
    listed += ["..."] if not close and count > len(listed) > 0 else []
    offered = ", ".join(listed) or f"numbers, 0 to {count - 1}"
    raise UserError(f"--text {text!r} is no class of this run; it has {offered}")


SYSTEMS: dict[str, Callable[[Drawer, str], tuple[dict[str, np.ndarray], list[str]]]] = {
    "text_to_image": _sentence,
    "conditional_gan": _class,
}


def _with_neighbours(word: str, words: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, words, 2, 0.75) if len(word) > 1 else []
    return repr(word) + (f" (did you mean {' or '.join(close)}?)" if close else "")


def load(path: str | Path, step: int | str | None = None) -> Drawer:
    """A trained network that draws, from the workdir of its run; arguments as of `mmjax.restore`.

    Raises:
      UserError: no workdir, a run of a system that does not draw, or one that saved nothing yet.
    """
    folder = Path(path).expanduser()
    system = configs.load(folder).system
    if system not in SYSTEMS:
        raise UserError(f"{path} is a run of {system}, which does not draw: give a workdir of {' or '.join(SYSTEMS)}")
    run = restore.restore(folder, step)
    if run.step < 1:
        raise UserError(f"{path} has no trained weights: its checkpoint is of step 0")
    return Drawer(run, files.read_json(folder / files.BATCH))


def sheet(rows: Sequence[UInt8[np.ndarray, "n h w 3"]], columns: int = COLUMNS) -> UInt8[np.ndarray, "H W 3"]:
    """Pictures in one: each of `rows` begins on a new line and goes on below after `columns`; white between them."""
    height, width = rows[0].shape[1:3]
    columns = min(columns, max(map(len, rows)))
    lines = [row[start : start + columns] for row in rows for start in range(0, len(row), columns)]
    canvas = np.full((len(lines) * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for y, line in enumerate(lines):
        for x, picture in enumerate(line):
            top, left = y * (height + GAP), x * (width + GAP)
            canvas[top : top + height, left : left + width] = picture
    return canvas


def _writable(path: str) -> Path:
    """Asked before anything is drawn."""
    target = Path(path).expanduser()
    if target.suffix.lower() != ".png":
        raise UserError(f"-o {path}: the name must end in .png")
    if target.is_dir() or not os.access(target if target.exists() else target.parent, os.W_OK):
        raise UserError(f"-o {path} cannot be written: name a file in a folder that exists and is yours")
    return target


def write(target: Path, picture: UInt8[np.ndarray, "H W 3"], about: str) -> None:
    """Writes a PNG with its description inside."""
    info = PngInfo()
    info.add_itxt("Description", about)
    Image.fromarray(picture).save(target, format="PNG", pnginfo=info)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m mmjax.tools.sample", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workdir", help="of a trained run of text_to_image or conditional_gan")
    parser.add_argument("--text", nargs="+", required=True, help="what to draw: sentences, or names of classes")
    parser.add_argument("--seed", type=int, default=0, help="of the codes: the same seed draws the same pictures")
    parser.add_argument("-n", type=int, default=COLUMNS, metavar="N", help="pictures of each sentence (default 8)")
    parser.add_argument("-o", default="sample.png", metavar="FILE", help="the PNG to write (default sample.png)")
    options = parser.parse_args(arguments)
    logging.set_verbosity(logging.ERROR)  # Orbax reports every file it touches
    try:
        target = _writable(options.o)
        drawer = load(options.workdir)
        rows = []
        for text in options.text:
            pictures, notes = drawer.draw(text, options.n, options.seed)
            rows.append(pictures)
            for note in notes:
                print(f"{text!r}: {note}", file=sys.stderr)
        columns = COLUMNS if len(rows) > 1 or options.n <= COLUMNS else math.ceil(math.sqrt(options.n))
        about = f"{' / '.join(map(repr, options.text))}, seed {options.seed}, step {drawer.run.step:,}"
        write(target, sheet(rows, columns), about)
        height, width = rows[0].shape[1:3]
        print(f"{target}: {sum(map(len, rows))} pictures of {width} x {height} pixels of {about}")
    except UserError as error:
        print(f"mmjax.tools.sample: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
