"""Captions in Parquet: beside the pictures' bytes, as Hugging Face and img2dataset store them, or with their names."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from mmjax.data.files import held_pictures, parquet_file, samples
from mmjax.data.files.columns import Columns, UnknownLayout
from mmjax.data.files.faults import Fault
from mmjax.data.files.held_pictures import Held

PICTURES = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "bytes", "image_bytes")
Row = tuple[str, list[str], str, Held | None]


def read(file: pathlib.Path, columns: Columns, faults: list[Fault]) -> Iterator[Row]:
    """(name, captions, split, place) of each captioned picture; the place is None where it is a file of that name.

    A picture is called as the path beside its bytes says, or as a column of names does; failing that, by its row; where
    the name is taken, by both.

    Raises:
      UnknownLayout: no column of pictures or of their names, or none of captions.
    """
    damage = parquet_file.damage()
    try:
        there = parquet_file.columns(file)
        yield from _rows(file, there, columns, faults)
    except UnknownLayout:
        raise
    except damage as error:
        faults.append(Fault(file.name, "Parquet that is damaged", " ".join(str(error).split())[:200]))


def _rows(file: pathlib.Path, there: dict[str, bool], columns: Columns, faults: list[Fault]) -> Iterator[Row]:
    plain = [name for name, is_bytes in there.items() if not is_bytes]
    pictures = _pictures([name for name, is_bytes in there.items() if is_bytes], columns)
    names, captions, splits = columns.files(plain), columns.captions(plain), columns.splits(plain)
    if not captions or not (pictures or names):
        raise columns.lacking(file, there)
    used = set[str]()
    for at, row in parquet_file.rows(str(file), dict.fromkeys((*pictures, *names, *captions, *splits))):
        raw, path = parquet_file.picture(row[pictures[0]]) if pictures else (b"", "")
        name = path or next((row[one] for one in names if isinstance(row[one], str)), "") or ""
        texts = samples.strings([row[one] for one in captions])
        split = next((str(row[one] or "") for one in splits), "")
        place = f"{file.name}, row {at}"
        if not raw and (not name or _is_bytes_alone(pictures, row)):
            faults.append(Fault(place, "row without a picture"))
        elif not texts:
            faults.append(Fault(place, samples.WITHOUT))
        elif not raw:
            yield name, texts, split, None
        else:
            name = name or str(at)
            while name in used:  # also by a name that looks like the number of a row
                name = f"{name}, row {at}"
            used.add(name)
            held = Held(str(file), at, len(raw), pictures[0], held_pictures.digest(raw))
            yield f"{file.name}/{name}", texts, split, held


def _is_bytes_alone(pictures: Sequence[str], row: dict[str, Any]) -> bool:
    """Whether the picture is nowhere but in its column, so that a name beside it names no file."""
    return bool(pictures) and not isinstance(row[pictures[0]], dict)


def _pictures(of_bytes: Sequence[str], columns: Columns) -> tuple[str, ...]:
    """The column of pictures: the user's, one of a usual name, or the only one; () for none."""
    if columns.file:
        return columns.files(of_bytes)
    lower = {name.lower(): name for name in of_bytes}
    usual = tuple(lower[name] for name in PICTURES if name in lower)
    return usual[:1] or (tuple(of_bytes) if len(of_bytes) == 1 else ())
