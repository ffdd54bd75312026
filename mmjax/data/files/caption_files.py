"""Who said what about which picture: COCO's and Karpathy's JSON, Flickr8k's token file, CSV and JSON lines, read alike.

A record that cannot be used is a fault with a name and a kind, never an error; a file that is as a whole not what it
should be is an error of one line.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mmjax.data.files import caption_tables, tree
from mmjax.data.files.caption_tables import CAPTION, FILE, SPLIT, SPLITS, UnknownLayout
from mmjax.data.files.faults import Fault
from mmjax.errors import UserError

# What is told of pictures that are used all the same: where one is in two splits, the first of HELD_OUT is meant.
SPLITS_DIFFER = "of two splits, in the held-out one"
USED = (SPLITS_DIFFER, tree.AGAIN)
HELD_OUT = ("test", "validation", "train", "")  # which split of several a picture is kept in
LAYOUTS = (
    "COCO's captions_*.json, Karpathy's dataset_*.json, Flickr8k's token file (image.jpg#0, TAB, caption), or CSV or "
    "JSON lines with file, caption and perhaps split"
)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture as the files name it, what is said about it, and its split: "" where none is given.

    `home` is where the file with its captions lies: the name may be meant from there.
    """

    name: str
    captions: tuple[str, ...]
    split: str
    home: pathlib.Path = pathlib.Path()


Said = tuple[str, str, str]  # picture, caption, split


def read(files: Sequence[pathlib.Path], beside: Sequence[pathlib.Path] = ()) -> tuple[list[Picture], list[Fault]]:
    """All pictures with at least one caption, in the order of their first mention, and what was left out.

    Args:
      files: to read.
      beside: further files of the same data set; whether one is of a test says what another's "val" is.

    Raises:
      UserError: a file is damaged, or of no known layout.
    """
    faults: list[Fault] = []
    captions: dict[tuple[str, pathlib.Path], list[str]] = {}
    splits: dict[tuple[str, pathlib.Path], set[str]] = collections.defaultdict(set)
    unknown: dict[tuple[str, str], Fault] = {}
    for file in files:
        for name, caption, split in _read(file, (*files, *beside), faults):
            split = split.strip()
            if split and split.lower() not in SPLITS:
                unknown[name, split] = Fault(name, "of an unknown split", split)
                continue
            key = name.replace("\\", "/").removeprefix("./"), file.parent
            splits[key].add(SPLITS.get(split.lower(), ""))
            kept = captions.setdefault(key, [])
            if caption.strip():
                kept.append(" ".join(caption.split()))
            else:
                faults.append(Fault(name, "empty caption"))
    faults += unknown.values()
    pictures = []
    for (name, home), texts in captions.items():
        of = held_out(name, splits[name, home], faults)
        if texts:
            pictures.append(Picture(name, tuple(texts), of, home))
    return pictures, faults


def held_out(name: str, splits: Iterable[str], faults: list[Fault]) -> str:
    """The one split of a picture that is named in these; a fault where they are several."""
    ordered = sorted(set(splits), key=HELD_OUT.index)
    if sum(map(bool, ordered)) > 1:
        faults.append(Fault(name, SPLITS_DIFFER, ", ".join(filter(None, ordered))))
    return ordered[0]


def _read(file: pathlib.Path, beside: Sequence[pathlib.Path], faults: list[Fault]) -> Iterator[Said]:
    suffix = file.suffix.lower()
    if suffix == ".json":
        return _json(file, beside, faults)
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(file, faults)
    raw = _bytes(file)
    first = raw[: max(raw.find(b"\n"), 0) or None].decode("utf-8-sig", "replace").strip()
    if suffix in (".csv", ".tsv") or ("#" not in first and any(d in first for d in caption_tables.DELIMITERS)):
        return _records(caption_tables.rows(file, raw, faults), file, faults)
    return _token_file(file, raw, faults)


