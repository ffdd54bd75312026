"""Captions in CSV and what is like it, as people write it: a caption is whole though its commas are not quoted.

A quote that opens a cell and is not closed is a letter of the caption, and no reason to swallow the rows below.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import re
from collections.abc import Iterator

from mmjax.data.files import encodings, pictures
from mmjax.data.files.columns import SPLITS, USUAL, Columns
from mmjax.data.files.faults import Fault

DELIMITERS = ",\t;|"  # "|" is that of Flickr30k's results.csv
LONGEST = 100  # lines of one caption
LOOKED_AT = 20  # rows by which a table without a heading is told


@dataclasses.dataclass(frozen=True)
class _Heading:
    """The names of the columns; where the picture's file, its captions and its split (or None) stand; the first row."""

    names: tuple[str, ...]
    delimiter: str
    file: int
    captions: tuple[int, ...]
    split: int | None
    first: int = 1


def rows(
    file: pathlib.Path, raw: bytes, faults: list[Fault], columns: Columns = USUAL
) -> Iterator[tuple[str, dict[str, str]]]:
    """(the row's place in words, {column: cell}) of a table; rows that cannot be used become faults.

    A table without a heading is known where it has two columns of which one is of pictures, as CC3M's TSV has (Sharma
    et al. 2018): a caption, TAB, and an address or the name of a file.

    Raises:
      UnknownLayout: it has no column of files, or none of captions.
    """
    lines = encodings.lines(encodings.decoded(raw))
    start, said = beginning(lines)
    heading = _heading(file, lines[start:], dataclasses.replace(columns, separator=columns.separator or said))
    at = start + heading.first
    while at < len(lines):
        place, first = f"{file.name}, line {at + 1}", lines[at]
        cells, taken = _record(lines, at, heading)
        at += taken
        if not any(cells):
            continue
        if any(map(encodings.damaged, cells)):
            faults.append(Fault(place, f"not {encodings.name(raw)}"))
            continue
        whole = _whole(cells, first, heading)
        if whole is None:
            faults.append(Fault(place, "row that does not fit its heading", f"{len(cells)} for {len(heading.names)}"))
            continue
        whole[heading.file] = whole[heading.file].strip()
        yield place, dict(zip(heading.names, whole, strict=True))


def beginning(lines: list[str]) -> tuple[int, str]:
    """The first line of a table that counts, and its separator where the line before says it: Excel's "sep=;"."""
    start = next((i for i, line in enumerate(lines) if line.strip()), 0)
    said = re.fullmatch(r'"?sep=(.)"?', lines[start].strip("\r\n "))
    return (start + 1, said[1]) if said and start + 1 < len(lines) else (start, "")


def _heading(file: pathlib.Path, lines: list[str], columns: Columns) -> _Heading:
    usual = columns.separator or ("\t" if file.suffix.lower() == ".tsv" else ",")
    delimiters = (usual, *(() if columns.separator else DELIMITERS))
    found = {delimiter: _named(lines[0], delimiter) for delimiter in delimiters}
    for delimiter, names in found.items():
        of_file, of_captions, of_split = columns.files(names), columns.captions(names), columns.splits(names)
        if of_file and of_captions:
            split = names.index(of_split[0]) if of_split else None
            return _Heading(
                names, delimiter, names.index(of_file[0]), tuple(names.index(one) for one in of_captions), split
            )
    if not (columns.file or columns.caption):
        for delimiter in delimiters:
            at = _file_column(lines, delimiter)
            if at is not None:
                names = ("file", "caption") if at == 0 else ("caption", "file")
                return _Heading(names, delimiter, at, (1 - at,), None, first=0)
    raise columns.lacking(file, found[max(found, key=lambda delimiter: len(found[delimiter]))])


def _file_column(lines: list[str], delimiter: str) -> int | None:
    """Which column of a table of two without a heading names pictures: the first or the last; None where none does.

    A blank follows the commas of a sentence: where each row has two others, there is a column whose meaning is unknown.
    """
    rows = [line for line in lines if line.strip()][:LOOKED_AT]
    some = [line.split(delimiter) for line in rows]
    more = rf"{re.escape(delimiter)}(?! )"
    whole = [cells for cells in some if len(cells) > 1]  # a row that is broken is no heading's matter
    if 2 * len(whole) <= len(some) or min(len(re.findall(more, line.strip())) for line in rows) > 1:
        return None
    for at in (0, -1):
        named = [_is_picture(cells[at].strip(' "')) for cells in whole]
        if named[0] and 2 * sum(named) > len(named):
            return abs(at)
    return None


def _named(line: str, delimiter: str) -> tuple[str, ...]:
    names = [name.strip().lower() for name in _cells([line], delimiter) or line.split(delimiter)]
    while names and not names[-1]:
        names.pop()
    return unlike(names)


def unlike(names: list[str]) -> tuple[str, ...]:
    """Names of columns, none twice: caption, caption 2."""
    times = [names[: at + 1].count(name) for at, name in enumerate(names)]
    return tuple(name if n == 1 else f"{name} {n}" for name, n in zip(names, times, strict=True))


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
    return name.lower().endswith(pictures.suffixes()) or "://" in name


def _whole(cells: list[str], line: str, heading: _Heading) -> list[str] | None:
    """As many cells as the heading has: what is too much belongs to the caption, where nothing else can be meant."""
    while len(cells) > len(heading.names) and not cells[-1].strip():
        cells = cells[:-1]
    surplus = len(cells) - len(heading.names)
    if surplus <= 0:
        return cells + [""] * -surplus if len(cells) > max(heading.file, heading.captions[0]) else None
    # The blanks behind delimiters are lost to a table's cells.
    literal = line.split(heading.delimiter)[: len(cells)]
    same = [cell.strip() for cell in literal] == [cell.strip() for cell in cells]
    start, end = heading.captions[0], heading.captions[0] + surplus + 1
    caption = heading.delimiter.join(literal[start:end]) if same else f"{heading.delimiter} ".join(cells[start:end])
    whole = [*cells[:start], caption, *cells[end:]]
    return whole if all(_fits(heading, at, cell.strip()) for at, cell in enumerate(whole)) else None


def _fits(heading: _Heading, column: int, cell: str) -> bool:
    """Whether a cell can only be its column's; of columns that are not known, numbers can."""
    if column in heading.captions:
        return len(heading.captions) == 1  # of several, none can be told to have the surplus
    if column == heading.file:
        return _is_picture(cell)
    if column == heading.split:
        return not cell or cell.lower() in SPLITS
    return not cell or cell.isdigit()
