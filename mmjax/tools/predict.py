"""What a trained run says of your files and sentences, as CSV, JSON or a folder of pictures.

mmjax predict runs/captioning photos/ more.jpg                            a caption of each, as CSV
mmjax predict runs/vqa a.jpg b.jpg --question "what is this?" -o out.jsonl
mmjax predict runs/vqa val2014/ --list questions.json -o results.json     VQA's results, for its evaluators
mmjax predict runs/soundnet concert.mp3 film.mp4                          long ones in pieces, with their times
mmjax predict runs/clip photos/ --text "a dog" "a cat" -o found/          who finds whom, and embeddings as .npy
mmjax predict runs/sound_localisation clip.mp4 -o out.mp4                 the video with a heat map of what sounds
mmjax predict runs/speech2face voice.wav -o face.png                      the face that is heard in a voice
mmjax predict runs/tacotron2 --text "_ u r e d b e l _" -o out.wav        what is said
mmjax predict runs/separation duet.mp4 -o parts/                          what is seen in the middle, out of the sound
mmjax predict runs/separation song.wav bell.png drum.png -o parts/        what each picture picks out of the sound
mmjax predict runs/speech interview.mp4 -o parts/                         what each of the faces in it says
mmjax predict runs/voices duet.wav --voice a.wav b.wav -o parts/          what each of these two says in it
mmjax predict runs/text_to_image --text "a red bell" -o drawn/            pictures
echo bell | mmjax predict runs/skipgram -                                 texts from standard input, one a line
mmjax predict runs/captioning -o results.json                             no files: what the run said of its test split
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tqdm

from mmjax import predictions as glossary
from mmjax import workdir
from mmjax.answers import drawing, files, inputs, matches, reading, rows
from mmjax.data.files.faults import Fault
from mmjax.engine import config as configs
from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.export import exported
from mmjax.tools import Parser

BATCH = 32
EVERY, EVERY_DRAWN = 6.0, 0.5


def main(arguments: Sequence[str], typed: str) -> None:
    """Predicts and writes. Raises UserError for a mistake, SystemExit(1) where something could not be used."""
    options = _parser(typed).parse_args(arguments)
    options.output = "" if options.output == "-" else options.output  # as other programs call it
    if options.every is None:
        options.every = EVERY_DRAWN if drawing.is_video(options.output) else EVERY
    _check(options)
    to_draw = drawing.is_video(options.output)
    if not to_draw:
        files.check(options.output)
    if not (options.files or options.text or options.list):
        if to_draw:
            raise UserError(f"-o {options.output}: say on which video")
        export(Path(options.workdir).expanduser(), options.output, options.top)
        return
    run = _opened(options)
    failed, asked = predict(run, options, functools.partial(_say, typed))
    if failed:
        _say(typed, f"{failed:,} of {asked:,} could not be used")
        raise SystemExit(1)


def _opened(options: Any) -> restore.Restored:
    """The run, or what was exported of one."""
    if exported.is_export(options.workdir):
        if options.step:
            raise UserError(f"--step {options.step}: {options.workdir} is an export, which is of one step")
        return exported.read(options.workdir)
    return restore.restore(options.workdir, int(options.step) if options.step.isdecimal() else options.step or None)


def _parser(typed: str) -> Parser:
    parser = Parser(typed, __doc__)
    parser.add_argument("workdir", help="of a trained run, or what `mmjax export` made of one")
    parser.add_argument("files", nargs="*", help="pictures, sounds, videos, folders of them; .txt or -: a text a line")
    parser.add_argument("--text", "--question", nargs="+", default=[], help="sentences, classes, words; or questions")
    parser.add_argument(
        "--voice", nargs="+", default=[], metavar="FILE", help="recordings of those who are to be heard alone, one each"
    )
    parser.add_argument(
        "--list",
        default="",
        metavar="FILE",
        help="what to ask: VQA's questions or COCO's images as "
        ".json, or rows as .jsonl, .csv or .tsv; FILES is then where the files lie",
    )
    parser.add_argument(
        "-o",
        dest="output",
        default="",
        metavar="OUT",
        help=".csv, .jsonl, .json or a folder; .mp4, .mov or .mkv: the video with its heat map; default: CSV to "
        "standard output",
    )
    parser.add_argument("--top", type=int, default=1, metavar="K", help="answers of each head, matches of each")
    parser.add_argument("--batch", type=int, default=BATCH, metavar="N", help=f"examples at a time (default {BATCH})")
    parser.add_argument(
        "--every",
        type=float,
        default=None,
        metavar="S",
        help=f"seconds from one picture of a video to the next (default {EVERY:g}, {EVERY_DRAWN:g} to draw on it)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--step", default="", help="a saved step, or best (default: the newest)")
    return parser


def _check(options: Any) -> None:
    for name, least in (("top", 1), ("batch", 1), ("every", 0.04), ("seed", 0)):
        if not least <= getattr(options, name) < math.inf:  # nor is NaN
            finite = ", and finite" if name == "every" else ""
            raise UserError(f"--{name} {getattr(options, name)}: it must be at least {least}{finite}")
    if options.seed >= 2**31:
        raise UserError(f"--seed {options.seed}: it must be 0 to {2**31 - 1}")


def _say(typed: str, line: str) -> None:
    tqdm.tqdm.write(f"{typed}: {line}", file=sys.stderr)


def predict(run: restore.Restored, options: Any, say: Any) -> tuple[int, int]:
    """Writes the answers to everything that is asked; returns how many could not be, and of how many."""
    task = run.task
    ways = inputs.ways((task.predicts_from or task.fields, *task.also_from), task.ask is not None)
    if not ways:
        raise UserError(f"a run of {run.config.system} takes what no file or sentence gives: see mmjax.restore")
    if options.voice and not task.voices:
        raise UserError("--voice: this run asks for no voice")
    items, faults = inputs.items(ways, options.files, options.text, options.list)
    for fault in faults:
        say(_line(fault))
    failed, asked = len(faults), len(items) + len(faults)
    maps = [key for key in task.answers if key.startswith("heatmap/") and not glossary.over_time(key[8:])]
    drawn = drawing.Drawn(options.output, maps, items)
    if not drawn.alone:
        files.check(
            options.output, [key for key in task.answers if key.partition("/")[0] in ("image", "audio", "video")]
        )
    ask = None if task.ask is None else functools.partial(_ask, run)
    given = (run.config, run.constants, run.shapes, ask, options.every, say)
    voices = None
    if task.voices:
        voices = reading.recordings(options.voice, task.voices, int(run.shapes["speech_other"][2]), say)
    reader = reading.Reader(*given, whole=task.whole, faces=task.faces, heard=task.heard, voices=voices)
    points = [key for key in task.answers if key.startswith("embedding/")]
    several = len({item.way.fields for item in items}) > 1  # whose answers have columns of their own
    kept: list[rows.Answer] = []

    def usable() -> Iterator[tuple[inputs.Way, reading.Asked]]:
        nonlocal failed
        for item, found in tqdm.tqdm(reader.examples(items), "predicting", len(items), unit="item", disable=None):
            if isinstance(found, Fault):
                failed += 1
                say(_line(found))
            else:
                yield from ((item.way, one) for one in found)

    with files.Writer("" if drawn.alone else options.output, task.sample_rate, inputs.told(items)) as writer:
        for answers in answered(run, usable(), options):
            drawn.add(answers)
            if drawn.alone:
                continue
            if several or len(points) > 1:  # who finds whom is known when all are there
                kept += answers
            else:
                writer.add(answers)
        if kept:
            if len(points) > 1:
                matches.add(kept, options.top)
            writer.add(kept)
    for fault in drawn.write(say, reader.film_fit):
        failed += 1
        say(_line(fault))
    return failed, asked


def answered(
    run: restore.Restored, asked: Iterator[tuple[inputs.Way, reading.Asked]], options: Any
) -> Iterator[list[rows.Answer]]:
    """The answers, a batch at a time. The last batch is filled up, so that all are of one compiled program."""
    sizes: dict[tuple[str, ...], int] = {}
    most = 1 if run.task.whole else options.batch  # no two sounds are as long
    for number, (way, examples) in enumerate(_batched(asked, most)):
        size = sizes[way.fields] = max(len(examples), sizes.get(way.fields, 0))  # one batch alone is as large as it is
        found = run.answers(reading.batch(examples, size), options.seed + number)
        answers = rows.of(found, run.task.names, len(examples), options.top)
        yield [({**told, **row}, media) for (told, _), (row, media) in zip(examples, answers, strict=True)]


def _batched(
    asked: Iterator[tuple[inputs.Way, reading.Asked]], size: int
) -> Iterator[tuple[inputs.Way, list[reading.Asked]]]:
    """Up to `size` examples that go in in one way."""
    for way, group in itertools.groupby(asked, key=lambda one: one[0]):
        examples = (example for _, example in group)
        while some := list(itertools.islice(examples, size)):
            yield way, some


def _ask(run: restore.Restored, text: str) -> Any:
    assert run.task.ask is not None
    return run.task.ask(text, run.variables, run.constants)


def _line(fault: Fault) -> str:
    return f"{fault.path}: {fault.kind}" + (f" ({fault.detail})" if fault.detail else "")


# -- what a run said of its test split --------------------------------------------------------------------------------


def export(folder: Path, output: str, top: int) -> None:
    """Writes what a run predicted of its test split when it ended, with the identities of the examples.

    Raises:
      UserError: the run has not ended, or is no workdir.
    """
    split = configs.load(folder).test_split
    found = workdir.read_arrays(folder / workdir.PREDICTIONS / f"{split}.npz")
    about = workdir.read_json(folder / workdir.PREDICTIONS / f"{split}.json") or {}
    keys = glossary.answers(list(found), about.get("answers", ()))
    keys = [key for key in keys if not glossary.few(key)] or keys
    if not keys:
        raise UserError(f"{folder} has no predictions of a {split} split yet: give files or sentences, or let it end")
    files.check(output, [key for key in keys if glossary.few(key)])
    count = len(found[keys[0]])
    answers = rows.of({key: found[key] for key in keys}, about.get("names", {}), count, top)
    columns = about.get("ids") or {"index": found.get("number/index", np.arange(count)).tolist()}
    with files.Writer(output, about.get("sample_rate", 22_050)) as writer:
        told = [{column: values[i] for column, values in columns.items()} for i in range(count)]
        writer.add([({**named, **row}, media) for named, (row, media) in zip(told, answers, strict=True)])
