"""Tux Paint's stamps: pictures with an English caption, a folder label and, for some, a sound effect.

Read from Debian's package tuxpaint-stamps-default (GPL-2, nothing of it is copied here) or any folder laid out like it:
TOP/.../NAME.png beside NAME.txt, whose first line is the caption, and NAME.ogg. Stamps that exist only as SVG are left
out, because nothing among the dependencies draws SVG.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from mmjax.data.files import child_processes, media, pictures, prepared, sound_file, tree
from mmjax.data.files import tags as tags
from mmjax.errors import UserError
from mmjax.text import tokenise

PATH = "/usr/share/tuxpaint/stamps"
FIELDS: tuple[str, ...] = ("image", "caption", "captions", "label", "tags", "group", "index")
FIT = "whole"


def fields(*, sound: str | None = None, **_: Any) -> tuple[str, ...]:
    """The fields offered under the options of `source`: `waveform` only where sound="effects"."""
    return (*FIELDS, "waveform") if sound == "effects" else FIELDS


def labels(path: str = PATH) -> tuple[str, ...]:
    """The names of the classes of `label`: the top folders, in order."""
    return tuple(sorted(entry.name for entry in folder_of(path).iterdir() if entry.is_dir()))


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """Which stamps are taken, and how. The name carries the fingerprint of the files and the options."""

    path: str = PATH
    size: int = 224
    sound: str | None = None
    validation: float = 0.1
    test: float = 0.1


@dataclasses.dataclass(frozen=True)
class Stamp:
    """One stamp: its path without suffix inside the folder, and its caption."""

    name: str
    caption: str


class TuxStamps(tfds.core.GeneratorBasedBuilder):
    """The PNG stamps that have a caption, split by caption."""

    VERSION = tfds.core.Version("1.2.0")  # raised whenever the same files would give other examples

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "caption": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=labels(self.builder_config.path)),
            "folder": tfds.features.Text(),
            "group": tfds.features.Text(),
            "waveform": prepared.sound(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    children: child_processes.Children  # which whoever prepares starts and ends

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        config = self.builder_config
        stamps, skipped = find(pathlib.Path(config.path))
        # Drawn over all captions, with or without a sound, so that a caption is on the same side in both.
        groups = grouped(stamp.caption for stamp in stamps)
        splits = prepared.assign_splits(groups.values(), config.validation, config.test)
        examples: dict[str, list[dict[str, Any]]] = {}
        work = functools.partial(pictures.whole, config.path, config.size)
        by_path = {f"{stamp.name}.png": stamp for stamp in stamps}
        read = tqdm.tqdm(self.children.each(work, by_path), "reading stamps", len(stamps), unit="stamp", disable=None)
        for path, picture in read:
            stamp = by_path[path]
            try:
                example = _example(pathlib.Path(config.path), stamp, config, picture)
            except media.Unusable as error:
                skipped[error.kind] += 1
                continue
            example["group"] = groups[stamp.caption]
            examples.setdefault(splits[example["group"]], []).append(example)
        if not examples:
            raise UserError(f"config.data.path={config.path!r} has no usable stamp: {_listed(skipped)}")
        _write_report(pathlib.Path(self.data_path), examples, skipped)
        return {split: self._generate_examples(examples[split]) for split in examples}

    def _generate_examples(self, examples: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
        for example in examples:
            yield example.pop("name"), example


def source(
    split: str,
    fields: tuple[str, ...] | None = None,
    *,
    path: str = PATH,
    data_dir: str | None = None,
    size: int = 224,
    sound: str | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    min_tag: int = 5,
) -> prepared.Source:
    """Opens a split of the stamps, preparing them on the first call.

    Args:
      split: "train", "validation" or "test": a caption, and so the cartoon and the photograph of one thing, is in one.
      fields: of fields(sound=sound); all where None. `label` is the top folder's place in labels(path); `tags` the
        names of all folders that the stamp lies in (animals, birds, cartoon); `group` is the caption as
        it is first spelt; `waveform` the sound effect at its own length.
      path: the stamps' folder.
      data_dir: where the prepared copy goes; $MMJAX_DATA or ~/.cache/mmjax where None.
      size: of the pictures: each is fitted whole into a white square of so many pixels.
      sound: "effects" keeps only the stamps that have a sound effect, and offers `waveform`.
      validation: share of the captions held out for validation.
      test: share of the captions held out for the test.
      min_tag: a folder's name is a tag where so many training stamps lie in one of that name, directly or below.

    Raises:
      UserError: where the stamps are missing, an option is wrong or a split is empty.
    """
    if sound not in (None, "", "effects"):
        raise UserError(f'config.data.sound={sound!r}: it must be "effects" or None')
    if size < 1:
        raise UserError(f"config.data.size={size}: it must be at least 1 pixel")
    prepared.assign_splits((), validation, test)  # checks the shares before any work
    fields = globals()["fields"](sound=sound) if fields is None else fields
    folder = folder_of(path)
    name = f"stamps-{_fingerprint(folder, size, sound, validation, test)}"
    config = Config(name=name, path=str(folder), size=size, sound=sound or None, validation=validation, test=test)
    root = prepared.cache_dir(data_dir)
    directory = root / "tux_stamps" / config.name / str(TuxStamps.VERSION)
    if not prepared.is_prepared(directory):
        builder: Any = prepared.build(TuxStamps, config, root)
        with child_processes.Children(len(os.sched_getaffinity(0))) as children:
            builder.children = children
            made = prepared.prepare(builder)
        if made:
            _tell(directory)
    stored = {
        "image": prepared.encoded(),
        "caption": tfds.features.Text(),
        "label": tfds.features.Scalar(dtype=np.int64),
        "folder": tfds.features.Text(),
        "group": tfds.features.Text(),
        "waveform": prepared.sound(),
    }
    wanted = {_STORED_AS.get(field, field) for field in fields} & set(stored)
    # With nothing stored asked for (only `index`), the cheapest column still gives the length.
    records = prepared.Records(directory, split, {column: stored[column] for column in wanted or {"label"}})
    report = json.loads((directory / "skipped.json").read_text())
    names = {"label": labels(path)} if "label" in fields else {}
    if "tags" in fields:
        names["tags"] = tags.names(report["tags"], min_tag)
    numbers = {tag: number for number, tag in enumerate(names.get("tags", ()))}
    columns = {f: column for f in fields if (column := _STORED_AS.get(f, f)) in stored}
    decode = functools.partial(_decode, tuple(fields), numbers, report["depth"])
    return prepared.Source(records, decode, names, columns)


_STORED_AS = {"captions": "caption", "tags": "folder"}


def _decode(
    fields: tuple[str, ...], numbers: dict[str, int], depth: int, record: dict[str, Any], index: int
) -> dict[str, Any]:
    caption = prepared.text(record.get("caption", ""))
    made = {
        "image": lambda: pictures.decode(record["image"]),
        "caption": lambda: caption,
        "captions": lambda: (caption,),
        "group": lambda: prepared.text(record["group"]),
        "label": lambda: np.int32(record["label"]),
        "tags": lambda: tags.numbers(prepared.text(record["folder"]).split("/"), numbers, depth),
        "waveform": lambda: record["waveform"],
        "index": lambda: np.int32(index),
    }
    return {field: made[field]() for field in fields}


def folder_of(path: str) -> pathlib.Path:
    """The folder of the stamps. Raises UserError, which says what to install, where it is none."""
    folder = pathlib.Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise UserError(
            f"no stamps in {path}: install the Debian package tuxpaint-stamps-default, or give config.data.path"
        )
    return folder


def find(folder: pathlib.Path) -> tuple[list[Stamp], collections.Counter[str]]:
    """The PNG stamps that have a caption, in order, and how many others there are of each kind."""
    found = tree.walk(folder, (".png", ".svg"))
    names = {suffix: [path[:-4] for path in found.files if path.endswith(suffix)] for suffix in (".png", ".svg")}
    skipped = collections.Counter({"SVG only": len(set(names[".svg"]) - set(names[".png"]))})
    skipped.update(fault.kind for fault in found.faults)
    stamps = []
    for name in names[".png"]:
        caption = caption_of(folder / f"{name}.png")
        if caption and "/" in name:
            stamps.append(Stamp(name, caption))
        else:
            skipped["without a caption" if not caption else "in no folder"] += 1
    return stamps, skipped


def caption_of(picture: pathlib.Path) -> str:
    """The first line of the stamp's text file, "" where there is none."""
    try:
        lines = picture.with_suffix(".txt").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return lines[0].strip() if lines else ""


