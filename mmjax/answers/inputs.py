"""What a user asks a trained run with: files, folders of them, sentences, and lists as COCO and VQA publish them."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import pathlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmjax.data import spec
from mmjax.data.files import caption_choice, caption_tables, encodings, pictures, sound_file, tree, video_clips
from mmjax.data.files.faults import Fault
from mmjax.data.tokens import token_fields
from mmjax.errors import UserError

TEXTS = (".txt",)  # a sentence a line
FILE = ("file", "file_name", "image", "picture", "sound", "video", "path")  # columns of a list that name a file
TEXT = ("text", "question", "caption", "sentence", "word")  # those that hold a text
NUMBERS = ("question_id", "image_id", "id")  # those that are handed on


@dataclasses.dataclass(frozen=True)
class Way:
    """Fields that go in together, and what a user gives for them: {"picture" | "sound" | "text": the field}."""

    fields: tuple[str, ...]
    media: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Item:
    """One thing that is asked.

    Attributes:
      told: the columns that name it: file, text or question, and the numbers of a list.
      way: how it goes in.
      file: "" for none.
      kind: how the file is read, see `pieces.read`.
      text: "" for none.
    """

    told: Mapping[str, Any]
    way: Way
    file: str = ""
    kind: str = ""
    text: str = ""


def ways(sets: Iterable[Sequence[str]], asks: bool) -> tuple[Way, ...]:
    """The ways in which a task can be asked by a user: a file, a text, or a file with a text.

    Args:
      sets: of fields, each enough by itself: `Task.predicts_from` and `Task.also_from`.
      asks: whether the task reads what is typed (`Task.ask`), so that any other field may be a text.
    """
    found = []
    for fields in sets:
        own = [field for field in fields if not field.endswith("_length")]
        media = {_medium(field, asks): field for field in own}
        if "" not in media and len(media) == len(own) and not {"picture", "sound"} <= set(media):
            found.append(Way(tuple(own), media))
    return tuple(found)


def _medium(field: str, asks: bool) -> str:
    shape, several = spec.FIELDS[field].shape, spec.FIELDS[field].shape.startswith("f ")
    if shape.endswith("h w 3"):
        return "" if several else "picture"
    if shape == "time*":
        return "sound"
    return "text" if field in token_fields.FROM or (asks and field != "index") else ""


# -- files -------------------------------------------------------------------------------------------------------------


def kind(name: str, media: Iterable[str]) -> str:
    """How a file is read, by its suffix, for those who take these media: "picture", "sound", "video" or ""."""
    suffix, media = pathlib.PurePath(name).suffix.lower(), set(media)
    if "picture" in media and suffix in pictures.suffixes():
        return "picture"
    if "picture" in media and suffix in video_clips.SUFFIXES:
        return "video"
    return "sound" if "sound" in media and suffix in (*sound_file.SUFFIXES, *video_clips.SUFFIXES) else ""


def find(paths: Sequence[str], media: Iterable[str]) -> tuple[list[str], list[Fault]]:
    """The files of these media, folders searched to the bottom; and what cannot be used."""
    media = set(media)
    found: list[str] = []
    faults: list[Fault] = []
    for name in paths:
        path = pathlib.Path(name).expanduser()
        if path.is_dir():
            inside = tree.walk(path, lambda file: bool(kind(file, media)))
            found += [str(path / file) for file in inside.files]
            faults += [dataclasses.replace(fault, path=str(path / fault.path)) for fault in inside.faults]
            if not inside.files:
                faults.append(Fault(name, f"a folder without a {' or '.join(sorted(media)) or 'file'}"))
        elif not path.exists():
            faults.append(Fault(name, "missing", "no such file"))
        elif not kind(name, media):
            faults.append(Fault(name, "of a kind that is not read", f"the run takes {', '.join(sorted(media))}"))
        else:
            found.append(str(path))
    return list(dict.fromkeys(found)), faults


def lines(path: str) -> list[str]:
    """The lines of a text file, or of standard input for "-", that are not empty."""
    text = _typed() if path == "-" else _text(pathlib.Path(path).expanduser())
    return [line.strip() for line in encodings.lines(text) if line.strip()]


def _typed() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UserError(f"standard input is no {error.encoding} text") from None


def _text(path: pathlib.Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    try:
        return encodings.strict(raw)
    except UnicodeDecodeError:
        raise UserError(f"{path} is no {encodings.name(raw)} text") from None


def items(
    ways: Sequence[Way], paths: Sequence[str], texts: Sequence[str] = (), asked: str = ""
) -> tuple[list[Item], list[Fault]]:
    """Everything that is asked, in order, and what cannot be.

    Args:
      ways: of the run.
      paths: files and folders; a .txt file, and "-" for standard input, is a text a line.
      texts: what was typed. Where the run takes a file and a text, each is asked of each file.
      asked: a list of what is asked, see `listed`; `paths` are then where its files are looked for. "" for none.

    Raises:
      UserError: what is given is nothing that this run can be asked with, or a list is damaged.
    """
    wanted = sorted(set(itertools.chain(*(way.media for way in ways))))
    if asked:
        return _of_list(ways, paths, asked)
    written = [path for path in paths if path == "-" or path.lower().endswith(TEXTS)]
    texts = [*texts, *itertools.chain(*(lines(path) for path in written))]
    files, faults = find([path for path in paths if path not in written], set(wanted) - {"text"})
    if texts and "text" not in wanted:
        raise UserError(f"this run reads no text: it takes {' or '.join(wanted)}")
    both = next((way for way in ways if len(way.media) > 1), None)
    if both is not None:
        if not texts:
            raise UserError("this run answers questions about files: give --question, or --list with a file of them")
        if not files and not faults:
            raise UserError("this run answers questions about files: say about which")
        return [made(both, file, text) for file in files for text in texts], faults
    alone = {medium: way for way in reversed(ways) for medium in way.media}
    named = [made(alone[_medium_of(kind(file, alone))], file) for file in files]
    return named + [made(alone["text"], text=text) for text in texts], faults


def _medium_of(how: str) -> str:
    return "picture" if how == "video" else how


def made(way: Way, file: str = "", text: str = "", **told: Any) -> Item:
    """An item and the columns that name it."""
    if text:
        told = {"question" if "question" in way.media["text"] else "text": text, **told}
    if file:
        told = {"file": file, **told}
    return Item(told, way, file, kind(file, way.media), text)


# -- lists -------------------------------------------------------------------------------------------------------------


def listed(path: pathlib.Path) -> list[dict[str, Any]]:
    """The rows of a list: VQA's questions (.json), COCO's images or captions (.json), .jsonl, .csv or .tsv.

    Raises:
      UserError: it is none, or damaged.
    """
    text = _text(path)
    try:
        if path.suffix.lower() in (".csv", ".tsv"):
            return _table(path, text)
        if path.suffix.lower() == ".jsonl":
            return [dict(json.loads(line)) for line in encodings.lines(text) if line.strip()]
        content = json.loads(text)
        if isinstance(content, dict) and "questions" not in content:
            return [{"image_id": row["id"], "file": row["file_name"]} for row in content["images"]]
        return [dict(row) for row in (content["questions"] if isinstance(content, dict) else content)]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        wanted = "VQA's questions or COCO's images as .json, or rows as .jsonl, .csv or .tsv"
        raise UserError(f"{path} is no list of what is asked ({type(error).__name__} {error}): give {wanted}") from None


def _table(path: pathlib.Path, text: str) -> list[dict[str, Any]]:
    """The rows of a table, its delimiter the one by which its heading has most of the columns that are known."""
    found = [(_heading(text, delimiter), delimiter) for delimiter in caption_tables.DELIMITERS]
    heading, delimiter = max(found, key=lambda one: len({*FILE, *TEXT, *NUMBERS} & set(one[0])))
    if not {*FILE, *TEXT} & set(heading):
        wanted = f"a file ({', '.join(FILE)}) or a text ({', '.join(TEXT)})"
        raise UserError(f"{path}: its first line names no column of {wanted}")
    rows = csv.DictReader(io.StringIO(text, newline=""), heading, delimiter=delimiter)
    return [dict(row) for row in itertools.islice(rows, 1, None)]


def _heading(text: str, delimiter: str) -> list[str]:
    cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    return [cell.strip().lower() for cell in cells]


def _of_list(ways: Sequence[Way], paths: Sequence[str], asked: str) -> tuple[list[Item], list[Fault]]:
    source = pathlib.Path(asked).expanduser()
    media = set(itertools.chain(*(way.media for way in ways)))
    files, faults = find(paths, media - {"text"})
    places, folders = _places(files), [pathlib.Path(path).expanduser() for path in paths]
    found: list[Item] = []
    for row in listed(source):
        name = next((str(row[column]) for column in FILE if row.get(column)), "")
        text = next((str(row[column]) for column in TEXT if row.get(column)), "")
        file = _place(name, str(row.get("image_id", "")), places, folders, source.parent)
        given = {*(("text",) if text else ()), *((_medium_of(kind(file, media)),) if file else ())}
        way = max((way for way in ways if set(way.media) <= given), key=lambda way: len(way.media), default=None)
        if way is None:
            faults.append(Fault(name or text or str(dict(row))[:80], *_lacking(ways, given, row)))
            continue
        told = {column: _number(row[column]) for column in NUMBERS if row.get(column) not in (None, "")}
        found.append(made(way, file if set(way.media) - {"text"} else "", text if "text" in way.media else "", **told))
    return found, faults


def _lacking(ways: Sequence[Way], given: set[str], row: Mapping[str, Any]) -> tuple[str, str]:
    wanted = " or ".join(" and ".join(sorted(way.media)) for way in ways)
    number = f" (image_id {row['image_id']})" if row.get("image_id") else ""
    return "in the list without what the run takes", f"{wanted}; there is {', '.join(sorted(given)) or 'none'}{number}"


def _places(files: Iterable[str]) -> dict[str, list[str]]:
    """{name, or COCO's number: paths}."""
    places: dict[str, list[str]] = {}
    for file in files:
        name = pathlib.PurePath(file).name
        for key in filter(None, (name, caption_choice.coco(name)[0].lstrip("0"))):
            places.setdefault(key, []).append(file)
    return places


def _place(
    name: str,
    number: str,
    places: Mapping[str, Sequence[str]],
    folders: Iterable[pathlib.Path],
    beside: pathlib.Path,
) -> str:
    """The file of a row: in a folder that was given, by its path or by as much of it as agrees; beside the list; here.

    A row without a name has COCO's number. "" where there is none, or where several agree equally.
    """
    if not name:
        there = places.get(number.lstrip("0"), ())
        return there[0] if len(there) == 1 else ""
    wanted = pathlib.PurePath(name).parts[::-1]
    there = places.get(wanted[0], ())
    agree = [_alike(wanted, pathlib.PurePath(file).parts[::-1]) for file in there]
    best = [file for file, parts in zip(there, agree, strict=True) if parts == max(agree)]
    given = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if given is None and len(best) == 1:
        return best[0]
    by_path = (path for path in (beside / name, pathlib.Path(name).expanduser()) if path.is_file())
    return str(given or next(by_path, ""))


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _number(value: Any) -> Any:
    """A number of a table as one, where it is written as numbers are: 007 is somebody's name."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"0|[1-9][0-9]*", value) else value
