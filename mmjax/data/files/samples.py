"""A picture and what is said about it under the same name: img2dataset's folders, and the samples of webdataset.

x.jpg lies beside x.txt, which is its caption, or beside x.json, whose keys are columns as those of any table.
"""

from __future__ import annotations

import json
import math
import os
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from mmjax.data.files import encodings, pictures
from mmjax.data.files.columns import Columns
from mmjax.data.files.faults import Fault

TEXTS = ("txt", "text", "caption")  # suffixes of captions, in order of preference
RECORDS = ("json",)
BESIDE = tuple(f".{suffix}" for suffix in (*TEXTS, *RECORDS))
WITHOUT = "picture without a caption"
ALONE = "caption without a picture"
BESIDE_ANOTHER = "beside another picture of its sample"


def key(name: str) -> tuple[str, str]:
    """(what the files of a sample share, the rest in lower case): webdataset cuts at the first dot of a file's name."""
    folder, base = posixpath.split(name)
    stem, _, suffix = base.partition(".")
    return posixpath.join(folder, stem), suffix.lower()


def picture_suffix(suffixes: Sequence[str], columns: Columns) -> str:
    """Which member of a sample is the picture, "" where none is: a plain .jpg before a .mask.png."""
    if columns.file:
        return next((one for one in suffixes if one == columns.file[0].lower().lstrip(".")), "")
    known = [one for one in suffixes if f".{one.rpartition('.')[2]}" in pictures.suffixes()]
    return min(known, key=lambda one: one.count("."), default="")


def is_said(suffix: str, columns: Columns) -> bool:
    """Whether a member of a sample is to be read for captions."""
    return suffix in (*TEXTS, *RECORDS, *map(str.lower, (*columns.caption, *columns.split)))


def said(name: str, parts: Mapping[str, bytes], columns: Columns, faults: list[Fault]) -> tuple[list[str], str]:
    """The captions and the split of a sample; why there is none becomes a fault.

    Args:
      name: of the picture.
      parts: {suffix: content} of what lies beside it.
      columns: of its JSON; a caption that the user names may also be the suffix of a text.
    """
    row: dict[str, Any] = {}
    for suffix, raw in parts.items():
        text = encodings.decoded(raw)
        if encodings.damaged(text):
            faults.append(Fault(f"{name} ({suffix})", f"not {encodings.name(raw)}"))
        elif suffix in RECORDS:
            try:
                content = json.loads(text)
            except (ValueError, RecursionError) as error:
                faults.append(Fault(f"{name} ({suffix})", "broken JSON", str(error)))
                continue
            row = {**(content if isinstance(content, dict) else {}), **row}
        else:
            row[suffix] = text
    texts = [suffix for suffix in TEXTS if suffix in parts and suffix in row]
    # A caption of its own file is what JSON says once more.
    own = () if columns.caption else tuple(texts[:1])
    captions = strings([row[one] for one in own or columns.captions(tuple(row))])
    split = next((str(row[one] or "") for one in columns.splits(tuple(row))), "")
    if captions is None or not captions:
        faults.append(Fault(name, WITHOUT, f"it has {', '.join(row) or 'nothing'} beside it"))
    return captions or [], split


def strings(values: Sequence[Any]) -> list[str] | None:
    """The captions of cells, each a text or a list of them; None where one is something else.

    Of several cells, those that are empty are no captions, and neither is nothing in a list.
    """
    found: list[Any] = []
    for value in values:
        if _is_nothing(value) and len(values) > 1:
            continue
        several = [one for one in value if not _is_nothing(one)] if isinstance(value, list | tuple) else [value]
        found += [one for one in several if len(values) == 1 or one != ""]
    return found if all(isinstance(one, str) for one in found) else None


def _is_nothing(value: Any) -> bool:
    """Whether a cell is empty: null or, as pandas writes it, NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def beside(paths: Mapping[str, Any], texts: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """{picture: {suffix: the file beside it}} of pictures with something beside them; all by their paths."""
    by_stem: dict[str, dict[str, str]] = {}
    for text in texts:
        stem, suffix = os.path.splitext(text)
        by_stem.setdefault(stem, {})[suffix[1:].lower()] = text
    found = {path: by_stem[stem] for path in paths if (stem := os.path.splitext(path)[0]) in by_stem}
    return found
