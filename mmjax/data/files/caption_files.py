"""Who said what about which picture: files of COCO, Karpathy and Flickr, tables, Parquet and tar shards, read alike.

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
from typing import Any, NamedTuple

from mmjax.data.files import caption_tables, encodings, parquet_file, parquet_tables, samples, tar_shards, tree
from mmjax.data.files.columns import CAPTION, FILE, SPLITS, USUAL, Columns, UnknownLayout, split_named
from mmjax.data.files.faults import Fault
from mmjax.data.files.held_pictures import Held
from mmjax.errors import UserError

# What is told of pictures that are used all the same: where one is in two splits, the first of HELD_OUT is meant.
SPLITS_DIFFER = "of two splits, in the held-out one"
USED = (SPLITS_DIFFER, tree.AGAIN)
HELD_OUT = ("test", "validation", "train", "")  # which split of several a picture is kept in
LAYOUTS = (
    "COCO's captions_*.json, Karpathy's dataset_*.json, Flickr8k's token file (image.jpg#0, TAB, caption), CSV, JSON "
    "lines or Parquet with file, caption and perhaps split, or tar shards of webdataset"
)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture as the files name it, what is said about it, and its split: "" where none is given.

    `home` is where the file with its captions lies: the name may be meant from there. `held` says where the bytes of a
    picture are that is no file.
    """

    name: str
    captions: tuple[str, ...]
    split: str
    home: pathlib.Path = pathlib.Path()
    held: Held | None = None


class Said(NamedTuple):
    """One caption of a picture, and its split as the file calls it."""

    name: str
    caption: str
    split: str
    held: Held | None = None


def read(
    files: Sequence[pathlib.Path], beside: Sequence[pathlib.Path] = (), columns: Columns = USUAL
) -> tuple[list[Picture], list[Fault]]:
    """All pictures with at least one caption, in the order of their first mention, and what was left out.

    Args:
      files: to read.
      beside: further files of the same data set; whether one is of a test says what another's "val" is.
      columns: what they are called in tables.

    Raises:
      UserError: a file is damaged, or of no known layout.
    """
    faults: list[Fault] = []
    said = ((file.parent, one) for file in files for one in _read(file, (*files, *beside), columns, faults))
    return collect(said, faults), faults


def collect(said: Iterable[tuple[pathlib.Path, Said]], faults: list[Fault]) -> list[Picture]:
    """The pictures of captions, each with the folder that its name may be meant from."""
    captions: dict[tuple[str, pathlib.Path], list[str]] = {}
    splits: dict[tuple[str, pathlib.Path], set[str]] = collections.defaultdict(set)
    places: dict[tuple[str, pathlib.Path], Held | None] = {}
    unknown: dict[tuple[str, str], Fault] = {}
    for home, (name, caption, split, held) in said:
        if encodings.damaged(name + caption):  # JSON can spell a half of a letter
            printable = name.encode("utf-8", "backslashreplace").decode()
            faults.append(Fault(printable, "text that is not Unicode"))
            continue
        split = split.strip()
        if split and split.lower() not in SPLITS:
            unknown[name, split] = Fault(name, "of an unknown split", split)
            continue
        key = name if held else name.replace("\\", "/").removeprefix("./"), home
        splits[key].add(SPLITS.get(split.lower(), ""))
        places[key] = held
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
            pictures.append(Picture(name, tuple(texts), of, home, places[name, home]))
    return pictures


def held_out(name: str, splits: Iterable[str], faults: list[Fault]) -> str:
    """The one split of a picture that is named in these; a fault where they are several."""
    ordered = sorted(set(splits), key=HELD_OUT.index)
    if sum(map(bool, ordered)) > 1:
        faults.append(Fault(name, SPLITS_DIFFER, ", ".join(filter(None, ordered))))
    return ordered[0]


def _read(file: pathlib.Path, beside: Sequence[pathlib.Path], columns: Columns, faults: list[Fault]) -> Iterator[Said]:
    suffix = file.suffix.lower()
    if file.name.lower().endswith(tar_shards.SUFFIXES):
        return _held(file, tar_shards.read(file, columns, faults))
    if suffix == parquet_file.SUFFIX:
        return _held(file, parquet_tables.read(file, columns, faults))
    if suffix == ".json":
        return _json(file, beside, columns, faults)
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(file, columns, faults)
    raw = _bytes(file)
    first = encodings.decoded(raw[: 1 << 16]).partition("\n")[0].strip()
    delimiters = columns.separator or caption_tables.DELIMITERS
    if suffix in (".csv", ".tsv") or ("#" not in first and any(d in first for d in delimiters)):
        return _records(caption_tables.rows(file, raw, faults, columns), file, columns, faults)
    return _token_file(file, raw, faults)


