"""Collections of sounds whose classes stand in a table of their own: ESC-50, UrbanSound8K and FSD50K as published."""

from __future__ import annotations

import collections
import csv
import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from mmjax.data.files import sound_file, tree
from mmjax.data.files.faults import Fault
from mmjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Clip:
    """One file: its path inside the folder, its classes, what it was cut from or who speaks, and its fold or split."""

    path: str
    labels: tuple[int, ...]
    group: str
    part: str = ""


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a folder of sounds is.

    Attributes:
      folder: where paths begin.
      title: its name in a sentence.
      names: of the classes, in order.
      clips: every one, whether its file can be read or not.
      stats: {path: (bytes, time of change in ns)} of the sounds that are there.
      own: "folds" or "splits", what it brings itself as the clips' `part`; "" where parts are to be dealt out.
      by: what tells them, and the classes.
      many: whether a clip may have several classes.
      faults: sounds that are no clips, and why.
      ignored: {suffix: how many} files that are no sounds.
    """

    folder: pathlib.Path
    title: str
    names: tuple[str, ...]
    clips: tuple[Clip, ...]
    stats: Mapping[str, tuple[int, int]]
    own: str
    by: str
    many: bool = False
    faults: tuple[Fault, ...] = ()
    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Table:
    """A collection in folds with one CSV of all clips: where it is, its columns, and where the sounds are."""

    title: str
    file: str
    columns: tuple[str, ...]
    fold: str
    number: str
    name: str
    group: str
    path: str
    sounds: str  # the folder of all of them, which must be there

    def fits(self, folder: pathlib.Path) -> bool:
        """Whether a folder is laid out so."""
        return (folder / self.file).is_file() and (folder / self.sounds).is_dir()

    def read(self, folder: pathlib.Path, esc10: bool = False) -> Layout:
        """The clips of such a folder; raises UserError for a csv that is wrong."""
        listed = self._rows(folder / self.file)
        rows = [row for row in listed if not esc10 or row["esc10"] == "True"]
        if not rows:
            raise UserError(f"{folder / self.file} lists no clip" + (" of ESC-10" if esc10 else ""))
        names = dict(sorted({row[self.number]: row[self.name] for row in rows}.items()))
        place = {number: i for i, number in enumerate(names)}
        clips = tuple(
            Clip(self.path.format(**row), (place[row[self.number]],), row[self.group], f"fold{row[self.fold]}")
            for row in rows
        )
        known = [self.path.format(**row) for row in listed]
        _once(folder / self.file, known)
        rest = _others(folder, (self.sounds,), known, self.file)
        title = "ESC-10" if esc10 else self.title
        return Layout(folder, title, tuple(names.values()), clips, own="folds", by=self.file, **rest)

    def _rows(self, file: pathlib.Path) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = _csv(file, self.columns, self.title)
        names: dict[int, str] = {}
        for number, row in enumerate(rows, start=2):
            try:
                row[self.fold], row[self.number] = int(row[self.fold]), int(row[self.number])
            except (TypeError, ValueError):
                wanted = f"{self.fold} and {self.number} must be whole numbers"
                raise UserError(f"{file}, line {number}: {wanted}") from None
            name = names.setdefault(row[self.number], row[self.name])
            if not row[self.name] or row[self.name] != name:
                both = f"{name!r} and {row[self.name]!r}"
                one = f"{self.number} {row[self.number]} must have one {self.name}"
                raise UserError(f"{file}, line {number}: {one}, not {both}")
        return rows


ESC50 = Table(
    title="ESC-50",
    file="meta/esc50.csv",
    columns=("filename", "fold", "target", "category", "esc10", "src_file"),
    fold="fold",
    number="target",
    name="category",
    group="src_file",
    path="audio/{filename}",
    sounds="audio",
)
URBAN = Table(
    title="UrbanSound8K",
    file="metadata/UrbanSound8K.csv",
    columns=("slice_file_name", "fsID", "fold", "classID", "class"),
    fold="fold",
    number="classID",
    name="class",
    group="fsID",
    path="audio/fold{fold}/{slice_file_name}",
    sounds="audio",
)
URBAN_FLAT = dataclasses.replace(  # as Kaggle has it
    URBAN, file="UrbanSound8K.csv", path="fold{fold}/{slice_file_name}", sounds=""
)


class Fsd50k:
    """FSD50K: several classes a clip, and splits of its own, which share no uploader."""

    title = "FSD50K"
    TRUTH = "FSD50K.ground_truth"
    FOLDERS = ("FSD50K.dev_audio", "FSD50K.eval_audio")

    def fits(self, folder: pathlib.Path) -> bool:
        """Whether a folder is laid out so."""
        return (folder / self.TRUTH / "vocabulary.csv").is_file() and any((folder / x).is_dir() for x in self.FOLDERS)

    def read(self, folder: pathlib.Path) -> Layout:
        """The clips of those of its two folders that are there; raises UserError for a csv that is wrong."""
        file = folder / self.TRUTH / "vocabulary.csv"
        names = tuple(row[1] for row in _lines(file) if len(row) > 1 and row[0].isdigit())  # without a header
        place = {name: i for i, name in enumerate(names)}
        clips: list[Clip] = []
        there = tuple(name for name in self.FOLDERS if (folder / name).is_dir())
        for name in there:
            table = folder / self.TRUTH / f"{name.removeprefix('FSD50K.').removesuffix('_audio')}.csv"
            dev = name == self.FOLDERS[0]
            for number, row in enumerate(
                _csv(table, ("fname", "labels", *(["split"] if dev else [])), self.title), start=2
            ):
                tags = (row["labels"] or "").split(",")
                if unknown := [tag for tag in tags if tag not in place]:
                    raise UserError(f"{table}, line {number}: {unknown[0]!r} is no class of {file}")
                split = {"train": "train", "val": "validation"}.get(row["split"] if dev else "", "test")
                if dev and split == "test":
                    raise UserError(f"{table}, line {number}: split must be train or val, not {row['split']!r}")
                path = f"{name}/{row['fname']}.wav"
                clips.append(Clip(path, tuple(place[tag] for tag in dict.fromkeys(tags)), path, split))
            if not clips:
                raise UserError(f"{table} lists no clip")
        known = [clip.path for clip in clips]
        _once(folder / self.TRUTH, known)
        rest = _others(folder, there, known, self.TRUTH)
        return Layout(folder, self.title, names, tuple(clips), own="splits", by=self.TRUTH, many=True, **rest)


FSD50K = Fsd50k()


def _others(folder: pathlib.Path, inside: Iterable[str], known: Iterable[str], file: str) -> dict[str, Any]:
    """stats, faults and ignored of a Layout: what is on the disk, beside what the table lists."""
    stats: dict[str, tuple[int, int]] = {}
    faults, ignored = [], collections.Counter[str]()
    for name in inside:
        found = tree.walk(folder / name, sound_file.SUFFIXES)
        front = f"{name}/" if name else ""
        stats |= {front + path: stat for path, stat in found.files.items()}
        faults += [dataclasses.replace(fault, path=front + fault.path) for fault in found.faults]
        ignored.update(found.ignored)
    strange = sorted(set(stats) - set(known))
    faults += [Fault(path, f"not listed in {file}") for path in strange]
    return {"stats": stats, "faults": tuple(faults), "ignored": dict(ignored)}


def _once(file: pathlib.Path, paths: Iterable[str]) -> None:
    twice = [path for path, count in collections.Counter(paths).items() if count > 1]
    if twice:
        raise UserError(f"{file} lists {twice[0]} more than once")


def _csv(file: pathlib.Path, columns: Iterable[str], title: str) -> list[dict[str, Any]]:
    header, *rows = _lines(file) or [[]]
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(f"{file} has no column {', '.join(missing)}: {title}'s has {', '.join(columns)}")
    return [dict(zip(header, [*row, *[""] * (len(header) - len(row))], strict=False)) for row in rows if row]


def _lines(file: pathlib.Path) -> list[list[str]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