def grouped(captions: Iterable[str]) -> dict[str, str]:
    """{caption: the first of those with the same words}: "The letter X." and "the letter x" are on one side."""
    first: dict[tuple[str, ...], str] = {}
    return {text: first.setdefault(tuple(tokenise.caption(text.rstrip(" .!"))), text) for text in sorted(captions)}


def _example(folder: pathlib.Path, stamp: Stamp, config: Config, picture: Any) -> dict[str, Any]:
    """One example; raises Unusable where the picture, or the sound that is asked for, cannot be used.

    `picture` is its PNG, or what a child process says instead.
    """
    if not isinstance(picture, bytes):
        raise media.Unusable(picture.kind, picture.detail)
    waveform = np.zeros(0, np.int16)
    if config.sound:
        file = folder / f"{stamp.name}.ogg"
        if not file.exists():
            raise media.Unusable("without a sound effect", stamp.name)
        waveform = sound_file.read(file)[0]
    return {
        "name": stamp.name,
        "image": picture,  # lossless: flat colours and sharp edges are what JPEG does worst
        "caption": stamp.caption,
        "label": stamp.name.split("/")[0],
        "folder": stamp.name.rsplit("/", 1)[0],
        "waveform": waveform,
    }


def _fingerprint(folder: pathlib.Path, *options: Any) -> str:
    return prepared.fingerprint(str(folder), tree.walk(folder, (".png", ".svg", ".txt", ".ogg")).files, options)


def _write_report(
    directory: pathlib.Path, examples: dict[str, list[dict[str, Any]]], skipped: collections.Counter[str]
) -> None:
    counts = {split: len(examples[split]) for split in examples}
    captions = {split: len({example["caption"] for example in examples[split]}) for split in examples}
    paths = {split: [example["folder"].split("/") for example in examples[split]] for split in examples}
    report = {
        "examples": counts,
        "captions": captions,
        "counts": {kind: n for kind, n in skipped.items() if n},
        "tags": tags.count(paths.get("train", ())),
        "depth": max(len(path) for split in paths for path in paths[split]),
    }
    (directory / "skipped.json").write_text(json.dumps(report, indent=2))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def _tell(directory: pathlib.Path) -> None:
    """Prints how many stamps there are in each split, and how many were left out and why."""
    report = json.loads((directory / "skipped.json").read_text())
    print(f"tux_stamps: {_listed(report['examples'])}, no caption in two splits", file=sys.stderr)
    if report["counts"]:
        print(f"tux_stamps: left out {_listed(report['counts'])}", file=sys.stderr)
