"""A list of what is asked, as rows: VQA's questions or COCO's images, JSON lines, or a table."""

from __future__ import annotations

import csv
import io
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from mmjax.data.files import caption_tables, encodings
from mmjax.data.files.faults import Fault
from mmjax.errors import UserError

Row = dict[str, Any]

FILE = ("file", "file_name", "image", "picture", "sound", "video", "path")  # columns of a list that name a file
TEXT = ("text", "question", "caption", "sentence", "word")  # those that hold a text
NUMBERS = ("question_id", "image_id", "id")  # those that are handed on
TABLES = (".csv", ".tsv")
WANTED = "VQA's questions or COCO's images as .json, or rows as .jsonl, .csv or .tsv"


def text_of(path: pathlib.Path) -> str:
    """What a text file holds. Raises UserError where it cannot be read, or is no text."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    try:
        return encodings.strict(raw)
    except UnicodeDecodeError:
        raise UserError(f"{path} is no {encodings.name(raw)} text") from None


def read(path: pathlib.Path) -> tuple[list[tuple[str, Row]], list[Fault]]:
    """(place in words, {column: value}) of each row: VQA's questions (.json), COCO's images or captions (.json),
    .jsonl, .csv or .tsv; and the rows that are none.

    Identities are what the list says they are: in JSON numbers are numbers and texts are texts; a table does not tell,
    and there a number is what is written as numbers are.

    Raises:
      UserError: it is no list, or one without a row.
    """
    text, faults = text_of(path), list[Fault]()
    suffix = path.suffix.lower()
    rows = _table if suffix in TABLES else _json_lines if suffix == ".jsonl" else _json
    try:
        found = list(rows(path, text, faults))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is no list of what is asked ({_named(error)}): give {WANTED}") from None
    if not found:
        more = f" ({faults[0].path}: {faults[0].kind})" if faults else " (it is empty)"
        raise UserError(f"{path} is no list of what is asked{more}: give {WANTED}")
    return found, faults


def _named(error: Exception) -> str:
    return f"{type(error).__name__} {error}"


# -- JSON --------------------------------------------------------------------------------------------------------------


def _json(path: pathlib.Path, text: str, faults: list[Fault]) -> Iterator[tuple[str, Row]]:
    content = json.loads(text)
    of_images = isinstance(content, dict) and "questions" not in content
    rows = content["images" if of_images else "questions"] if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise TypeError("where its rows should be, there is no list")
    for number, row in enumerate(rows):
        place = f"{path.name}[{number}]"
        if isinstance(row, dict):
            yield place, {"image_id": row.get("id"), "file": row.get("file_name")} if of_images else row
        else:
            faults.append(Fault(place, "row that is none", type(row).__name__))


def _json_lines(path: pathlib.Path, text: str, faults: list[Fault]) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(encodings.lines(text), start=1):
        place = f"{path.name}, line {number}"
        try:
            row = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError) as error:
            faults.append(Fault(place, "broken JSON", str(error)))
            continue
        if isinstance(row, dict):
            yield place, row
        elif line.strip():
            faults.append(Fault(place, "row that is none", type(row).__name__))


# -- tables ------------------------------------------------------------------------------------------------------------


def _table(path: pathlib.Path, text: str, faults: list[Fault]) -> Iterator[tuple[str, Row]]:
    """The rows of a table, its delimiter the one by which its heading has most of the columns that are known."""
    lines = encodings.lines(text)
    start, said = caption_tables.beginning(lines)
    text = "\n".join(lines[start:])
    found = [(_heading(text, delimiter), delimiter) for delimiter in said or caption_tables.DELIMITERS]
    heading, delimiter = max(found, key=lambda one: len({*FILE, *TEXT, *NUMBERS} & set(one[0])))
    if not {*FILE, *TEXT} & set(heading):
        wanted = f"a file ({', '.join(FILE)}) or a text ({', '.join(TEXT)})"
        raise UserError(f"{path}: its first line names no column of {wanted}")
    reader = _reader(text, delimiter)
    next(reader)
    while True:
        place = f"{path.name}, line {start + reader.line_num + 1}"
        try:
            cells: list[str] = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if str(error).startswith("unexpected end"):  # all that is below is in that cell
                raise UserError(f"{place}: a quote that opens a cell is not closed") from None
            faults.append(Fault(place, "row that is none", str(error)))
            continue
        while len(cells) > len(heading) and not cells[-1].strip():
            cells.pop()
        if len(cells) > len(heading):  # a comma of its text without quotes, say: half of a question is another one
            faults.append(Fault(place, "row that does not fit its heading", f"{len(cells)} for {len(heading)}"))
        elif any(cell.strip() for cell in cells):
            row = dict(zip(heading, cells, strict=False))
            yield place, {column: _number(cell) if column in NUMBERS else cell for column, cell in row.items()}


def _heading(text: str, delimiter: str) -> list[str]:
    try:
        cells: list[str] = next(_reader(text, delimiter), [])
    except csv.Error:
        return []
    return list(caption_tables.unlike([cell.strip().lower() for cell in cells]))


def _reader(text: str, delimiter: str) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)


def _number(cell: str) -> int | str:
    """A number of a table as one, where it is written as numbers are: 007 is somebody's name."""
    return int(cell) if re.fullmatch(r"0|[1-9][0-9]{0,18}", cell) else cell
