"""Any folder of pictures with captions: COCO, Karpathy's splits, Flickr8k, or a table of your own.

    source("train", ("image", "captions"), path="~/flickr8k")

The captions are looked for in the folder (`files.caption_files` says under which names) or named by
config.data.captions: COCO's captions_*.json, Karpathy's dataset_*.json, Flickr8k's token file with its split lists, CSV
or JSON lines with file, caption and perhaps split. The pictures may lie in folders below. The first call reads and
resizes every picture, later calls reuse the prepared copy while the files stay the same. What cannot be used is listed
by name in `skipped.json` beside it.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm
from PIL import Image, ImageOps

from mmjax.data.files import caption_files, media, prepared
from mmjax.data.files.faults import Fault, listed
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("image", "caption", "captions", "group", "index")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
FITS = ("crop", "squash", "pad")
AHEAD = 32  # pictures that threads read ahead of the writer


@dataclasses.dataclass(frozen=True)
class Item:
    """One picture: its path inside the folder, its captions and its split."""

    path: str
    captions: tuple[str, ...]
    split: str


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

    VERSION = tfds.core.Version("1.0.0")  # raised whenever the same files would give other examples

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "captions": tfds.features.Sequence(tfds.features.Text()),
            "group": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        config = self.builder_config
        folder = pathlib.Path(config.path)
        items, self.faults = find(folder, config.captions, config.validation, config.test)
        self.counts: collections.Counter[str] = collections.Counter()
        by_split: dict[str, list[Item]] = {}
        for item in items:
            by_split.setdefault(item.split, []).append(item)
        # A split is opened only when one of its pictures can be read: TFDS cannot write an empty one.
        usable = {split: mine for split, mine in by_split.items() if _any_readable(folder, mine, config)}
        lost = [item for split, mine in by_split.items() if split not in usable for item in mine]
        self.faults += [Fault(item.path, "unreadable picture") for item in lost]
        if "train" not in usable:
            lines = "; ".join(listed(self.faults)) or "no picture is of its split"
            raise UserError(f"config.data.path={config.path!r} has nothing to train on: {lines}")
        return {split: self._generate_examples(split, mine) for split, mine in usable.items()}

    def _generate_examples(self, split: str, items: list[Item]) -> Iterator[tuple[str, dict[str, Any]]]:
        read = functools.partial(_read, pathlib.Path(self.builder_config.path), self.builder_config)
        with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            bar = tqdm.tqdm(items, f"reading {split} pictures", unit="picture", disable=None)
            for item, picture in _ahead(pool, read, bar):
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
    captions: Sequence[str] = (),
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
      captions: the files with the captions, from the folder or anywhere; () = found by their usual names.
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
    directory = _prepared(folder, tuple(captions), data_dir, (size, fit, validation, test))
    stored = {"image": prepared.encoded(), "captions": prepared.encoded(many=True), "group": tfds.features.Text()}
    wanted = {"captions" if field == "caption" else field for field in fields} & set(stored)
    # With nothing stored asked for (only `index`), the cheapest column still gives the length.
    parsed = {column: stored[column] for column in wanted or {"group"}}
    return prepared.Source(prepared.Records(directory, split, parsed), functools.partial(_decode, tuple(fields)))


def _decode(fields: tuple[str, ...], record: dict[str, Any], index: int) -> dict[str, Any]:
    made = {
        "image": lambda: media.decode(record["image"]),
        "caption": lambda: prepared.text(record["captions"][0]),
        "captions": lambda: tuple(prepared.text(caption) for caption in record["captions"]),
        "group": lambda: prepared.text(record["group"]),
        "index": lambda: np.int32(index),
    }
    return {field: made[field]() for field in fields}


# -- which pictures there are ------------------------------------------------------------------------------------------


def find(
    folder: pathlib.Path, captions: Sequence[str] = (), validation: float = 0.05, test: float = 0.1
) -> tuple[list[Item], list[Fault]]:
    """Every captioned picture of the folder with its split, and what was left out; arguments as in `source`."""
    said, faults = caption_files.read(caption_files.find(folder, captions))
    paths = _pictures(folder)
    by_name: dict[str, list[str]] = {}
    for relative in paths:
        by_name.setdefault(relative.rsplit("/", 1)[-1], []).append(relative)
    items: dict[str, Item] = {}
    for picture in said:
        places = [picture.name] if picture.name in paths else by_name.get(picture.name.rsplit("/", 1)[-1], [])
        if len(places) != 1:
            kind = "of an ambiguous name" if places else "missing picture"
            faults.append(Fault(picture.name, kind, ", ".join(places)))
            continue
        known = items.get(places[0])  # the same picture under two names, or in two files
        split = known.split if known else picture.split
        items[places[0]] = Item(places[0], (*(known.captions if known else ()), *picture.captions), split)
    return _with_splits(list(items.values()), validation, test), faults


def _with_splits(items: list[Item], validation: float, test: float) -> list[Item]:
    """Items without a split are training items; a held-out split that nothing is in is drawn from those."""
    given = {item.split for item in items}
    shares = (0.0 if "validation" in given else validation, 0.0 if "test" in given else test)
    training = [item.path for item in items if item.split in ("", "train")]
    drawn = prepared.assign_splits(training, *shares)
    return [dataclasses.replace(item, split=drawn.get(item.path, item.split)) for item in items]


def _pictures(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    """{relative POSIX path: (bytes, time of change)} of all pictures below a folder, hidden ones left out."""
    found = {}
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                file = pathlib.Path(place, name)
                stat = file.stat() if file.exists() else None  # a dangling link is no picture
                if stat:
                    found[file.relative_to(folder).as_posix()] = (stat.st_size, stat.st_mtime_ns)
    return found


# -- reading them ------------------------------------------------------------------------------------------------------


def _read(folder: pathlib.Path, config: Any, item: Item) -> bytes | Fault:
    """A picture's JPEG at the size that is asked for, or why there is none."""
    try:
        with Image.open(folder / item.path) as file:
            if config.fit != "pad":
                file.draft("RGB", (config.size, config.size))  # a JPEG is decoded no larger than needed
            picture = ImageOps.exif_transpose(file)
            return media.encode(fitted(picture, config.size, config.fit), "jpeg")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow raises
        return Fault(item.path, "unreadable picture", str(error))


