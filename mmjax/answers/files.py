"""Answers as files: CSV, JSON lines, the results that COCO's and VQA's evaluators read, or a folder with media."""

from __future__ import annotations

import collections
import csv
import json
import pathlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

import numpy as np
from PIL import Image

from mmjax.answers.rows import Answer, Row
from mmjax.data.files import caption_choice, drawn_video
from mmjax.errors import UserError

KINDS = (".csv", ".jsonl", ".json")
FRAME_RATE = 25  # of video/..., see the glossary
ENDINGS = {"image": ".png", "audio": ".wav", "video": ".mp4", "heatmap": ".npy"}
# Of a run that makes one picture, or one sound, of each: the first has the name that was given, face.png, and others
# face_2.png, face_3.png; there is no table then.
ALONE = {".png": ("image", "picture"), ".wav": ("audio", "sound")}
ALL = (*KINDS, *ALONE, *drawn_video.SUFFIXES)  # every ending that `mmjax predict` knows
TABLE = "predictions.csv"  # of a folder
FIRST = ("file", "text", "start", "end")  # columns of a table
# What the fields' evaluators read: {its name there: the column}.
RESULTS: tuple[dict[str, str], ...] = (
    {"question_id": "question_id", "answer": "answer"},  # VQA
    {"image_id": "image_id", "caption": "caption"},  # COCO
)


def check(target: str, media: Sequence[str] | None = None) -> None:
    """Raises UserError for a target that cannot be written, or has no room for what is predicted.

    Args:
      target: "" for standard output, a file of KINDS, or a folder, there or not.
      media: keys of predictions that are pictures or sounds; None where they are not known yet.
    """
    path = pathlib.Path(target).expanduser()
    kind = "" if _is_folder(path) else path.suffix.lower()
    if target and not _is_folder(path) and kind not in (*KINDS, *ALONE):
        raise UserError(f"-o {target}: give a name that ends in {', '.join(ALL)}, or a folder")
    if target and not path.parent.is_dir():
        raise UserError(f"-o {target}: there is no folder {path.parent}")
    if target and kind in ALONE:
        medium, called = ALONE[kind]
        if media is not None and [key.partition("/")[0] for key in media] != [medium]:
            made = ", ".join(media) or f"no {called}"
            raise UserError(f"-o {target} is one {called}, and this run predicts {made}: give a folder, or .csv")
    elif media and not (target and _is_folder(path)):
        raise UserError(f"the run predicts {', '.join(media)}: give a folder for them, -o FOLDER")


def _is_folder(path: pathlib.Path) -> bool:
    return path.is_dir() or not (path.suffix or path.exists())


