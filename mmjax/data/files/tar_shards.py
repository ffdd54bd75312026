"""Shards of webdataset: tar files of samples, whose members are x.jpg, x.txt, x.json; read without unpacking them."""

from __future__ import annotations

import dataclasses
import pathlib
import tarfile
from collections.abc import Iterator
from typing import IO

from mmjax.data.files import held_pictures, packing, samples, tree
from mmjax.data.files.columns import Columns
from mmjax.data.files.faults import Fault
from mmjax.data.files.held_pictures import Held

SUFFIXES = (*packing.TARS, *(f".tar{suffix}" for suffix in packing.SUFFIXES))
LONGEST = 1 << 24  # bytes of a caption or a JSON file: more is none


@dataclasses.dataclass
class _Sample:
    """The pictures and the texts of one key, by their suffixes."""

    pictures: dict[str, tuple[str, Held]]
    texts: dict[str, bytes]


def read(file: pathlib.Path, columns: Columns, faults: list[Fault]) -> Iterator[tuple[str, list[str], str, Held]]:
    """(name, captions, split, place) of each captioned picture, in the order of the shard.

    The members of a sample need not follow each other. What is damaged costs itself and, in a tar that is broken off,
    what would come behind it; both become faults.
    """
    found: dict[str, _Sample] = {}
    own: list[Fault] = []
    try:
        with held_pictures.unpacked(str(file)) as stream:
            _members(file, stream, found, columns, own)
    except packing.damage() as error:
        own.append(Fault(file.name, "archive that is damaged", getattr(error, "strerror", None) or str(error)))
    faults += own
    if not any(sample.pictures for sample in found.values()):
        faults += [] if own else [Fault(file.name, "archive without pictures")]
        return
    for key, sample in found.items():
        suffix = samples.picture_suffix(list(sample.pictures), columns)
        if not suffix:  # nor one of a kind that is read
            faults += [Fault(f"{file.name}/{key}", samples.ALONE)] if sample.texts else []
            continue
        name, held = sample.pictures.pop(suffix)
        place = f"{file.name}/{name}"
        faults += [Fault(f"{file.name}/{one}", samples.BESIDE_ANOTHER, name) for one, _ in sample.pictures.values()]
        captions, split = samples.said(place, sample.texts, columns, faults)
        if captions:
            yield place, captions, split, held


def _members(
    file: pathlib.Path, stream: IO[bytes], found: dict[str, _Sample], columns: Columns, faults: list[Fault]
) -> None:
    """Puts the members of a tar into `found`, by the keys of their samples."""
    whole = packing.opener(file) is not None  # then the bytes pass by anyway
    size = 0 if whole else file.stat().st_size
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # it would keep them all, and nobody asks for them again
            name = tree.printable(member.name).removeprefix("./")
            key, suffix = samples.key(name)
            if member.isdir() or packing.is_hidden(name):
                continue
            sample = found.setdefault(key, _Sample({}, {}))
            is_picture = bool(samples.picture_suffix([suffix], columns))
            if not is_picture and not samples.is_said(suffix, columns):
                continue
            place = f"{file.name}/{name}"
            if not member.isreg() or member.issparse():
                faults.append(Fault(place, "link in an archive"))
            elif suffix in sample.pictures or suffix in sample.texts:
                faults.append(Fault(place, "of a name that is there twice"))
            elif not whole and member.offset_data + member.size > size:
                faults.append(Fault(place, "cut short"))
            elif is_picture:
                digest = ""
                if whole:
                    stream.seek(member.offset_data)
                    digest = held_pictures.digest(stream.read(member.size))
                sample.pictures[suffix] = name, Held(str(file), member.offset_data, member.size, "", digest)
            elif member.size <= LONGEST:
                stream.seek(member.offset_data)
                sample.texts[suffix] = stream.read(member.size)
        wrong = packing.wrong_end(stream, tar.offset)
        if wrong:
            faults.append(Fault(file.name, "archive that is damaged", wrong))
