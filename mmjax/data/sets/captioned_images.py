"""Any folder of pictures with captions: COCO, Karpathy's splits, Flickr8k, or a table of your own.

    source("train", ("image", "captions"), path="~/flickr8k")

The captions are looked for in the folder (`files.caption_choice` says under which names, and which of several files
that say the same) or named by config.data.captions: COCO's captions_*.json, Karpathy's dataset_*.json, Flickr8k's token
file with its split lists, CSV or JSON lines with file, caption and perhaps split. The pictures may lie in folders below
and behind links. A caption belongs to the picture that it names, with its folder where it names one, and never to
another of the same name. Where the captions name no split, folders called train, validation or test do. A picture is in
one split under all its names: the held-out one, where two are named.

The first call reads and resizes every picture in child processes, later calls reuse the prepared copy while the files
stay the same. What cannot be used is counted, and listed by name in `skipped.json` beside it.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from mmjax.data.files import (
    caption_choice,
    caption_files,
    caption_tables,
    child_processes,
    picture_names,
    pictures,
    prepared,
    tree,
)
from mmjax.data.files.faults import Fault, by_suffix, listed
from mmjax.data.files.pictures import FITS
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("image", "caption", "captions", "group", "index")
FEW = 16  # pictures for which no further child process is started


@dataclasses.dataclass(frozen=True)
class Item:
    """One picture: its path inside the folder, its captions and its split."""

    path: str
    captions: tuple[str, ...]
    split: str


class Found(NamedTuple):
    """The captioned pictures of a folder; what was left out; what was used otherwise than it is written; and how many
    files of other suffixes there are."""

    items: list[Item]
    faults: list[Fault]
    remarks: list[Fault]
    ignored: dict[str, int]


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """Which pictures are read, and how. The name carries the fingerprint of the files and the options."""

    path: str = ""
    captions: tuple[str, ...] = ()
    size: int = 224
    fit: str = "crop"
    validation: float = 0.05
    test: float = 0.1


class CaptionedImages(tfds.core.GeneratorBasedBuilder):
    """The pictures that can be read and have a caption."""

    VERSION = tfds.core.Version("2.0.0")  # raised whenever the same files would give other examples

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "captions": tfds.features.Sequence(tfds.features.Text()),
            "group": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    children: child_processes.Children  # which whoever prepares starts and ends

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        config = self.builder_config
        folder = pathlib.Path(config.path)
        items, self.faults, self.remarks, self.ignored = find(folder, config.captions, config.validation, config.test)
        self.counts: collections.Counter[str] = collections.Counter()
        by_split: dict[str, list[Item]] = {}
        for item in items:
            by_split.setdefault(item.split, []).append(item)
        # A split is opened only when one of its pictures can be read: TFDS cannot write an empty one.
        usable = {split: mine for split, mine in by_split.items() if self._any_readable(mine)}
        if "train" not in usable:
            lines = "; ".join(listed(self.faults)) or "no picture is of its split"
            raise UserError(f"config.data.path={config.path!r} has nothing to train on: {lines}")
        return {split: self._generate_examples(split, mine) for split, mine in usable.items()}

    def _any_readable(self, items: list[Item]) -> bool:
        faults = []
        for item in items:
            ((_, picture),) = self._read([item])
            if isinstance(picture, bytes):
                return True
            faults.append(picture)
        self.faults += faults
        return False

    def _read(self, items: Iterable[Item]) -> Iterator[tuple[Item, bytes | Fault]]:
        """The JPEG of each picture at the size that is asked for, or why there is none."""
        config, by_path = self.builder_config, {item.path: item for item in items}
        work = functools.partial(pictures.square, config.path, config.size, config.fit)
        for path, picture in self.children.each(work, by_path):
            if isinstance(picture, child_processes.Lost):
                picture = Fault(path, f"picture {picture.kind}", picture.detail)
            yield by_path[path], picture

    def _generate_examples(self, split: str, items: list[Item]) -> Iterator[tuple[str, dict[str, Any]]]:
        bar = tqdm.tqdm(self._read(items), f"reading {split} pictures", len(items), unit="picture", disable=None)
        for item, picture in bar:
            if isinstance(picture, Fault):
                self.faults.append(picture)
                continue
            self.counts[split] += 1
            yield item.path, {"image": picture, "captions": list(item.captions), "group": item.path}


def source(
    split: str,
    fields: Sequence[str] = FIELDS,
    *,
    path: str = "",
    captions: str | Sequence[str] = (),
    data_dir: str | None = None,
    size: int = 224,
    fit: str = "crop",
    validation: float = 0.05,
    test: float = 0.1,
) -> prepared.Source:
    """Opens a split of the pictures of a folder, preparing them on the first call.

    Args:
      split: "train", "validation" or "test", as the files say; one that they do not give is a share of "train".
      fields: of FIELDS. `captions` are all of a picture, `caption` is the first; `group` is the picture's path.
      path: the folder of the pictures.
      captions: the file or files with the captions, from the folder or anywhere; () = found by their usual names. All
        that are named are read, whatever they have in common.
      data_dir: where the prepared copy goes; $MMJAX_DATA or ~/.cache/mmjax where None.
      size: of the square pictures, in pixels.
      fit: "crop" scales the shorter side and cuts out the middle (Show, Attend and Tell), "squash" gives up the
        proportions, "pad" keeps the whole picture on white.
      validation: share of the pictures for validation, where the files give no such split.
      test: the same for the test.

    Returns:
      Random access to dicts; image is uint8 [size size 3].

    Raises:
      UserError: for a missing folder, a wrong option, damaged files, or where there is nothing to train on.
    """
    if fit not in FITS:
        raise UserError(f"config.data.fit {fit!r} is unknown: choose {', '.join(FITS)}")
    if size < 1:
        raise UserError(f"config.data.size={size}: it must be at least 1 pixel")
    prepared.assign_splits((), validation, test)  # checks the shares before any work
    folder = pathlib.Path(path).expanduser().resolve() if path else None
    if folder is None or not folder.is_dir():
        raise UserError(f"config.data.path={path!r} is not a folder: it must be one of pictures, with their captions")
    captions = (captions,) * bool(captions) if isinstance(captions, str) else tuple(captions)
    directory = _prepared(folder, captions, data_dir, (size, fit, validation, test))
    stored = {"image": prepared.encoded(), "captions": prepared.encoded(many=True), "group": tfds.features.Text()}
    wanted = {"captions" if field == "caption" else field for field in fields} & set(stored)
    # With nothing stored asked for (only `index`), the cheapest column still gives the length.
    parsed = {column: stored[column] for column in wanted or {"group"}}
    columns = {f: column for f in fields if (column := "captions" if f == "caption" else f) in stored}
    records = prepared.Records(directory, split, parsed)
    return prepared.Source(records, functools.partial(_decode, tuple(fields)), columns=columns)


def _decode(fields: tuple[str, ...], record: dict[str, Any], index: int) -> dict[str, Any]:
    made = {
        "image": lambda: pictures.decode(record["image"]),
        "caption": lambda: prepared.text(record["captions"][0]),
        "captions": lambda: tuple(prepared.text(caption) for caption in record["captions"]),
        "group": lambda: prepared.text(record["group"]),
        "index": lambda: np.int32(index),
    }
    return {field: made[field]() for field in fields}


# -- which pictures there are ------------------------------------------------------------------------------------------


def find(folder: pathlib.Path, captions: Sequence[str] = (), validation: float = 0.05, test: float = 0.1) -> Found:
    """Every captioned picture of the folder with its split, and what was left out; arguments as in `source`."""
    folder = folder.resolve()
    files, found = caption_choice.find(folder, captions), _pictures(folder)
    index = picture_names.Index(folder, found.files)
    said, faults = caption_files.read(files) if captions else caption_choice.choose(files, index.place)
    faults += found.faults
    by_path: dict[str, list[caption_files.Picture]] = collections.defaultdict(list)
    verbatim = {place for picture in said if (place := index.place(picture)) == picture.name}
    for picture in said:
        places = index.places(picture)
        # Beside a picture that is named with its folder, one of the same name without a folder is another.
        doubtful = len(places) == 1 and not captions and picture.name != places[0] and places[0] in verbatim
        if len(places) == 1 and not (doubtful and not caption_choice.coco(picture.name)[0]):
            by_path[places[0]].append(picture)
        else:
            there = os.path.isfile(folder / picture.name)
            kind = "of an ambiguous name" if places else "of a kind that is not read" if there else "missing picture"
            faults.append(Fault(picture.name, kind, ", ".join(places)))
    items, remarks = _merged(folder, by_path)
    told = [fault for fault in faults if fault.kind in caption_files.USED]
    faults = [fault for fault in faults if fault.kind not in caption_files.USED]
    others = collections.Counter(found.ignored)
    others.subtract(file.suffix.lower() for file in (*files, *_lists(files)) if file.resolve().is_relative_to(folder))
    return Found(_with_splits(items, validation, test), faults, told + remarks, dict(+others))


def _merged(
    folder: pathlib.Path, by_path: Mapping[str, Sequence[caption_files.Picture]]
) -> tuple[list[Item], list[Fault]]:
    """One item for each picture, whatever its names are."""
    remarks: list[Fault] = []
    groups: dict[str, list[str]] = collections.defaultdict(list)
    for path, first in picture_names.one_picture(folder, list(by_path)).items():
        groups[first].append(path)
    items = []
    for first, paths in groups.items():
        named = [picture for path in paths for picture in by_path[path]]
        captions = list(named[0].captions)
        for picture in named[1:]:
            captions += [caption for caption in picture.captions if caption not in captions]
        remarks += [Fault(path, tree.AGAIN, f"it is {first}") for path in paths if path != first]
        splits = [picture.split or _of_folder(path) for path in paths for picture in by_path[path]]
        split = caption_files.held_out(first, splits, remarks)
        items.append(Item(first, tuple(captions), split))
    return items, remarks


def _of_folder(path: str) -> str:
    """The split of a picture in a folder that is called like one, "" of others."""
    folders = path.lower().split("/")[:-1]
    return next((caption_tables.SPLITS[name] for name in folders if name in caption_tables.SPLITS), "")


def _with_splits(items: list[Item], validation: float, test: float) -> list[Item]:
    """Items without a split are training items; a held-out split that nothing is in is drawn from those."""
    given = {item.split for item in items}
    shares = (0.0 if "validation" in given else validation, 0.0 if "test" in given else test)
    training = [item.path for item in items if item.split in ("", "train")]
    drawn = prepared.assign_splits(training, *shares)
    return [dataclasses.replace(item, split=drawn.get(item.path, item.split)) for item in items]


def _lists(files: Iterable[pathlib.Path]) -> set[pathlib.Path]:
    """The lists of splits beside the files with the captions."""
    return {file for place in {file.parent for file in files} for _, file in caption_files.split_lists(place)}


def _pictures(folder: pathlib.Path) -> tree.Found:
    return tree.walk(folder, pictures.suffixes())


# -- the prepared copy -------------------------------------------------------------------------------------------------


def _prepared(
    folder: pathlib.Path, captions: tuple[str, ...], data_dir: str | None, options: tuple[Any, ...]
) -> pathlib.Path:
    files, found = caption_choice.find(folder, captions), _pictures(folder)
    read = sorted({*files, *_lists(files)})
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in read]
    stem = "".join(letter if letter.isalnum() else "_" for letter in folder.name)[:40]
    # What is named is read as it is, all of it and in that order; what is found is chosen from.
    named = [list(map(str, files))] if captions else []
    name = f"{stem}-{prepared.fingerprint(str(folder), stats, found.files, options, *named)}"
    size, fit, validation, test = options
    config = Config(
        name=name, path=str(folder), captions=captions, size=size, fit=fit, validation=validation, test=test
    )
    root = prepared.cache_dir(data_dir)
    directory = root / "captioned_images" / config.name / str(CaptionedImages.VERSION)
    if not prepared.is_prepared(directory):
        builder: Any = prepared.build(CaptionedImages, config, root)
        with child_processes.Children(min(len(os.sched_getaffinity(0)), 1 + len(found.files) // FEW)) as children:
            builder.children = children
            made = prepared.prepare(builder)
        if made:
            _tell(directory, builder)
    return directory


def _tell(directory: pathlib.Path, builder: CaptionedImages) -> None:
    """Prints how many pictures each split has, and what was left out and why; writes it beside them by name."""
    faults, remarks = ([dataclasses.asdict(one) for one in ones] for ones in (builder.faults, builder.remarks))
    report = {"used": dict(builder.counts), "faults": faults, "remarks": remarks, "ignored": builder.ignored}
    (directory / "skipped.json").write_text(json.dumps(report, indent=2))
    used = ", ".join(f"{count:,} {split}" for split, count in builder.counts.items())
    beside = f"; beside them are {by_suffix(builder.ignored)}" if builder.ignored else ""
    print(f"captioned_images: {used} pictures{beside}", file=sys.stderr)
    for action, found in (("used", builder.remarks), ("left out", builder.faults)):
        for line in listed(found):
            print(f"captioned_images: {action} {line}; see {directory / 'skipped.json'}", file=sys.stderr)