class Writer:
    """Writes rows as they come; a context, which finishes the files.

    Args:
      target: see `check`.
      sample_rate: of sounds, in Hz.
      told: columns of a CSV that the first rows may not have, and later ones have.

    Raises:
      UserError: at the end, when all rows are written, where they were to be results and answer something twice.
    """

    def __init__(self, target: str, sample_rate: int = 22_050, told: Iterable[str] = ()):
        path = pathlib.Path(target).expanduser()
        self._rate, self._count, self._told = sample_rate, 0, tuple(told)
        self._folder = path if target and _is_folder(path) else None
        self._kind = path.suffix.lower() if target and self._folder is None else ".csv"
        self._kept: list[Row] = []
        self._points: dict[str, list[np.ndarray]] = {}
        self._columns: list[str] = []
        if self._folder is not None:
            self._folder.mkdir(exist_ok=True)
            path = self._folder / TABLE
        self._alone = path if self._kind in ALONE else None
        to_file = target and self._alone is None
        self._file: TextIO = path.open("w", encoding="utf-8", newline="") if to_file else sys.stdout

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        twice = ""
        if self._kind == ".json" and kind is None:
            rows, twice = results(self._kept)
            self._file.write("[" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "]\n")
        for name, points in self._points.items():
            assert self._folder is not None
            np.save(self._folder / f"{name}.npy", np.stack(points))
        if self._file is not sys.stdout:
            self._file.close()
        if twice:
            raise UserError(
                f"{self._file.name}: {twice} comes twice, and an evaluator wants one of each: it has all rows"
            )

    def add(self, answers: Sequence[Answer]) -> None:
        """Some more answers; a CSV has the columns of the first that are added, and those that were told."""
        if self._alone is not None:
            kind, _ = ALONE[self._kind]
            for number, (_, media) in enumerate(answers, self._count + 1):
                made = next(value for key, value in media.items() if key.startswith(f"{kind}/"))
                name = self._alone.stem + (f"_{number}" if number > 1 else "")
                self._save(self._alone.parent, kind, name, made)
            self._count += len(answers)
            return
        rows = [{**row, **self._put(number, media)} for number, (row, media) in enumerate(answers, self._count)]
        self._count += len(rows)
        if self._kind == ".json":
            self._kept += rows
        elif self._kind == ".jsonl":
            self._file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            self._table(rows)
        self._file.flush()

    def _table(self, rows: Sequence[Row]) -> None:
        table = csv.writer(self._file, lineterminator="\n")
        if not self._columns:
            every = dict.fromkeys([*self._told, *(column for row in rows for column in row)])
            self._columns = sorted(every, key=lambda column: column not in FIRST)
            table.writerow(self._columns)
        table.writerows([_cell(row.get(column)) for column in self._columns] for row in rows)

    def _put(self, number: int, media: Mapping[str, np.ndarray]) -> Row:
        """What a row says of its media: files of a folder, rows of its .npy, numbers in JSON."""
        row: Row = {}
        for key, value in media.items():
            kind, _, name = key.partition("/")
            if self._folder is None:
                if kind == "embedding" and self._kind != ".csv":
                    row[f"embedding_{name}"] = [float(f"{x:.6g}") for x in np.ravel(value)]
            elif kind == "embedding":
                points = self._points.setdefault(f"embedding_{name}", [])
                row[f"embedding_{name}"] = len(points)
                points.append(value)
            else:
                row[name] = self._save(self._folder, kind, f"{name}_{number:05d}", value, media.get(f"audio/{name}"))
        return row

    def _save(
        self, folder: pathlib.Path, kind: str, name: str, value: np.ndarray, sound: np.ndarray | None = None
    ) -> str:
        """Writes a picture, a sound, a video with the sound of its own name, or a map; returns the file's name."""
        file = f"{name}{ENDINGS[kind]}"
        if kind == "image":
            Image.fromarray(value).save(folder / file)
        elif kind == "heatmap":
            np.save(folder / file, value)
        elif kind == "video":
            drawn_video.write(folder / file, value, FRAME_RATE, sound, self._rate)
        else:
            import soundfile  # half a second, for those who write a sound

            soundfile.write(folder / file, value, self._rate)
        return file


def _cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def results(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """Rows as COCO's or VQA's evaluators read them, where all have what these want; else as they are.

    The image_id of a caption is that of its row, or the number in the file's name if that is COCO's or a number alone,
    or the name. An identity that comes twice is refused by the evaluators: then, too, the rows are as they are.

    Returns:
      The rows, and the identity that comes twice, "" for none.
    """
    known = [_numbered(row) for row in rows]
    for columns in RESULTS:
        if rows and all(set(columns.values()) <= set(row) for row in known):
            number = next(iter(columns))
            (most, count), *_ = collections.Counter(row[number] for row in known).most_common(1)
            if count > 1:
                return list(rows), f"{number} {most}"
            return [{name: row[column] for name, column in columns.items()} for row in known], ""
    return list(rows), ""


def _numbered(row: Row) -> Row:
    if "caption" not in row or "image_id" in row or "file" not in row:
        return row
    name = pathlib.PurePath(str(row["file"])).name
    number = caption_choice.number(name)
    return {**row, "image_id": int(number) if number else name}
