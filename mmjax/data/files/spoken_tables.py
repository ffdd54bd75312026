"""Spoken captions of pictures in the layouts of three data sets: which sound says what of which picture, and who.

    *.json, "data": [{"image", "captions": [{"uttid", "text", "speaker", "wav"}]}]    SpokenCOCO (Hsu et al. 2021)
    *.json, "data": [{"image", "uttid", "asr_text", "speaker", "wav"}]                Places audio captions
    wav2capt.txt, wav2spk.txt                                                        Flickr8k audio captions

A JSON may say "image_base_path" and "audio_base_path"; a file is looked for there, in the folder, and by its name below
the folder. Its split is in its own name (SpokenCOCO_train.json, val.json), of Flickr8k in Flickr_8k.trainImages.txt,
devImages and testImages; where none is named, `sets.spoken_captions` draws.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmjax.data.files import encodings
from mmjax.data.files.faults import Fault
from mmjax.errors import UserError

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "dev": "validation", "test": "test"}
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


@dataclasses.dataclass(frozen=True)
class Spoken:
    """One spoken caption: the files of its picture and its sound, its text ("" where nobody wrote it down), who speaks,
    and its split ("" where none is named)."""

    picture: str
    sound: str
    text: str
    speaker: str
    split: str


def find(folder: pathlib.Path) -> tuple[list[Spoken], list[Fault]]:
    """All spoken captions of a folder, and those that are left out.

    Raises:
      UserError: no such layout, or a JSON of another form.
    """
    files = {suffixes: dict(_below(folder, suffixes)) for suffixes in (SOUNDS, PICTURES)}
    tables = sorted(path for path in folder.rglob("*.json") if path.is_file())
    rows = [row for table in tables for row in _of_json(table)]
    flickr = next(iter(sorted(folder.rglob("wav2capt.txt"))), None)
    if not rows and flickr is not None:
        rows = list(_of_flickr(folder, flickr))
    if not rows:
        raise UserError(f"config.data.path={str(folder)!r} has neither a JSON of spoken captions nor wav2capt.txt")
    found, faults = [], []
    for picture, sound, *rest in rows:
        seen, heard = _at(folder, picture, files[PICTURES]), _at(folder, sound, files[SOUNDS])
        if seen is None or heard is None:
            faults.append(Fault(*((picture, "missing picture") if seen is None else (sound, "missing sound"))))
        else:
            found.append(Spoken(seen, heard, *rest))
    return found, faults


def _below(folder: pathlib.Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(name, path) of each file of such a kind; of one name the first."""
    for root, folders, names in os.walk(folder, topdown=True):
        folders.sort()
        for name in sorted(names, reverse=True):
            if name.lower().endswith(suffixes):
                yield name, os.path.join(root, name)


def _at(folder: pathlib.Path, named: str, known: Mapping[str, str]) -> str | None:
    path = pathlib.Path(named)
    if path.is_absolute() and path.is_file():
        return str(path)
    return str(folder / path) if (folder / path).is_file() else known.get(path.name)


def _of_json(table: pathlib.Path) -> Iterator[tuple[str, str, str, str, str]]:
    """(picture, sound, text, speaker, split) of each caption; nothing of a JSON that is of something else."""
    try:
        whole = json.loads(table.read_bytes())
    except ValueError as error:
        raise UserError(f"{table} is damaged: {error}") from None
    if not isinstance(whole, dict) or not isinstance(whole.get("data"), list):
        return
    words = re.split(r"[^a-z]+", table.stem.lower())
    split = next((SPLITS[word] for word in words if word in SPLITS), "")
    bases = [str(whole.get(name) or "") for name in ("image_base_path", "audio_base_path")]
    for number, datum in enumerate(whole["data"]):
        for caption in datum.get("captions", [datum]) if isinstance(datum, dict) else [None]:
            if not isinstance(caption, dict) or "image" not in datum or "wav" not in caption:
                raise UserError(f"{table}: data[{number}] has no image, or a caption without wav")
            text = str(caption.get("text") or caption.get("asr_text") or "")
            picture, sound = (os.path.join(base, str(n)) for base, n in zip(bases, (datum["image"], caption["wav"])))
            yield picture, sound, text, str(caption.get("speaker", "")), split


def _of_flickr(folder: pathlib.Path, table: pathlib.Path) -> Iterator[tuple[str, str, str, str, str]]:
    """As `_of_json`. Texts are those of Flickr8k.token.txt, where that lies there, too."""
    speakers = dict(row[:2] for row in _rows(folder, "wav2spk.txt"))
    texts = {row[0]: " ".join(row[1:]) for row in _rows(folder, "Flickr8k.token.txt")}
    splits: dict[str, str] = {}
    for word, split in (("train", "train"), ("dev", "validation"), ("test", "test")):
        splits |= {row[0]: split for row in _rows(folder, f"Flickr_8k.{word}Images.txt")}
    for sound, picture, number in (row[:3] for row in _rows(folder, table.name) if len(row) >= 3):
        yield picture, sound, texts.get(picture + number, ""), speakers.get(sound, ""), splits.get(picture, "")


def _rows(folder: pathlib.Path, name: str) -> list[list[str]]:
    file = next(iter(sorted(folder.rglob(name))), None)
    lines: Any = [] if file is None else encodings.lines(encodings.decoded(file.read_bytes()))
    return [line.split() for line in lines if line.strip()]
