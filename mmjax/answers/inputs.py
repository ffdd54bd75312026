"""What a user asks a trained run with: files, folders of them, sentences, and lists as COCO and VQA publish them."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmjax.answers import lists
from mmjax.data import spec
from mmjax.data.files import caption_choice, encodings, pictures, sound_file, tree, video_clips
from mmjax.data.files.faults import Fault
from mmjax.data.tokens import token_fields
from mmjax.errors import UserError

TEXTS = (".txt",)  # a sentence a line
NO_TEXT = "text that is not Unicode"
VOICES = "voices"  # the field of what is given beside all that is asked
FILMS = ("film", "talk")  # kinds of files that are opened when their turn comes
TIMED = ("sound", "video", "pair", *FILMS)  # kinds of files whose pieces have times
SHOWN = 80  # letters of what is no file's name, of whatever length


@dataclasses.dataclass(frozen=True)
class Way:
    """Fields that go in together, and what a user gives for them: {"picture", "faces", "sound", "voices", "text":
    field}."""

    fields: tuple[str, ...]
    media: Mapping[str, str]

    @property
    def reads(self) -> frozenset[str]:
        """What a user gives: its media, but for a picture and a sound that go in together a "film", and a "talk" for
        faces and a sound; voices, which are given once for all, not among them."""
        media = frozenset(self.media) - {VOICES}
        for seen, film in (("picture", "film"), ("faces", "talk")):
            if {seen, "sound"} <= media:
                media = media - {seen, "sound"} | {film}
        return media


@dataclasses.dataclass(frozen=True)
class Item:
    """One thing that is asked.

    Attributes:
      told: the columns that name it: file, text or question, and the numbers of a list.
      way: how it goes in.
      file: "" for none.
      kind: how the file is read, see `pieces.read`; "pair" is a picture with the sound of another file.
      text: "" for none.
      sound: that other file, a sound or a video; "" for none.
    """

    told: Mapping[str, Any]
    way: Way
    file: str = ""
    kind: str = ""
    text: str = ""
    sound: str = ""


def ways(sets: Iterable[Sequence[str]], asks: bool) -> tuple[Way, ...]:
    """The ways in which a task can be asked by a user: a file, a text, or a file with a text.

    A picture and a sound that go in together are a file, too: a video.

    Args:
      sets: of fields, each enough by itself: `Task.predicts_from` and `Task.also_from`.
      asks: whether the task reads what is typed (`Task.ask`), so that any other field may be a text.
    """
    found = []
    for fields in sets:
        own = [field for field in fields if not field.endswith("_length")]
        media = {_medium(field, asks): field for field in own}
        if "" not in media and len(media) == len(own):
            found.append(Way(tuple(own), media))
    return tuple(found)


def _medium(field: str, asks: bool) -> str:
    shape = spec.FIELDS[field].shape
    if field == VOICES:
        return VOICES
    if shape.endswith("h w 3"):
        return {"h w 3": "picture", "n f h w 3": "faces"}.get(shape, "")
    if shape == "time*":
        return "sound"
    return "text" if field in token_fields.FROM or (asks and field != "index") else ""


# -- files -------------------------------------------------------------------------------------------------------------


def kind(name: str, media: Iterable[str]) -> str:
    """How a file is read, by its suffix, for those who take these: "picture", "sound", "video", one of FILMS, or ""."""
    suffix, media = pathlib.PurePath(name).suffix.lower(), set(media)
    for film in FILMS:
        if film in media and suffix in video_clips.SUFFIXES:
            return film
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
        path = _at_home(name)
        if encodings.damaged(name):
            faults.append(Fault(tree.printable(name), "name that is not UTF-8"))
        elif path.is_dir():
            inside = tree.walk(path, lambda file: bool(kind(file, media)))
            found += [str(path / file) for file in inside.files]
            faults += [dataclasses.replace(fault, path=str(path / fault.path)) for fault in inside.faults]
            if not inside.files:
                wanted = " or ".join(map(_said_of, sorted(media))) or "file"
                faults.append(Fault(name, f"a folder without a {wanted}"))
        elif not path.exists():
            faults.append(Fault(name, "missing", "no such file"))
        elif not kind(name, media):
            faults.append(
                Fault(name, "of a kind that is not read", f"the run takes {', '.join(map(_said_of, sorted(media)))}")
            )
        else:
            found.append(str(path))
    return list(dict.fromkeys(found)), faults


def lines(path: str) -> list[str]:
    """The lines of a text file, or of standard input for "-", that are not empty."""
    text = _typed() if path == "-" else lists.text_of(_at_home(path))
    return [line.strip() for line in encodings.lines(text) if line.strip()]


def _typed() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UserError(f"standard input is no {error.encoding} text") from None


def items(
    ways: Sequence[Way], paths: Sequence[str], texts: Sequence[str] = (), asked: str = ""
) -> tuple[list[Item], list[Fault]]:
    """Everything that is asked, in order, and what cannot be.

    Args:
      ways: of the run.
      paths: files and folders; a .txt file, and "-" for standard input, is a text a line. A run that takes videos with
        sound also takes pictures beside sounds or videos: each picture with each sound.
      texts: what was typed. Where the run takes a file and a text, each is asked of each file.
      asked: a list of what is asked, see `lists.read`; `paths` are then where its files are looked for. "" for none.

    Raises:
      UserError: what is given is nothing that this run can be asked with, or a list is damaged.
    """
    wanted = sorted(set(itertools.chain(*(way.reads for way in ways))))
    if asked:
        return _of_list(ways, paths, asked)
    written = [path for path in paths if path == "-" or path.lower().endswith(TEXTS)]
    texts = [*texts, *itertools.chain(*(lines(path) for path in written))]
    given = [path for path in paths if path not in written]
    film = next((way for way in ways if way.reads == {"film"}), None)
    if film is not None and any(kind(path, ("picture",)) == "picture" for path in given):
        return pairs(film, given)
    files, faults = find(given, set(wanted) - {"text"})
    if texts and "text" not in wanted:
        raise UserError(f"this run reads no text: it takes {' or '.join(map(_said_of, wanted))}")
    asked_of, texts, empty = len(texts), *_sayable(texts)
    faults += empty
    both = next((way for way in ways if len(way.reads) > 1), None)
    if both is not None:
        if not asked_of:
            raise UserError("this run answers questions about files: give --question, or --list with a file of them")
        if not files and not faults:
            raise UserError("this run answers questions about files: say about which")
        return [made(both, file, text) for file in files for text in texts], faults
    alone = {medium: way for way in reversed(ways) for medium in way.reads}
    named = [made(alone[_medium_of(kind(file, alone))], file) for file in files]
    return named + [made(alone["text"], text=text) for text in texts], faults


def pairs(way: Way, paths: Sequence[str]) -> tuple[list[Item], list[Fault]]:
    """Each picture with each sound, which may be a video's; and what cannot be used.

    Raises:
      UserError: there is no sound, or no picture.
    """
    files, faults = find(paths, ("picture", "sound"))
    seen = [file for file in files if pathlib.PurePath(file).suffix.lower() in pictures.suffixes()]
    heard = [file for file in files if file not in seen]
    if not seen or not heard:
        raise UserError("a picture needs a sound: give pictures with a sound or a video whose sound is asked about")
    asked = itertools.product(heard, seen)
    return [Item({"file": file, "sound": sound}, way, file, "pair", sound=sound) for sound, file in asked], faults


def _sayable(texts: Iterable[str]) -> tuple[list[str], list[Fault]]:
    """The texts that say something, and those that do not."""
    said, faults = [], []
    for number, text in enumerate(texts, start=1):
        if text.strip() and not encodings.damaged(text):
            said.append(text)
        else:
            faults.append(Fault(f"text {number}", NO_TEXT if text.strip() else "empty"))
    return said, faults


def _said_of(medium: str) -> str:
    return {"film": "video with sound", "talk": "video of people talking"}.get(medium, medium)


def _medium_of(how: str) -> str:
    return "picture" if how == "video" else how


def made(way: Way, file: str = "", text: str = "", **told: Any) -> Item:
    """An item and the columns that name it."""
    if text:
        told = {"question" if "question" in way.media["text"] else "text": text, **told}
    if file:
        told = {"file": file, **told}
    return Item(told, way, file, kind(file, way.reads), text)


def told(items: Iterable[Item]) -> tuple[str, ...]:
    """The columns by which some of these are named, the times of what has any among them."""
    columns: dict[str, None] = {}
    for item in items:
        columns |= dict.fromkeys((*item.told, *(("start", "end") if item.kind in TIMED else ())))
    return tuple(columns)


# -- lists -------------------------------------------------------------------------------------------------------------


def _of_list(ways: Sequence[Way], paths: Sequence[str], asked: str) -> tuple[list[Item], list[Fault]]:
    source = _at_home(asked)
    media = set(itertools.chain(*(way.reads for way in ways)))
    files, faults = find(paths, media - {"text"})
    places, folders = _places(files), [_at_home(path) for path in paths]
    rows, none = lists.read(source)
    faults += none
    found: list[Item] = []
    for place, row in rows:
        name, text = _said(row, lists.FILE).strip(), _said(row, lists.TEXT)
        told = {column: row[column] for column in lists.NUMBERS if row.get(column) not in (None, "")}
        if encodings.damaged("".join(map(str, (name, text, *told.values())))):  # JSON can spell a half of a letter
            faults.append(Fault(place, NO_TEXT))
            continue
        file = _place(name.replace("\\", "/"), str(row.get("image_id", "")), places, folders, source.parent)
        given = {*(("text",) if text else ()), *((_medium_of(kind(file, media)),) if file else ())}
        fitting = _fitting(ways, given)
        if not fitting:
            faults.append(Fault((name or text or "a row")[:SHOWN], *_lacking(ways, given, row, place)))
        for way in fitting:
            one = made(way, file if way.reads - {"text"} else "", text if "text" in way.media else "", **told)
            found.append(dataclasses.replace(one, told={**one.told, "file": name}) if name and one.file else one)
    return found, faults


def _said(row: Mapping[str, Any], columns: Iterable[str]) -> str:
    """The first of these columns that says something."""
    values = (row.get(column) for column in columns)
    return next((str(value) for value in values if isinstance(value, str | int | float) and str(value).strip()), "")


def _fitting(ways: Sequence[Way], given: set[str]) -> list[Way]:
    """The ways for which there is all that they take; of those that take the same or less than another, that other."""
    fits: dict[frozenset[str], Way] = {}
    for way in ways:
        if way.reads <= given:
            fits.setdefault(way.reads, way)
    return [way for media, way in fits.items() if not any(media < others for others in fits)]


def _lacking(ways: Sequence[Way], given: set[str], row: Mapping[str, Any], place: str) -> tuple[str, str]:
    wanted = " or ".join(" and ".join(map(_said_of, sorted(way.reads))) for way in ways)
    number = f", image_id {row['image_id']}" if row.get("image_id") else ""
    there = ", ".join(sorted(given)) or "none"
    return "in the list without what the run takes", f"{wanted}; there is {there} ({place}{number})"


def _places(files: Iterable[str]) -> dict[str, list[str]]:
    """{name, or the number in it, see `caption_choice.number`: paths}."""
    places: dict[str, list[str]] = {}
    for file in files:
        name = pathlib.PurePath(file).name
        for key in filter(None, (name, caption_choice.number(name).lstrip("0"))):
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
    there = places.get(wanted[0], ()) if wanted else ()
    agree = [_alike(wanted, pathlib.PurePath(file).parts[::-1]) for file in there]
    best = [file for file, parts in zip(there, agree, strict=True) if parts == max(agree)]
    given = next((folder / name for folder in folders if os.path.isfile(folder / name)), None)
    if given is None and len(best) == 1:
        return best[0]
    by_path = (path for path in (beside / name, _at_home(name)) if os.path.isfile(path))
    return str(given or next(by_path, ""))


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _at_home(path: str) -> pathlib.Path:
    """A path whose ~ is who is meant; where that is nobody, it is a letter of a name."""
    return pathlib.Path(os.path.expanduser(path))
