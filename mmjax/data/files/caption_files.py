"""Who said what about which picture: COCO's and Karpathy's JSON, Flickr8k's token file, CSV and JSON lines, read alike.

A record that cannot be used is a fault with a name and a kind, never an error; a file that is as a whole not what it
should be is an error of one line.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mmjax.data.files.faults import Fault
from mmjax.errors import UserError

# Looked for in the folder and its folder `annotations`, in this order; all that match the first that does are read.
PATTERNS = (
    "dataset*.json",
    "captions_*.json",
    "*.token.txt",
    "*.token",
    *(f"{stem}.{suffix}" for stem in ("captions", "metadata") for suffix in ("csv", "tsv", "jsonl", "txt", "json")),
)
FILE = ("file", "image", "filename", "file_name", "image_file", "image_path", "image_name")
CAPTION = ("caption", "captions", "text", "sentence")
SPLIT = ("split", "set", "partition")
# What a split is called, by us and by others; "restval" is what Karpathy leaves of COCO's validation split to train on.
SPLITS = {
    **dict.fromkeys(("train", "training", "restval"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_LAYOUTS = (
    "COCO's captions_*.json, Karpathy's dataset_*.json, Flickr8k's token file (image.jpg#0, TAB, caption), or CSV or "
    "JSON lines with file, caption and perhaps split"
)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture as the files name it, what is said about it, and its split: "" where none is given."""

    name: str
    captions: tuple[str, ...]
    split: str


Said = tuple[str, str, str]  # picture, caption, split


def find(folder: pathlib.Path, named: Sequence[str]) -> list[pathlib.Path]:
    """The files with captions: those named, from the folder or anywhere, or what is found there.

    Raises:
      UserError: there is none.
    """
    if named:
        files = [folder / pathlib.Path(name).expanduser() for name in named]
        missing = next((file for file in files if not file.is_file()), None)
        if missing is not None:
            raise UserError(f"config.data.captions: there is no file {missing}")
        return files
    for pattern in PATTERNS:
        found = sorted(file for place in (folder, folder / "annotations") for file in place.glob(pattern))
        if found:
            return found
    raise UserError(f"{folder} has no captions that are known by their names: set config.data.captions to {_LAYOUTS}")


def read(files: Sequence[pathlib.Path]) -> tuple[list[Picture], list[Fault]]:
    """All pictures with at least one caption, in the order of their first mention, and what was left out.

    Raises:
      UserError: a file is damaged, or of no known layout.
    """
    faults: list[Fault] = []
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    for file in files:
        for name, caption, split in _read(file, faults):
            splits.setdefault(name, split)
            kept = captions.setdefault(name, [])
            if caption.strip():
                kept.append(" ".join(caption.split()))
            else:
                faults.append(Fault(name, "empty caption"))
    pictures = []
    for name, texts in captions.items():
        if splits[name] and splits[name].lower() not in SPLITS:
            faults.append(Fault(name, "of an unknown split", splits[name]))
        elif texts:
            pictures.append(Picture(name, tuple(texts), SPLITS.get(splits[name].lower(), "")))
    return pictures, faults


def _read(file: pathlib.Path, faults: list[Fault]) -> Iterator[Said]:
    suffix = file.suffix.lower()
    if suffix == ".json":
        return _json(file, faults)
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(file, faults)
    raw = _bytes(file)
    first = raw[: max(raw.find(b"\n"), 0) or None].decode("utf-8-sig", "replace").strip()
    if suffix in (".csv", ".tsv") or ("#" not in first and "," in first):
        return _table(file, raw, "\t" if suffix == ".tsv" else ",", faults)
    return _token_file(file, raw, faults)


def _bytes(file: pathlib.Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None


# -- JSON --------------------------------------------------------------------------------------------------------------


def _json(file: pathlib.Path, faults: list[Fault]) -> Iterator[Said]:
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
        return _coco(file, images, content["annotations"], faults)
    if isinstance(images, list):
        return _karpathy(file, images, faults)
    raise UserError(f"{file} is of no known layout: it must be {_LAYOUTS}")


def _coco(file: pathlib.Path, images: list[Any], annotations: list[Any], faults: list[Fault]) -> Iterator[Said]:
    """COCO (Chen et al. 2015): its file is its split; captions of the test are secret, so that "val" is our test."""
    split = "train" if "train" in file.stem else "test" if "val" in file.stem else ""
    names = {row.get("id"): row.get("file_name") for row in images if isinstance(row, dict)}
    for number, row in enumerate(annotations):
        name = names.get(row.get("image_id")) if isinstance(row, dict) else None
        if not isinstance(name, str) or not isinstance(row.get("caption"), str):
            faults.append(Fault(f"{file.name}, annotation {number}", "malformed record", "no image or no caption"))
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


def _table(file: pathlib.Path, raw: bytes, delimiter: str, faults: list[Fault]) -> Iterator[Said]:
    """CSV with a heading; a row that is not UTF-8 is a fault of its own."""
    text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    heads = [str(head).strip().lower() for head in reader.fieldnames or ()]
    reader.fieldnames = heads
    for wanted in (FILE, CAPTION):
        if not set(wanted) & set(heads):
            raise UserError(
                f"{file} has no column {wanted[0]!r} (or {', '.join(wanted[1:])}): it has {', '.join(heads) or 'none'}"
            )

    def rows() -> Iterator[tuple[str, Any]]:
        try:
            for row in reader:
                place = f"{file.name}, line {reader.line_num}"
                if any(_damaged(value) for value in row.values()):
                    faults.append(Fault(place, "not UTF-8"))
                    continue
                yield place, row
        except csv.Error as error:
            raise UserError(f"{file} is no CSV: line {reader.line_num}: {error}") from None

    return _records(rows(), file, faults)


def _damaged(value: Any) -> bool:
    return isinstance(value, str) and any("\udc80" <= letter <= "\udcff" for letter in value)


def _token_file(file: pathlib.Path, raw: bytes, faults: list[Fault]) -> Iterator[Said]:
    """Flickr8k and Flickr30k (Hodosh et al. 2013): image.jpg#0, TAB, caption; split lists beside it are followed."""
    lists = _split_lists(file.parent)
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
        raise UserError(f"{file} is of no known layout: it must be {_LAYOUTS}")


def _split_lists(folder: pathlib.Path) -> dict[str, str]:
    """{picture: split} of Flickr_8k.trainImages.txt, .devImages.txt, .testImages.txt; {} where they are not there."""
    splits: dict[str, str] = {}
    for split in ("train", "dev", "test"):
        for file in folder.glob(f"*{split}Images.txt"):
            names = _bytes(file).decode("utf-8", "replace").split()
            splits |= dict.fromkeys(names, split)
    return splits
