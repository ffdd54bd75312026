"""VQA v1 and v2 (Antol et al. 2015, Goyal et al. 2017) and OK-VQA (Marino et al. 2019) as published.

In one folder, JSON files and COCO's pictures, directly or in folders of their own as VQA's API has them:

    Questions/v2_OpenEnded_mscoco_train2014_questions.json       v1 and OK-VQA have no "v2_"
    Annotations/v2_mscoco_train2014_annotations.json
    the same for val2014
    Images/mscoco/train2014/COCO_train2014_000000000009.jpg      and val2014/; or as 2017 calls it:
    train2017/000000000009.jpg

The answers of the official test are secret, so that the official validation split is our test split; our validation
split is a share of the training pictures, each with all its questions. The official tests are the splits "test2015" and
"test-dev2015", which have questions and pictures alone.
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

from mmjax.data import fingerprints
from mmjax.data.files import faults, pictures, prepared, tree
from mmjax.data.files.faults import Fault, Unusable
from mmjax.data.fingerprints import Print
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("image", "question", "answer", "answers", "question_type", "group", "id", "index")
IDENTITY = {"question_id": "id", "image_id": "group"}
FIT = "stretch"
VERSIONS = ("v1", "v2", "okvqa")
# Folders of pictures beside that of their subset; in any of these, the pictures of 2014 are called as in 2017, too.
PLACES = ("images", "mscoco", "coco", "train2017", "val2017", "test2017")
DEEP = 3  # folders that pictures may lie below: Images/mscoco/train2014
SUBSETS = {"train": "train2014", "validation": "train2014", "test": "val2014"}
UNANSWERED = {"test2015": "test2015", "test-dev2015": "test2015"}  # {split of questions alone: its pictures}
SAID = ("answer", "answers", "question_type")  # what annotations tell
TYPES = ("answer_type", "question_type")


class Record(NamedTuple):
    """A question with everything that is said about it; `picture` is a path."""

    picture: str
    image_id: int
    question_id: int
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

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints: of the texts, and of pictures by their names and sizes, so that none of them need be read."""
        there = {record.picture for record in self.records if os.path.exists(record.picture)}
        sizes = {path: os.path.getsize(path) for path in there}
        made = {
            "image": [self.size, *((os.path.basename(r.picture), sizes.get(r.picture)) for r in self.records)],
            **{f: [getattr(r, f) for r in self.records] for f in ("question", "answer", "answers", "question_type")},
            "group": [r.image_id for r in self.records],
            "id": [r.question_id for r in self.records],
        }
        return {f: fingerprints.whole(made[f]) for f in self.fields if f in made}

    def __getitem__(self, index: int) -> dict[str, Any]:
        record, picture = self.records[index], None
        if "image" in self.fields:
            index, picture = self._seen(index)
            record = self.records[index]
        made = {
            "image": lambda: picture,
            "question": lambda: record.question,
            "answer": lambda: record.answer,
            "answers": lambda: list(record.answers),
            "question_type": lambda: record.question_type,
            "group": lambda: str(record.image_id),
            "id": lambda: str(record.question_id),
            "index": lambda: np.int32(index),
        }
        return {field: made[field]() for field in self.fields}

    def _seen(self, index: int) -> tuple[int, np.ndarray]:
        """Which record it is, and its picture; where that is damaged the next whole one, so that the run goes on."""
        for step in range(len(self.records)):
            there = (index + step) % len(self.records)
            record = self.records[there]
            try:
                return there, pictures.stretched(pathlib.Path(record.picture), self.size)
            except Unusable as error:
                if record.picture not in self.unreadable:
                    self.unreadable.add(record.picture)
                    print(f"vqa_json: {tree.printable(record.picture)} is skipped: {error}", file=sys.stderr)
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
      split: "train", "validation" or "test" (the official validation split); for prediction alone, one of UNANSWERED.
      fields: of FIELDS; all that the split has where None. `answer` is the most frequent of the ten `answers`, as the
        annotations say or, where they do not as in OK-VQA, the first of the most frequent; what an answer is worth is
        the ten's in both.
      path: the folder.
      version: of the questions, "v1", "v2" or "okvqa", whose files are called as those of "v1".
      size: pictures are stretched to a square of so many pixels, as the VQA code does.
      types: `question_type` is the annotations' "answer_type" (yes/no, number, other: what papers report) or
        "question_type" (the question's first words, 65 of them; OK-VQA's 11 fields of knowledge).
      validation: share of the training pictures held out.

    Raises:
      UserError: a missing folder or file, a file that is damaged, an option that is wrong, or nothing that is usable.
    """
    splits = (*SUBSETS, *UNANSWERED)
    for name, value, choices in (("version", version, VERSIONS), ("types", types, TYPES), ("split", split, splits)):
        if value not in choices:
            raise UserError(f"config.data.{name} {value!r} is unknown: choose one of {', '.join(choices)}")
    if size < 1:
        raise UserError(f"config.data.size={size}: it must be at least 1 pixel")
    wanted = fields or tuple(field for field in FIELDS if split in SUBSETS or field not in SAID)
    secret = [field for field in wanted if field in SAID]
    if split in UNANSWERED and secret:
        raise UserError(f"the answers of VQA's {split} are secret ({', '.join(secret)}): it is for prediction alone")
    records = _records(_folder(path), version, SUBSETS.get(split, split), types)
    if split in ("train", "validation"):
        side = prepared.assign_splits({str(record.image_id) for record in records}, validation, 0.0)
        records = [record for record in records if side[str(record.image_id)] == split]
    order = np.random.default_rng(0).permutation(len(records))  # the files list a picture's questions in a row
    shuffled = tuple(records[i] for i in order)
    return VQAJson(tuple(wanted), shuffled, size, set())


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
    asked, _ = _load(folder, f"{prefix}OpenEnded_mscoco_{subset}_questions.json", "questions")
    if subset in UNANSWERED:
        told, spelt = [_unsaid(row, types) for row in asked], dict[str, str]()
    else:
        told, spelt = _load(folder, f"{prefix}mscoco_{subset}_annotations.json", "annotations")
    annotations = {row.get("question_id"): row for row in told if isinstance(row, dict)}
    pictured = UNANSWERED.get(subset, subset)
    images, skipped = _pictures(folder, pictured), list[Fault]()
    records = []
    for number, row in enumerate(asked):
        found = _record(row, annotations, images, pictured, types, spelt)
        if isinstance(found, Record):
            records.append(found)
        else:
            known = row.get("question_id") if isinstance(row, dict) else None
            skipped.append(Fault(f"row {number}" if known is None else f"question {known}", found))
    listed = ", ".join(faults.listed(skipped))
    if not records:
        lacking = any(fault.kind == "without a picture" for fault in skipped)
        more = f"; are COCO's pictures in {folder / pictured}?" if lacking else ""
        raise UserError(f"{folder} has no usable question of {subset}: {listed or 'the file is empty'}{more}")
    if skipped:
        print(f"vqa_json {subset}: {len(records):,} questions, skipped {listed}", file=sys.stderr)
    return records


def _unsaid(row: Any, types: str) -> dict[str, Any]:
    """The annotation of a question whose answers are secret: nothing is said."""
    number = row.get("question_id") if isinstance(row, dict) else None
    return {"question_id": number, "answers": [{"answer": ""}], types: ""}


def _record(
    row: Any,
    annotations: Mapping[Any, Any],
    images: Mapping[str, str],
    subset: str,
    types: str,
    spelt: Mapping[str, str],
) -> Record | str:
    """The record of a question, or in a few words why there is none."""
    try:
        question, image_id, number = str(row["question"]).strip(), int(row["image_id"]), int(row["question_id"])
        annotation = annotations.get(row["question_id"])
    except (KeyError, TypeError, ValueError):
        return "damaged"
    if annotation is None:
        return "without an annotation"
    try:
        answers = tuple(sys.intern(str(one["answer"])) for one in annotation["answers"])
        kind = str(annotation[types])
    except (KeyError, TypeError):
        return "damaged"
    if not answers or not question:
        return "without an answer" if question else "without words"
    (most, _), *_ = collections.Counter(answers).most_common(1)
    answer, kind = str(annotation.get("multiple_choice_answer", most)), str(spelt.get(kind, kind))
    picture = images.get(f"COCO_{subset}_{image_id:012d}") or images.get(f"{image_id:012d}")
    if picture is None:
        return "without a picture"
    return Record(picture, image_id, number, question, sys.intern(answer), answers, sys.intern(kind))


def _load(folder: pathlib.Path, name: str, key: str) -> tuple[list[Any], dict[str, str]]:
    """The list under `key` of a JSON file that lies somewhere in the folder, and how it spells its types."""
    file = _find(folder, name)
    if file is None:
        other = name.removeprefix("v2_") if name.startswith("v2_") else f"v2_{name}"
        there = _find(folder, other)
        hint = f"there is {there}: set config.data.version" if there else "unpack it there"
        raise UserError(f"{folder} has no {name}: {hint} (https://visualqa.org/download.html)")
    try:
        content = json.loads(file.read_bytes())
        rows, spelt = content[key], content.get("question_types")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file} is damaged or not VQA's: {type(error).__name__} {error}") from None
    if not isinstance(rows, list):
        raise UserError(f"{file} is not VQA's: {key} is no list")
    return rows, spelt if isinstance(spelt, dict) else {}


def _find(folder: pathlib.Path, name: str) -> pathlib.Path | None:
    return next((f for f in (folder / name, *sorted(folder.glob(f"*/{name}"))) if f.is_file()), None)


def _pictures(folder: pathlib.Path, subset: str) -> dict[str, str]:
    """{name without suffix: path} of the pictures that are not empty, in the folder or in its folders of pictures."""
    return {name: path for place in _places(folder, subset, DEEP) for name, path in _listing(place)}


def _places(folder: pathlib.Path, subset: str, deep: int) -> Iterator[pathlib.Path]:
    """The folder, and those below it that are called like folders of pictures, through such alone."""
    yield folder
    with os.scandir(folder) as entries:
        below = sorted(entry.name for entry in entries if entry.name.lower() in (*PLACES, subset) and entry.is_dir())
    for name in below if deep else ():
        yield from _places(folder / name, subset, deep - 1)


def _listing(place: pathlib.Path) -> Iterator[tuple[str, str]]:
    if not place.is_dir():
        return
    with os.scandir(place) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            # (A link that leads nowhere is no file.)
            if suffix.lower() in pictures.suffixes() and entry.is_file() and entry.stat().st_size:
                yield stem, entry.path
