"""VQA v1 and v2 (Antol et al. 2015, Goyal et al. 2017) as published: JSON files, and COCO's pictures.

In one folder, directly or in folders of its own:

    v2_OpenEnded_mscoco_train2014_questions.json    v1 has no "v2_"
    v2_mscoco_train2014_annotations.json
    the same for val2014
    train2014/COCO_train2014_000000000009.jpg       and val2014/

The answers of the official test are secret, so that the official validation split is our test split; our validation
split is a share of the training pictures, each with all its questions.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mmjax.data.files import pictures, prepared
from mmjax.data.files.faults import Unusable
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("image", "question", "answer", "answers", "question_type", "group", "index")
VERSIONS = ("v1", "v2")
SUBSETS = {"train": "train2014", "validation": "train2014", "test": "val2014"}
TYPES = ("answer_type", "question_type")


class Record(NamedTuple):
    """A question with everything that is said about it; `picture` is a path."""

    picture: str
    image_id: int
    question: str
    answer: str
    answers: tuple[str, ...]
    question_type: str


@dataclasses.dataclass(frozen=True)
class VQAJson:
    """A random-access source; made by `source`."""

    fields: tuple[str, ...]
    records: tuple[Record, ...]
    size: int
    unreadable: set[str]  # pictures that were found damaged, each told once

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record, picture = self.records[index], None
        if "image" in self.fields:
            record, picture = self._seen(index)
        made = {
            "image": lambda: picture,
            "question": lambda: record.question,
            "answer": lambda: record.answer,
            "answers": lambda: list(record.answers),
            "question_type": lambda: record.question_type,
            "group": lambda: str(record.image_id),
            "index": lambda: np.int32(index),
        }
        return {field: made[field]() for field in self.fields}

    def _seen(self, index: int) -> tuple[Record, np.ndarray]:
        """The record and its picture; where it is damaged the next whole one, so that the run goes on."""
        for step in range(len(self.records)):
            record = self.records[(index + step) % len(self.records)]
            try:
                return record, _read(record.picture, self.size)
            except Unusable as error:
                if record.picture not in self.unreadable:
                    self.unreadable.add(record.picture)
                    print(f"vqa_json: {record.picture} is skipped: {error}", file=sys.stderr)
        raise UserError("vqa_json: no picture can be read")


def source(
    split: str,
    fields: tuple[str, ...] | None = None,
    *,
    path: str = "",
    version: str = "v2",
    size: int = 224,
    types: str = "answer_type",
    validation: float = 0.05,
) -> VQAJson:
    """Opens a split.

    Args:
      split: "train", "validation" or "test" (the official validation split).
      fields: of FIELDS; all where None. `answer` is the most frequent of the ten `answers`, as the annotations say.
      path: the folder.
      version: "v1" or "v2" of the questions.
      size: pictures are stretched to a square of so many pixels, as the VQA code does.
      types: `question_type` is the annotations' "answer_type" (yes/no, number, other: what papers report) or
        "question_type" (the question's first words, 65 of them).
      validation: share of the training pictures held out.

    Raises:
      UserError: a missing folder or file, a file that is damaged, an option that is wrong, or nothing that is usable.
    """
    for name, value, choices in (("version", version, VERSIONS), ("types", types, TYPES), ("split", split, SUBSETS)):
        if value not in choices:
            raise UserError(f"config.data.{name} {value!r} is unknown: choose one of {', '.join(choices)}")
    if size < 1:
        raise UserError(f"config.data.size={size}: it must be at least 1 pixel")
    records = _records(_folder(path), version, SUBSETS[split], types)
    if split != "test":
        side = prepared.assign_splits({str(record.image_id) for record in records}, validation, 0.0)
        records = [record for record in records if side[str(record.image_id)] == split]
    order = np.random.default_rng(0).permutation(len(records))  # the files list a picture's questions in a row
    shuffled = tuple(records[i] for i in order)
    return VQAJson(FIELDS if fields is None else tuple(fields), shuffled, size, set())


def _read(path: str, size: int) -> np.ndarray:
    picture = pictures.flat(pictures.read(pathlib.Path(path), least=size))
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))


def _folder(path: str) -> pathlib.Path:
    folder = pathlib.Path(path).expanduser()
    if not path or not folder.is_dir():
        raise UserError(
            f"config.data.path={path!r} is no folder: give the one with VQA's JSON files and the folders train2014 and "
            "val2014 of COCO"
        )
    return folder.resolve()


@functools.lru_cache(maxsize=2)  # training and validation are cut from one file
def _records(folder: pathlib.Path, version: str, subset: str, types: str) -> list[Record]:
    prefix = "v2_" if version == "v2" else ""
    asked = _load(folder, f"{prefix}OpenEnded_mscoco_{subset}_questions.json", "questions")
    told = _load(folder, f"{prefix}mscoco_{subset}_annotations.json", "annotations")
    annotations = {row.get("question_id"): row for row in told if isinstance(row, dict)}
    pictures, skipped = _pictures(folder, subset), collections.Counter[str]()
    records = []
    for row in asked:
        found = _record(row, annotations, pictures, subset, types)
        if isinstance(found, Record):
            records.append(found)
        else:
            skipped[found] += 1
    if skipped:
        listed = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items()))
        print(f"vqa_json {subset}: {len(records):,} questions, skipped {listed}", file=sys.stderr)
    if not records:
        raise UserError(f"{folder} has no usable question of {subset}: are COCO's pictures in {folder / subset}?")
    return records


def _record(
    row: Any, annotations: Mapping[Any, Any], pictures: Mapping[str, str], subset: str, types: str
) -> Record | str:
    """The record of a question, or in a few words why there is none."""
    try:
        question, image_id = str(row["question"]).strip(), int(row["image_id"])
        annotation = annotations.get(row["question_id"])
    except (KeyError, TypeError, ValueError):
        return "damaged"
    if annotation is None:
        return "without an annotation"
    try:
        answers = tuple(sys.intern(str(one["answer"])) for one in annotation["answers"])
        answer, kind = str(annotation["multiple_choice_answer"]), str(annotation[types])
    except (KeyError, TypeError):
        return "damaged"
    if not answers or not question:
        return "without an answer" if question else "without words"
    picture = pictures.get(f"COCO_{subset}_{image_id:012d}")
    if picture is None:
        return "without a picture"
    return Record(picture, image_id, question, sys.intern(answer), answers, sys.intern(kind))


def _load(folder: pathlib.Path, name: str, key: str) -> list[Any]:
    """The list under `key` of a JSON file that lies somewhere in the folder."""
    file = next((f for f in (folder / name, *sorted(folder.glob(f"*/{name}"))) if f.is_file()), None)
    if file is None:
        raise UserError(f"{folder} has no {name}: unpack it there (https://visualqa.org/download.html)")
    try:
        rows = json.loads(file.read_bytes())[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged or not VQA's: {type(error).__name__} {error}") from None
    if not isinstance(rows, list):
        raise UserError(f"{file} is not VQA's: {key} is no list")
    return rows


def _pictures(folder: pathlib.Path, subset: str) -> dict[str, str]:
    """{name without suffix: path} of the pictures that are not empty, in the folder or in its folder `subset`."""
    return {name: path for place in (folder, folder / subset) for name, path in _listing(place)}


def _listing(place: pathlib.Path) -> Iterator[tuple[str, str]]:
    if not place.is_dir():
        return
    with os.scandir(place) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            if suffix.lower() in (".jpg", ".jpeg", ".png") and entry.stat().st_size:
                yield stem, entry.path
