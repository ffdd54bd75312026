"""Pictures of one's own sentences, or of classes by their names, from a trained network.

mmjax sample runs/text_to_image --text "a red bell above a blue drum" --seed 1 -n 8 -o out.png
mmjax sample runs/text_to_image --text "a red bell" "a blue bell" -n 6       a row each, a code a column
mmjax sample runs/conditional_gan --text bell                                a class by its name
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mmjax.engine import config as configs
from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.tools import Parser

DRAWN = "image/generated"
MOST = 256  # pictures of a sentence: they are drawn as one batch
COLUMNS = 8
GAP = 2  # white pixels between pictures


def load(path: str | Path, step: int | str | None = None) -> restore.Restored:
    """A trained system that draws what a text says, from the workdir of its run; arguments as of `mmjax.restore`.

    Raises:
      UserError: no workdir, a run of a system that reads no text, or one that saved nothing yet.
    """
    folder = Path(path).expanduser()
    configs.load(folder)  # says what is wrong with a folder that is no workdir
    run = restore.restore(folder, step)
    if run.task.ask is None:
        raise _does_not_draw(run)
    if run.step < 1:
        raise UserError(f"{path} has no trained weights: its checkpoint is of step 0")
    return run


def _does_not_draw(run: restore.Restored) -> UserError:
    wanted = f"give the workdir of a system that reads a text and predicts {DRAWN}"
    return UserError(f"this is a run of {run.config.system}, which does not draw what a text says: {wanted}")


def draw(
    run: restore.Restored, text: str, count: int = 8, seed: int = 0
) -> tuple[UInt8[np.ndarray, "n h w 3"], tuple[str, ...]]:
    """`count` pictures of a text, each from a code of its own.

    Args:
      run: a trained system whose task reads a text (`Task.ask`) and predicts image/generated.
      text: what the system understands: a sentence, or the name of a class.
      count: 1 to 256; the codes depend on it and on `seed` alone.
      seed: of the codes, 0 to 2^31 - 1. Another text with the same seed is drawn from the same codes.

    Returns:
      the pictures, by the average of the generator's weights where the run keeps one; and lines for the user, such
      as which words are not in the vocabulary.

    Raises:
      UserError: a count or seed out of range, a system that does not draw, or a text that it has no word of.
    """
    if not 1 <= count <= MOST:
        raise UserError(f"-n {count}: it must be 1 to {MOST} pictures")
    if not 0 <= seed < 2**31:
        raise UserError(f"--seed {seed}: it must be 0 to {2**31 - 1}")
    if not text.strip():
        raise UserError("--text is empty: say what is to be drawn")
    if run.task.ask is None:
        raise _does_not_draw(run)
    one, notes = run.task.ask(text, run.variables, run.constants)
    predicted = run.predict({name: np.repeat(np.asarray(value), count, axis=0) for name, value in one.items()}, seed)
    if DRAWN not in predicted:
        raise _does_not_draw(run)
    return predicted[DRAWN], notes


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


def main(arguments: Sequence[str], typed: str) -> None:
    """Draws and writes. Raises UserError for a mistake."""
    parser = Parser(typed, __doc__)
    parser.add_argument("workdir", help="of a trained run that draws what a text says")
    parser.add_argument("--text", nargs="+", required=True, help="what to draw: sentences, or names of classes")
    parser.add_argument("--seed", type=int, default=0, help="of the codes: the same seed draws the same pictures")
    parser.add_argument("-n", type=int, default=COLUMNS, metavar="N", help="pictures of each sentence (default 8)")
    parser.add_argument("-o", default="sample.png", metavar="FILE", help="the PNG to write (default sample.png)")
    options = parser.parse_args(arguments)
    target = _writable(options.o)
    run = load(options.workdir)
    rows = []
    for text in options.text:
        pictures, notes = draw(run, text, options.n, options.seed)
        rows.append(pictures)
        for note in notes:
            print(f"{text!r}: {note}", file=sys.stderr)
    columns = COLUMNS if len(rows) > 1 or options.n <= COLUMNS else math.ceil(math.sqrt(options.n))
    about = f"{' / '.join(map(repr, options.text))}, seed {options.seed}, step {run.step:,}"
    write(target, sheet(rows, columns), about)
    height, width = rows[0].shape[1:3]
    print(f"{target}: {sum(map(len, rows))} pictures of {width} x {height} pixels of {about}")
