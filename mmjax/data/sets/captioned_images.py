"""Any folder of pictures with captions, in whatever layout they came.

    source("train", ("image", "captions"), path="~/flickr8k")

The captions are looked for in the folder, or named by config.data.captions:

    captions_*.json                 COCO's; dataset_*.json of Karpathy; Flickr8k's token file with its split lists
    captions.csv, metadata.jsonl    and .tsv, .txt, .json, .parquet: file, caption and perhaps split; results.csv of
                                    Flickr30k; of Hugging Face's imagefolder a file a split
    *.tar                           shards of webdataset, packed or not: x.jpg, x.txt, x.json
    *.csv, *.tsv, *.jsonl           open_clip's filepath and title; CC3M's without a heading
    x.jpg, x.txt, x.json            img2dataset's folders
    *.parquet                       with the pictures' bytes, as Hugging Face and img2dataset write it

The first of these that tells of pictures which are there is read; `files.caption_choice` says which of several files
that say the same. The pictures may lie in folders below and behind links. A caption belongs to the picture that it
names, with its folder where it names one, and never to another of the same name. Where the captions name no split, the
names of their files (train.csv, val-00000.tar) or of folders (train, validation, test) do. A picture is in one split
under all its names: the held-out one, where two are named.

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
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from mmjax.data.files import captioned_folder, child_processes, held_pictures, pictures, prepared
from mmjax.data.files.captioned_folder import Item
from mmjax.data.files.columns import USUAL, Columns, chosen
from mmjax.data.files.faults import Fault, by_path, by_suffix, listed
from mmjax.data.files.pictures import FITS
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("image", "caption", "captions", "group", "index")
IDENTITY = {"file": "group"}
FEW = 16  # pictures for which no further child process is started
MANY = 1 << 20  # bytes of shards for which one is


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """Which pictures are read, and how. The name carries the fingerprint of the files and the options."""

    path: str = ""
    captions: tuple[str, ...] = ()
    columns: Columns = USUAL
    size: int = 224
    fit: str = "crop"
    validation: float = 0.05
    test: float = 0.1


class CaptionedImages(tfds.core.GeneratorBasedBuilder):
    """The pictures that can be read and have a caption."""

    VERSION = tfds.core.Version("2.3.0")  # raised whenever the same files would give other examples

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
        items, self.faults, self.remarks, self.ignored = captioned_folder.find(
            pathlib.Path(config.path), config.captions, config.validation, config.test, config.columns
        )
        self.counts: collections.Counter[str] = collections.Counter()
        by_split: dict[str, list[Item]] = {}
        for item in items:
            by_split.setdefault(item.split, []).append(item)
        # A split is opened only when one of its pictures can be read: TFDS cannot write an empty one.
        usable = {split: mine for split, mine in by_split.items() if self._any_readable(mine)}
        if "train" not in usable:
            lines = "; ".join(listed(by_path(self.faults))) or "no picture is of its split"
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
        config, named = self.builder_config, {item.path: item for item in items}
        work = functools.partial(pictures.square, config.path, config.size, config.fit)
        for asked, picture in self.children.each(work, _sources(named)):
            path = asked if isinstance(asked, str) else asked.name
            if isinstance(picture, child_processes.Lost):
                picture = Fault(path, f"picture {picture.kind}", picture.detail)
            yield named[path], picture

    def _generate_examples(self, split: str, items: list[Item]) -> Iterator[tuple[str, dict[str, Any]]]:
        bar = tqdm.tqdm(self._read(items), f"reading {split} pictures", len(items), unit="picture", disable=None)
        for item, picture in bar:
            if isinstance(picture, Fault):
                self.faults.append(picture)
                continue
            self.counts[split] += 1
            yield item.path, {"image": picture, "captions": list(item.captions), "group": item.path}


def _sources(named: Mapping[str, Item]) -> Iterator[str | pictures.Unread]:
    """The path of each picture that is a file, then the bytes of those that another file holds."""
    held = [(path, item.held) for path, item in named.items() if item.held]
    yield from (path for path, item in named.items() if not item.held)
    yield from (pictures.Unread(path, raw) for path, raw in held_pictures.each(held))


def source(
    split: str,
    fields: Sequence[str] = FIELDS,
    *,
    path: str = "",
    captions: str | Sequence[str] = (),
    columns: str | Sequence[str] = (),
    separator: str = "",
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
      columns: what yours are called in tables, JSON and Parquet: "file=NAME" of the pictures, "caption=NAME" (several
        for several), "split=NAME"; those that are not named go by their usual names. Of a sample of webdataset, NAME is
        a key of its JSON or a suffix.
      separator: what stands between the columns of a table: one character, or "tab"; found out where "".
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
    named, between = _several(captions), chosen(_several(columns), separator)
    directory = _prepared(folder, named, between, data_dir, (size, fit, validation, test))
    stored = {"image": prepared.encoded(), "captions": prepared.encoded(many=True), "group": tfds.features.Text()}
    wanted = {"captions" if field == "caption" else field for field in fields} & set(stored)
    # With nothing stored asked for (only `index`), the cheapest column still gives the length.
    parsed = {column: stored[column] for column in wanted or {"group"}}
    made_from = {f: column for f in fields if (column := "captions" if f == "caption" else f) in stored}
    records = prepared.Records(directory, split, parsed)
    return prepared.Source(records, functools.partial(_decode, tuple(fields)), columns=made_from)


def _decode(fields: tuple[str, ...], record: dict[str, Any], index: int) -> dict[str, Any]:
    made = {
        "image": lambda: pictures.decode(record["image"]),
        "caption": lambda: prepared.text(record["captions"][0]),
        "captions": lambda: tuple(prepared.text(caption) for caption in record["captions"]),
        "group": lambda: prepared.text(record["group"]),
        "index": lambda: np.int32(index),
    }
    return {field: made[field]() for field in fields}


# -- the prepared copy -------------------------------------------------------------------------------------------------


def _several(option: str | Sequence[str]) -> tuple[str, ...]:
    return (option,) * bool(option) if isinstance(option, str) else tuple(option)


def _prepared(
    folder: pathlib.Path,
    captions: tuple[str, ...],
    columns: Columns,
    data_dir: str | None,
    options: tuple[Any, ...],
) -> pathlib.Path:
    files = captioned_folder.survey(folder, captions)
    found = files.pictures.files
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files.all()]
    stem = "".join(letter if letter.isalnum() else "_" for letter in folder.name)[:40]
    # What is named is read as it is, all of it and in that order; what is found is chosen from.
    named: list[Any] = [list(map(str, files.captions()))] if captions else []
    named += [dataclasses.astuple(columns)] if columns != USUAL else []
    named += [files.texts] if files.texts else []
    name = f"{stem}-{prepared.fingerprint(str(folder), stats, found, options, *named)}"
    size, fit, validation, test = options
    config = Config(
        name=name,
        path=str(folder),
        captions=captions,
        columns=columns,
        size=size,
        fit=fit,
        validation=validation,
        test=test,
    )
    root = prepared.cache_dir(data_dir)
    directory = root / "captioned_images" / config.name / str(CaptionedImages.VERSION)
    if not prepared.is_prepared(directory):
        in_shards = sum(size for _, size, _ in stats) // MANY
        builder: Any = prepared.build(CaptionedImages, config, root)
        with child_processes.Children(min(len(os.sched_getaffinity(0)), 1 + len(found) // FEW + in_shards)) as children:
            builder.children = children
            made = prepared.prepare(builder)
        if made:
            _tell(directory, builder)
    return directory


def _tell(directory: pathlib.Path, builder: CaptionedImages) -> None:
    """Prints how many pictures each split has, and what was left out and why; writes it beside them by name."""
    faults, remarks = by_path(builder.faults), by_path(builder.remarks)
    lists = {name: [*map(dataclasses.asdict, ones)] for name, ones in (("faults", faults), ("remarks", remarks))}
    report = {"used": dict(builder.counts), **lists, "ignored": builder.ignored}
    (directory / "skipped.json").write_text(json.dumps(report, indent=2))
    used = ", ".join(f"{count:,} {split}" for split, count in builder.counts.items())
    beside = f"; beside them are {by_suffix(builder.ignored)}" if builder.ignored else ""
    print(f"captioned_images: {used} pictures{beside}", file=sys.stderr)
    for action, found in (("used", remarks), ("left out", faults)):
        for line in listed(found):
            print(f"captioned_images: {action} {line}; see {directory / 'skipped.json'}", file=sys.stderr)
