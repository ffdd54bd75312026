"""Pictures of the TensorFlow Datasets catalogue with captions from the user's own files.

    source("train", ("image", "captions"), of="oxford_flowers102", captions="~/flowers/text_c10")

For data sets that the catalogue has without captions, as oxford_flowers102 and caltech_birds2011, on which Reed et al.
2016 trained: their captions (text_c10: one text file a picture, one caption a line) are found by the names of the
pictures. Other pictures are left out, and counted.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from mmjax.data import fingerprints, spec
from mmjax.data.files import caption_files, pictures, prepared, tree
from mmjax.data.files.faults import Fault, listed
from mmjax.data.fingerprints import Print
from mmjax.data.sets import catalogue
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("image", "caption", "captions", "label", "group", "index")


@dataclasses.dataclass(frozen=True)
class Captioned:
    """A picklable random-access source; made by `source`."""

    pictures: prepared.Source
    rows: tuple[int, ...]
    said: tuple[tuple[str, ...], ...]
    fields: tuple[str, ...]
    size: int
    fit: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """The names of the classes, where the data set names them."""
        return dict(getattr(self.pictures, "constants", {}))

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints: of the captions those of the user's files, of all else those of the catalogue, as chosen."""
        said = fingerprints.each(self.said)
        inner = fingerprints.of(self.pictures, [f for f in self.fields if f in ("image", "label", "group")])
        how = {"image": (self.size, self.fit)}
        chosen = {
            f: fingerprints.whole(p.content, self.rows, how.get(f), meanings=p.meanings) for f, p in inner.items()
        }
        return {**chosen, **{f: said for f in self.fields if f in ("caption", "captions")}}

    def __getitem__(self, index: int) -> dict[str, Any]:
        found: dict[str, Any] = dict(self.pictures[self.rows[int(index)]])
        if "image" in found:
            square = pictures.fitted(Image.fromarray(found["image"]), self.size, self.fit)
            found["image"] = np.asarray(square)
        found |= {"captions": self.said[int(index)], "caption": self.said[int(index)][0], "index": np.int32(index)}
        return {field: found[field] for field in self.fields}


def source(
    split: str,
    fields: Sequence[str] = FIELDS,
    *,
    of: str = "oxford_flowers102",
    captions: str = "",
    size: int = 224,
    fit: str = "crop",
    data_dir: str | None = None,
    download: bool = True,
) -> Captioned:
    """Opens a split of a catalogue data set; `group` is the name that it gives a picture.

    Args:
      split: one of the data set's, or a slice such as "train[90%:]": caltech_birds2011 has no validation split.
      fields: of FIELDS.
      of: the data set, whose examples must have a picture and its file's name.
      captions: a folder of text files with the names of the pictures, in it or below it, one caption a line; or a file
        that `captioned_images` reads as well.
      size: of the square pictures, in pixels.
      fit: how they become square: "crop", "squash" or "pad", see `captioned_images.source`.
      data_dir, download: see `catalogue.source`.

    Raises:
      UserError: no captions there, or none for a picture of this data set; and what `catalogue.source` raises.
    """
    spec.check(fields, FIELDS, "captioned_catalogue")
    if fit not in pictures.FITS:
        raise UserError(f"config.data.fit {fit!r} is unknown: choose {', '.join(pictures.FITS)}")
    known = _captions(captions)
    where: dict[str, Any] = {"name": of, "data_dir": data_dir, "download": download}
    named = catalogue.source(split, ("group",), **where)
    stems = [_stem(named[row]["group"]) for row in range(len(named))]
    rows = tuple(row for row, stem in enumerate(stems) if stem in known)
    if not rows:
        one, other = (next(iter(names), "none") for names in (known, stems))
        raise UserError(
            f"config.data.captions={captions!r} has no caption of a picture in split {split!r} of {of}: it names "
            f"pictures like {one!r}, and they are called {other!r}"
        )
    if len(rows) < len(stems):
        lost = len(stems) - len(rows)
        print(f"captioned_catalogue: {lost:,} of {len(stems):,} {split} pictures have no caption", file=sys.stderr)
    stored = tuple(field for field in fields if field in ("image", "label", "group")) or ("group",)
    opened = catalogue.source(split, stored, **where)
    said = tuple(known[stems[row]] for row in rows)
    return Captioned(opened, rows, said, tuple(fields), int(size), fit)


def _captions(path: str) -> dict[str, tuple[str, ...]]:
    """{a picture's name without folders and suffix: what is said about it}; a name of several pictures is left out."""
    place = pathlib.Path(path).expanduser()
    if path and place.is_file():
        said, faults = caption_files.read([place])
    elif path and place.is_dir():
        said, faults = _texts(place)
    else:
        raise UserError(f"config.data.captions={path!r} is neither a folder of text files nor a file with captions")
    found = collections.defaultdict[str, list[caption_files.Picture]](list)
    for picture in said:
        found[_stem(picture.name)].append(picture)
    for stem, several in list(found.items()):
        if not _one(several):
            faults += [Fault(picture.name, "of an ambiguous name") for picture in found.pop(stem)]
    for line in listed(faults):
        print(f"captioned_catalogue: left out {line}", file=sys.stderr)
    return {stem: tuple(line for one in several for line in one.captions) for stem, several in found.items()}


def _one(several: Sequence[caption_files.Picture]) -> bool:
    """Whether the names of pictures, which differ in their folders, can be one's: each is the end of the longest."""
    paths = (pathlib.PurePosixPath(picture.name) for picture in several)
    names = sorted(((*path.parts[:-1], path.stem) for path in paths), key=len)
    return all(names[-1][-len(name) :] == name for name in names)


def _texts(folder: pathlib.Path) -> tuple[list[caption_files.Picture], list[Fault]]:
    """What the text files below a folder say, a caption a line."""
    walked = tree.walk(folder, (".txt",))
    said, faults = [], list(walked.faults)
    for path in walked.files:
        captions: list[str] = []
        for number, line in enumerate((folder / path).read_bytes().splitlines(), start=1):
            try:
                captions += filter(None, [line.decode("utf-8-sig").strip()])
            except UnicodeDecodeError:
                faults.append(Fault(f"{path}, line {number}", "not UTF-8"))
        if captions:
            said.append(caption_files.Picture(path, tuple(captions), ""))
    return said, faults


def _stem(name: str) -> str:
    return pathlib.PurePosixPath(name).stem