def _bytes(file: pathlib.Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None


# -- JSON --------------------------------------------------------------------------------------------------------------


def _json(file: pathlib.Path, beside: Sequence[pathlib.Path], faults: list[Fault]) -> Iterator[Said]:
    try:
        content = json.loads(_bytes(file).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8: byte {error.start:,} is 0x{error.object[error.start]:02x}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{file} is broken JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    if isinstance(content, list):
        return _records(((f"{file.name}[{i}]", row) for i, row in enumerate(content)), file, faults)
    images = content.get("images") if isinstance(content, dict) else None
    if isinstance(images, list) and isinstance(content.get("annotations"), list):
        return _coco(file, _coco_split(file, beside), images, content["annotations"], faults)
    if isinstance(images, list):
        return _karpathy(file, images, faults)
    raise UnknownLayout(f"{file} is of no known layout: it must be {LAYOUTS}")


def _coco_split(file: pathlib.Path, beside: Sequence[pathlib.Path]) -> str:
    """COCO's file is its split. Captions of its test are secret: "val" is our test, unless there is a file of that."""
    of = _named_split(file)
    if of == "val":
        return "val" if "test" in map(_named_split, beside) else "test"
    return of


def _named_split(file: pathlib.Path) -> str:
    found = re.search(r"(?<![a-z])(train|val|test)", file.stem)
    return found.group() if found else ""


def _coco(
    file: pathlib.Path, split: str, images: list[Any], annotations: list[Any], faults: list[Fault]
) -> Iterator[Said]:
    """COCO (Chen et al. 2015): {images: [{id, file_name}], annotations: [{image_id, caption}]}."""
    names: dict[Any, set[Any]] = collections.defaultdict(set)
    for row in images:
        if isinstance(row, dict):
            names[str(row.get("id"))].add(str(row.get("file_name") or ""))
    for number, row in enumerate(annotations):
        place = f"{file.name}, annotation {number}"
        called = names.get(str(row.get("image_id")), {""}) if isinstance(row, dict) else {""}
        if len(called) > 1:
            faults.append(Fault(place, "of an ambiguous name", "several pictures have its image_id"))
            continue
        (name,) = called
        if not name or not isinstance(row.get("caption"), str):
            faults.append(Fault(place, "malformed record", "no image or no caption"))
            continue
        yield name, row["caption"], split


def _karpathy(file: pathlib.Path, images: list[Any], faults: list[Fault]) -> Iterator[Said]:
    """Karpathy and Fei-Fei 2015: {images: [{filename, filepath?, split, sentences: [{raw}]}]}."""
    for number, row in enumerate(images):
        try:
            name = "/".join(part for part in (row.get("filepath", ""), row["filename"]) if part)
            texts = [sentence["raw"] + "" for sentence in row["sentences"]]
            split = str(row.get("split", ""))
        except (TypeError, KeyError, AttributeError) as error:
            faults.append(Fault(f"{file.name}, image {number}", "malformed record", f"{type(error).__name__}: {error}"))
            continue
        if not texts:
            faults.append(Fault(name, "empty caption"))
        for text in texts:
            yield name, text, split


def _json_lines(file: pathlib.Path, faults: list[Fault]) -> Iterator[Said]:
    def rows() -> Iterator[tuple[str, Any]]:
        for number, line in enumerate(_bytes(file).removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
            place = f"{file.name}, line {number}"
            try:
                if line.strip():
                    yield place, json.loads(line.decode())
            except UnicodeDecodeError:
                faults.append(Fault(place, "not UTF-8"))
            except json.JSONDecodeError as error:
                faults.append(Fault(place, "broken JSON", error.msg))

    return _records(rows(), file, faults)


def _records(rows: Iterable[tuple[str, Any]], file: pathlib.Path, faults: list[Fault]) -> Iterator[Said]:
    """Rows with a file, a caption or several, and perhaps a split, under any of their usual names."""
    for place, row in rows:
        name, said, split = (_value(row, names) for names in (FILE, CAPTION, SPLIT))
        texts = said if isinstance(said, list) else [said]
        if not isinstance(name, str) or not name or not all(isinstance(text, str) for text in texts):
            detail = f"it wants {FILE[0]!r} and {CAPTION[0]!r}"
            faults.append(Fault(place, "malformed record", detail))
            continue
        if not texts:
            faults.append(Fault(name, "empty caption"))
        for text in texts:
            yield name, text, str(split or "")


def _value(row: Any, names: Sequence[str]) -> Any:
    return next((row[name] for name in names if name in row), None) if isinstance(row, dict) else None


# -- text --------------------------------------------------------------------------------------------------------------


def _token_file(file: pathlib.Path, raw: bytes, faults: list[Fault]) -> Iterator[Said]:
    """Flickr8k and Flickr30k (Hodosh et al. 2013): image.jpg#0, TAB, caption; split lists beside it are followed."""
    lists = _split_lists(file.parent, faults)
    outside = set()
    known = 0
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        head, tab, said = line.partition(b"\t")
        name, sign, _ = head.decode("utf-8", "replace").rpartition("#")
        if not line.strip():
            continue
        if not tab or not sign:
            faults.append(Fault(f"{file.name}, line {number}", "malformed record", "not image#number, TAB, caption"))
            continue
        known += 1
        try:
            text = said.decode()
        except UnicodeDecodeError:
            faults.append(Fault(f"{file.name}, line {number}", "not UTF-8"))
            continue
        if lists and name not in lists:
            outside.add(name)
        else:
            yield name, text, lists.get(name, "")
    faults.extend(Fault(name, "in no split list") for name in sorted(outside))
    if not known:
        raise UnknownLayout(f"{file} is of no known layout: it must be {LAYOUTS}")


def matching(place: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """The files of a folder whose names match, those with lemmas last."""
    found = (file for file in place.glob(pattern) if not file.name.startswith(".") and file.is_file())
    return sorted(found, key=lambda file: ("lemma" in file.name, file.name))


def split_lists(folder: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
    """(split, file) of Flickr_8k.trainImages.txt, .devImages.txt, .testImages.txt, of those that are there."""
    return [(split, file) for split in ("train", "dev", "test") for file in matching(folder, f"*{split}Images.txt")]


def _split_lists(folder: pathlib.Path, faults: list[Fault]) -> dict[str, str]:
    """{picture: split} of the lists; {} where there are none."""
    splits: dict[str, set[str]] = collections.defaultdict(set)
    for split, file in split_lists(folder):
        for line in _bytes(file).decode("utf-8", "replace").splitlines():
            if line.strip():
                splits[line.strip()].add(SPLITS[split])
    return {name: held_out(name, several, faults) for name, several in splits.items()}
