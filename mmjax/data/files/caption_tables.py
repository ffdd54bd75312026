"""Captions in CSV and what is like it, as people write it: a caption is whole though its commas are not quoted.

A quote that opens a cell and is not closed is a letter of the caption, and no reason to swallow the rows below.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from mmjax.data.files import pictures
from mmjax.data.files.faults import Fault
from mmjax.errors import UserError

FILE = ("file", "image", "filename", "file_name", "image_file", "image_path", "image_name")
CAPTION = ("caption", "captions", "text", "sentence", "comment", "description")
SPLIT = ("split", "set", "partition")
# What a split is called, by us and by others; "restval" is what Karpathy leaves of COCO's validation split to train on.
SPLITS = {
    **dict.fromkeys(("train", "training", "restval"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
DELIMITERS = ",\t;|"  # "|" is that of Flickr30k's results.csv
LONGEST = 100  # lines of one caption


class UnknownLayout(UserError):
    """A file that is whole, but holds no captions in a form that is known."""


@dataclasses.dataclass(frozen=True)
class _Heading:
    """The names of the columns, and where the picture's file, its caption and its split (or None) stand."""

    names: tuple[str, ...]
    delimiter: str
    file: int
    caption: int
    split: int | None


def rows(file: pathlib.Path, raw: bytes, faults: list[Fault]) -> Iterator[tuple[str, dict[str, str]]]:
    """(the row's place in words, {column: cell}) of a table with a heading; rows that cannot be used become faults.

    Raises:
      UnknownLayout: it has no column of files, or none of captions.
    """
    text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    heading = _heading(file, lines[0])
    at = 1
    while at < len(lines):
        place, first = f"{file.name}, line {at + 1}", lines[at]
        cells, taken = _record(lines, at, heading)
        at += taken
        if not any(cells):
            continue
        if any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell):
            faults.append(Fault(place, "not UTF-8"))
            continue
        whole = _whole(cells, first, heading)
        if whole is None:
            faults.append(Fault(place, "row that does not fit its heading", f"{len(cells)} for {len(heading.names)}"))
            continue
        yield place, dict(zip(heading.names, whole, strict=True))


def _heading(file: pathlib.Path, line: str) -> _Heading:
    usual = "\t" if file.suffix.lower() == ".tsv" else ","
    found = {delimiter: _named(line, delimiter) for delimiter in (usual, *DELIMITERS)}
    for delimiter, names in found.items():
        file_at, caption_at, split_at = (_column(names, known) for known in (FILE, CAPTION, SPLIT))
        if file_at is not None and caption_at is not None:
            return _Heading(names, delimiter, file_at, caption_at, split_at)
    names = found[usual]
    wanted = FILE if _column(names, FILE) is None else CAPTION
    there = ", ".join(filter(None, names)) or "none"
    raise UnknownLayout(f"{file} has no column {wanted[0]!r} (or {', '.join(wanted[1:])}): it has {there}")


def _named(line: str, delimiter: str) -> tuple[str, ...]:
    names = [name.strip().lower() for name in _cells([line], delimiter) or line.split(delimiter)]
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def _column(names: Sequence[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _cells(lines: list[str], delimiter: str) -> list[str] | None:
    """The cells of one record; None where its quotes are not those of a table."""
    try:
        return _parsed(lines, delimiter)
    except csv.Error:
        return None


def _parsed(lines: list[str], delimiter: str) -> list[str] | None:
    """The cells of one record, None of several; csv.Error where its quotes are not those of a table."""
    found = list(csv.reader([line + "\n" for line in lines], delimiter=delimiter, skipinitialspace=True, strict=True))
    return found[0] if len(found) == 1 else None


def _goes_on(lines: list[str], delimiter: str) -> bool:
    """Whether a cell is still open at the end: then, and only then, further lines may belong to it."""
    try:
        _parsed(lines, delimiter)
    except csv.Error as error:
        return str(error).startswith("unexpected end")
    return False


def _record(lines: list[str], at: int, heading: _Heading) -> tuple[list[str], int]:
    """The cells of the record that begins at a line, and how many lines it has."""
    cells = _cells([lines[at]], heading.delimiter)
    if cells is not None or not lines[at].strip():
        return cells or [], 1
    if not _goes_on([lines[at]], heading.delimiter):
        return [cell.strip() for cell in lines[at].split(heading.delimiter)], 1
    for end in range(at + 1, min(at + LONGEST, len(lines))):
        below = [cell.strip(' "') for cell in lines[end].split(heading.delimiter)]
        if heading.file < len(below) and _is_picture(below[heading.file]):
            break  # a row of its own
        if '"' not in lines[end] or _goes_on(lines[at : end + 1], heading.delimiter):
            continue
        cells = _cells(lines[at : end + 1], heading.delimiter)
        if cells is not None and len(cells) == len(heading.names):
            return cells, end + 1 - at
        break  # it is closed
    return [cell.strip() for cell in lines[at].split(heading.delimiter)], 1


def _is_picture(name: str) -> bool:
    return name.lower().endswith(pictures.suffixes())


def _whole(cells: list[str], line: str, heading: _Heading) -> list[str] | None:
    """As many cells as the heading has: what is too much belongs to the caption, where nothing else can be meant."""
    while len(cells) > len(heading.names) and not cells[-1].strip():
        cells = cells[:-1]
    surplus = len(cells) - len(heading.names)
    if surplus <= 0:
        return cells + [""] * -surplus if len(cells) > max(heading.file, heading.caption) else None
    # The blanks behind delimiters are lost to a table's cells.
    literal = line.split(heading.delimiter)[: len(cells)]
    same = [cell.strip() for cell in literal] == [cell.strip() for cell in cells]
    start, end = heading.caption, heading.caption + surplus + 1
    caption = heading.delimiter.join(literal[start:end]) if same else f"{heading.delimiter} ".join(cells[start:end])
    whole = [*cells[:start], caption, *cells[end:]]
    return whole if all(_fits(heading, at, cell.strip()) for at, cell in enumerate(whole)) else None


def _fits(heading: _Heading, column: int, cell: str) -> bool:
    """Whether a cell can only be its column's; of columns that are not known, numbers can."""
    if column == heading.caption:
        return True
    if column == heading.file:
        return _is_picture(cell)
    if column == heading.split:
        return not cell or cell.lower() in SPLITS
    return not cell or cell.isdigit()