def _bytes(file: pathlib.Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None


def _held(file: pathlib.Path, rows: Iterable[tuple[str, list[str], str, Held | None]]) -> Iterator[Said]:
    for name, captions, split, held in rows:
        for caption in captions:
            yield Said(name, caption, split or split_named(file.name), held)


# -- JSON --------------------------------------------------------------------------------------------------------------


def _json(file: pathlib.Path, beside: Sequence[pathlib.Path], columns: Columns, faults: list[Fault]) -> Iterator[Said]:
    raw = _bytes(file)
    try:
        content = json.loads(encodings.strict(raw))
    except UnicodeDecodeError as error:
        wrong = f"byte {error.start:,} is 0x{error.object[error.start]:02x}"
        raise UserError(f"{file} is not {encodings.name(raw)}: {wrong}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{file} is broken JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError as error:
        raise UserError(f"{file} is broken JSON: {error}") from None
    if isinstance(content, list):
        rows = ((f"{file.name}[{i}]", row) for i, row in enumerate(content))
        return _records(rows, file, columns, faults)
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
        yield Said(name, row["caption"], split)


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
            yield Said(name, text, split)


def _json_lines(file: pathlib.Path, columns: Columns, faults: list[Fault]) -> Iterator[Said]:
    raw = _bytes(file)

    def rows() -> Iterator[tuple[str, Any]]:
        for number, line in enumerate(encodings.decoded(raw).split("\n"), start=1):
            place = f"{file.name}, line {number}"
            if encodings.damaged(line):
                faults.append(Fault(place, f"not {encodings.name(raw)}"))
                continue
            try:
                if line.strip():
                    yield place, json.loads(line)
            except (ValueError, RecursionError) as error:
                faults.append(Fault(place, "broken JSON", str(error)))

    return _records(rows(), file, columns, faults)


def _records(
    rows: Iterable[tuple[str, Any]], file: pathlib.Path, columns: Columns, faults: list[Fault]
) -> Iterator[Said]:
    """Rows with a file, a caption or several, and perhaps a split, under the user's names or any of their usual ones.

    Raises:
      UnknownLayout: no row has a file and a caption.
    """
    known, first, malformed = False, None, []
    for place, row in rows:
        names = tuple(row) if isinstance(row, dict) else ()
        of_file, of_captions = columns.files(names), columns.captions(names)
        first = first or names
        name = row[of_file[0]] if of_file else None
        texts = samples.strings([row[one] for one in of_captions]) if of_captions else None
        if not isinstance(name, str) or not name or texts is None:
            detail = f"it wants {(columns.file or FILE)[0]!r} and {(columns.caption or CAPTION)[0]!r}"
            malformed.append(Fault(place, "malformed record", detail))
            continue
        known = True
        if not texts:
            faults.append(Fault(name, "empty caption"))
        split = next((str(row[one] or "") for one in columns.splits(names)), "") or split_named(file.name)
        for text in texts:
            yield Said(name, text, split)
    if first and not known and not (columns.files(first) and columns.captions(first)):
        raise columns.lacking(file, first)
    faults += malformed


# -- text --------------------------------------------------------------------------------------------------------------


def _token_file(file: pathlib.Path, raw: bytes, faults: list[Fault]) -> Iterator[Said]:
    """Flickr8k and Flickr30k (Hodosh et al. 2013): image.jpg#0, TAB, caption; split lists beside it are followed."""
    lists = _split_lists(file.parent, faults)
    outside = set()
    known = 0
    for number, line in enumerate(encodings.lines(encodings.decoded(raw)), start=1):
        head, tab, text = line.partition("\t")
        name, sign, _ = head.rpartition("#")
        if not line.strip():
            continue
        if not tab or not sign:
            faults.append(Fault(f"{file.name}, line {number}", "malformed record", "not image#number, TAB, caption"))
            continue
        known += 1
        if encodings.damaged(line):
            faults.append(Fault(f"{file.name}, line {number}", f"not {encodings.name(raw)}"))
            continue
        if lists and name not in lists:
            outside.add(name)
        else:
            yield Said(name, text, lists.get(name, ""))
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
        for line in encodings.lines(encodings.decoded(_bytes(file))):
            if line.strip():
                splits[line.strip()].add(SPLITS[split])
    return {name: held_out(name, several, faults) for name, several in splits.items()}
