"""The captioned pictures of a folder, whatever layout it has: which they are, what is said of them, and their splits.

Looked for in this order, and the first that tells of a picture which is there is taken: files of captions that are
called as known data sets call theirs (`caption_choice.PATTERNS`), tar shards, other tables, a text or JSON beside each
picture, Parquet.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mmjax.data.files import (
    caption_choice,
    caption_files,
    parquet_file,
    picture_names,
    pictures,
    prepared,
    samples,
    tar_shards,
    tree,
)
from mmjax.data.files.caption_choice import Chosen
from mmjax.data.files.caption_files import Picture, Said
from mmjax.data.files.columns import USUAL, Columns, split_of_folder
from mmjax.data.files.faults import Fault
from mmjax.data.files.held_pictures import Held
from mmjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Item:
    """One picture: its path inside the folder, its captions, its split, and where it is held if it is no file."""

    path: str
    captions: tuple[str, ...]
    split: str
    held: Held | None = None


class Found(NamedTuple):
    """The captioned pictures of a folder; what was left out; what was used otherwise than it is written; and how many
    files of other suffixes there are."""

    items: list[Item]
    faults: list[Fault]
    remarks: list[Fault]
    ignored: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Files:
    """What of a folder may be read, before any of it is.

    Attributes:
      pictures: its picture files, what is wrong with some, and all that is none.
      layouts: each the files of captions of a layout, in groups of which the first is preferred; in the order in which
        the layouts are tried. Files that a user names are the only one.
      beside: {picture: {suffix: path of the text beside it}}; {} where files are named.
      texts: {path: (bytes, time of change)} of these texts.
    """

    pictures: tree.Found
    layouts: list[list[list[pathlib.Path]]]
    beside: dict[str, dict[str, str]]
    texts: dict[str, tuple[int, int]]

    def captions(self) -> list[pathlib.Path]:
        """The files with captions, in their order."""
        return [file for layout in self.layouts for group in layout for file in group]

    def all(self) -> list[pathlib.Path]:
        """The files with captions, and the lists of splits beside them."""
        return _with_lists(self.captions())


def _with_lists(files: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    lists = {file for place in {file.parent for file in files} for _, file in caption_files.split_lists(place)}
    return sorted({*files, *lists})


def survey(folder: pathlib.Path, captions: Sequence[str] = ()) -> Files:
    """The files of a folder that may be read; nothing is opened.

    Raises:
      UserError: a file of captions that is named is not there, or there is nothing with captions.
    """
    held = (*tar_shards.SUFFIXES, parquet_file.SUFFIX)
    walked = tree.walk(folder, (*pictures.suffixes(), *held, *samples.BESIDE))
    files = {path: stat for path, stat in walked.files.items() if path.lower().endswith(pictures.suffixes())}
    texts = {path: stat for path, stat in walked.files.items() if path.lower().endswith(samples.BESIDE)}
    beside = {} if captions else samples.beside(files, texts)
    used = {path for mine in beside.values() for path in mine.values()}
    others = collections.Counter(walked.ignored)
    others.update(tree.suffix(path) for path in walked.files if path not in files)
    found = dataclasses.replace(walked, files=files, ignored=dict(others))
    if captions:
        return Files(found, [[caption_choice.named(folder, captions)]], {}, {})
    known = caption_choice.find(folder)
    shards = [folder / path for path in walked.files if path.lower().endswith(tar_shards.SUFFIXES)]
    tables = [file for file in caption_choice.find(folder, caption_choice.TABLES) if file not in known]
    parquet = [folder / path for path in walked.files if path.lower().endswith(parquet_file.SUFFIX)]
    parquet = [file for file in parquet if file not in known]
    if not (known or shards or tables or beside or parquet):
        raise UserError(
            f"{folder} has no captions that are known by their names: set config.data.captions to "
            f"{caption_files.LAYOUTS}; or put x.txt beside x.jpg"
        )
    layouts = [caption_choice.by_pattern(known), [shards], [tables], [parquet]]
    return Files(found, layouts, beside, {path: texts[path] for path in sorted(used)})


def find(
    folder: pathlib.Path,
    captions: Sequence[str] = (),
    validation: float = 0.05,
    test: float = 0.1,
    columns: Columns = USUAL,
) -> Found:
    """Every captioned picture of the folder with its split, and what was left out.

    Arguments are those of `sets.captioned_images.source`.

    Raises:
      UserError: there are no captions, or their files are damaged.
    """
    folder = folder.resolve()
    files = survey(folder, captions)
    index = picture_names.Index(folder, files.pictures.files)
    if captions:
        said, faults = caption_files.read(files.captions(), (), columns)
        opened = _suffixes(folder, files.captions())
    else:
        said, faults, opened = _said(folder, files, index, columns)
    faults += files.pictures.faults
    by_path: dict[str, list[Picture]] = collections.defaultdict(list)
    verbatim = {place for picture in said if (place := index.place(picture)) == picture.name}
    for picture in said:
        places = index.places(picture)
        # Beside a picture that is named with its folder, one of the same name without a folder is another.
        doubtful = len(places) == 1 and not captions and picture.name != places[0] and places[0] in verbatim
        if len(places) == 1 and not (doubtful and not caption_choice.coco(picture.name)[0]):
            by_path[places[0]].append(picture)
        else:
            faults.append(Fault(picture.name, _missing(folder, picture.name, places), ", ".join(places)))
    items, remarks = _merged(folder, by_path)
    told = [fault for fault in faults if fault.kind in caption_files.USED]
    faults = [fault for fault in faults if fault.kind not in caption_files.USED]
    others = collections.Counter(files.pictures.ignored) - opened
    return Found(_with_splits(items, validation, test), faults, told + remarks, dict(others))


def _suffixes(folder: pathlib.Path, opened: Sequence[pathlib.Path]) -> collections.Counter[str]:
    """How many files of each suffix were opened, of those in the folder."""
    inside = (file for file in _with_lists(opened) if file.resolve().is_relative_to(folder))
    return collections.Counter(tree.suffix(file.name) for file in inside)


def _said(
    folder: pathlib.Path, files: Files, index: picture_names.Index, columns: Columns
) -> tuple[list[Picture], list[Fault], collections.Counter[str]]:
    """What the first of the layouts says that tells of a picture which is there; how many files of which suffix are
    read or named. Those of the layouts behind it are neither."""

    def beside() -> Chosen:
        faults: list[Fault] = []
        said = caption_files.collect(((folder, one) for one in _beside(folder, files, columns, faults)), faults)
        return Chosen(said, faults, bool(said))

    def said_in(groups: list[list[pathlib.Path]]) -> Callable[[], Chosen]:
        return lambda: caption_choice.choose(groups, index.place, columns)

    *tables, parquet = ((said_in(groups), [file for group in groups for file in group]) for groups in files.layouts)
    unread: list[Fault] = []
    without: list[Chosen] = []
    opened: list[pathlib.Path] = []
    texts = collections.Counter[str]()
    for say, own in (*tables, (beside, []), parquet):
        chosen = say()
        opened += own
        texts += collections.Counter(map(tree.suffix, files.texts)) if say is beside else {}
        if chosen.there:
            return chosen.pictures, unread + chosen.faults, _suffixes(folder, opened) + texts
        without.append(chosen)
        unread += chosen.unread
    best = next((one for one in without if one.pictures), None)
    if best:
        return best.pictures, best.faults, _suffixes(folder, opened) + texts  # so that what is missing is named
    unknown = next((one.unknown for one in without if one.unknown), None)
    if unknown:
        raise unknown
    return [], [fault for one in without for fault in one.faults], _suffixes(folder, opened) + texts


def _beside(folder: pathlib.Path, files: Files, columns: Columns, faults: list[Fault]) -> Iterator[Said]:
    """What the texts beside pictures say; pictures without one are faults where others have one."""
    bare = [Fault(path, samples.WITHOUT) for path in files.pictures.files if path not in files.beside]
    captioned = False
    for path, texts in files.beside.items():
        parts = {}
        for suffix, text in texts.items():
            try:
                parts[suffix] = (folder / text).read_bytes()
            except OSError as error:
                faults.append(Fault(text, "unreadable text", error.strerror or str(error)))
        captions, split = samples.said(path, parts, columns, faults)
        captioned = captioned or bool(captions)
        yield from (Said(path, caption, split) for caption in captions)
    faults += bare if captioned else []


def _missing(folder: pathlib.Path, name: str, places: Sequence[str]) -> str:
    if places:
        return "of an ambiguous name"
    if "://" in name:
        return "address on the web, and no file"
    return "of a kind that is not read" if os.path.isfile(folder / name) else "missing picture"


def _merged(folder: pathlib.Path, by_path: Mapping[str, Sequence[Picture]]) -> tuple[list[Item], list[Fault]]:
    """One item for each picture, whatever its names are."""
    remarks: list[Fault] = []
    held = {path: named[0].held for path, named in by_path.items()}
    groups: dict[str, list[str]] = collections.defaultdict(list)
    for path, first in picture_names.one_picture(folder, list(by_path), held).items():
        groups[first].append(path)
    items = []
    for first, paths in groups.items():
        named = [picture for path in paths for picture in by_path[path]]
        captions = list(named[0].captions)
        for picture in named[1:]:
            captions += [caption for caption in picture.captions if caption not in captions]
        remarks += [Fault(path, tree.AGAIN, f"it is {first}") for path in paths if path != first]
        splits = [picture.split or split_of_folder(path) for path in paths for picture in by_path[path]]
        split = caption_files.held_out(first, splits, remarks)
        items.append(Item(first, tuple(captions), split, held[first]))
    return items, remarks


def _with_splits(items: Iterable[Item], validation: float, test: float) -> list[Item]:
    """Items without a split are training items; a held-out split that nothing is in is drawn from those."""
    items = list(items)
    given = {item.split for item in items}
    shares = (0.0 if "validation" in given else validation, 0.0 if "test" in given else test)
    training = [item.path for item in items if item.split in ("", "train")]
    drawn = prepared.assign_splits(training, *shares)
    return [dataclasses.replace(item, split=drawn.get(item.path, item.split)) for item in items]