def fitted(picture: Image.Image, size: int, fit: str) -> Image.Image:
    """A picture as an RGB square; `fit` as in `source`. What is transparent becomes white."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        picture = Image.new("RGBA", rgba.size, "white")
        picture.alpha_composite(rgba)
    picture = picture.convert("RGB")
    way = Image.Resampling.BICUBIC
    if fit == "squash":
        return picture.resize((size, size), way)
    if fit == "crop":
        return ImageOps.fit(picture, (size, size), way)
    return ImageOps.pad(picture, (size, size), way, "white")


def _any_readable(folder: pathlib.Path, items: list[Item], config: Any) -> bool:
    return any(not isinstance(_read(folder, config, item), Fault) for item in items)


def _ahead(pool: futures.Executor, read: Any, items: Any) -> Iterator[tuple[Item, Any]]:
    """(item, read(item)) in order, AHEAD of them under way: a data set need not fit into memory."""
    waiting: collections.deque[tuple[Item, futures.Future[Any]]] = collections.deque()
    for item in items:
        waiting.append((item, pool.submit(read, item)))
        if len(waiting) > AHEAD:
            first, result = waiting.popleft()
            yield first, result.result()
    for item, result in waiting:
        yield item, result.result()


# -- the prepared copy -------------------------------------------------------------------------------------------------


def _prepared(
    folder: pathlib.Path, captions: tuple[str, ...], data_dir: str | None, options: tuple[Any, ...]
) -> pathlib.Path:
    files = caption_files.find(folder, captions)
    beside = sorted({*files, *(found for file in files for found in file.parent.glob("*Images.txt"))})
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in beside]
    stem = "".join(letter if letter.isalnum() else "_" for letter in folder.name)[:40]
    name = f"{stem}-{prepared.fingerprint(str(folder), stats, _pictures(folder), options)}"
    size, fit, validation, test = options
    config = Config(
        name=name, path=str(folder), captions=captions, size=size, fit=fit, validation=validation, test=test
    )
    root = prepared.cache_dir(data_dir)
    directory = root / "captioned_images" / config.name / str(CaptionedImages.VERSION)
    if not prepared.is_prepared(directory):
        builder = prepared.build(CaptionedImages, config, root)
        if prepared.prepare(builder):
            _tell(directory, builder.counts, builder.faults)
    return directory


def _tell(directory: pathlib.Path, counts: dict[str, int], faults: list[Fault]) -> None:
    """Prints how many pictures each split has, and what was left out and why; writes it beside them by name."""
    report = {"used": dict(counts), "faults": [dataclasses.asdict(fault) for fault in faults]}
    (directory / "skipped.json").write_text(json.dumps(report, indent=2))
    used = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    print(f"captioned_images: {used} pictures", file=sys.stderr)
    for line in listed(faults):
        print(f"captioned_images: left out {line}; see {directory / 'skipped.json'}", file=sys.stderr)
