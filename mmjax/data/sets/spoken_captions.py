"""Pictures with spoken captions, as SpokenCOCO, Places and Flickr8k's audio captions are published.

    source("train", ("image", "speech"), path="~/SpokenCOCO")

The layouts are those of `files.spoken_tables`. An example is one spoken caption; beside it, where there is one, the
same sentence by another speaker of the split, and another sentence by the same speaker: all that ABX needs, and no
transcript (captions are the same whose texts are, or, without texts, whose sounds are). What cannot be used is named,
counted and left out.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import soundfile

from mmjax.data import fingerprints, spec
from mmjax.data.files import faults, media, pictures, sound_file, spoken_tables
from mmjax.data.files.faults import Fault
from mmjax.data.files.spoken_tables import Spoken
from mmjax.data.fingerprints import Print
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = (
    *("image", "speech", "caption", "captions", "group", "id", "index"),
    *("new_speaker", "speech_same", "speech_other"),
)
SOUNDS = ("speech", "speech_same", "speech_other")
PADDED: dict[str, str] = {field: f"{field}_length" for field in SOUNDS}
IDENTITY = {"file": "id"}
SPLITS = ("train", "validation", "test")
EDITION = 2  # raised whenever the same files would give other examples


@dataclasses.dataclass(frozen=True, eq=False)
class SpokenCaptions:
    """A random-access source of dicts; made by `source`, which explains the fields.

    Attributes:
      captions: of the split.
      same, other: for each caption the place of one with its text by another speaker, and of one of its speaker with
        another text; -1 for none.
      said: all texts of each picture, whoever speaks them.
      heard: the speakers of the training split.
      named: of the fingerprints.
    """

    captions: tuple[Spoken, ...]
    same: tuple[int, ...]
    other: tuple[int, ...]
    said: Mapping[str, tuple[str, ...]]
    heard: frozenset[str]
    fields: tuple[str, ...]
    size: int
    fit: str
    longest: int
    named: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints, of the files' sizes and not of every sample."""
        told = [(c.picture, c.sound, c.text, pathlib.Path(c.sound).stat().st_size) for c in self.captions]
        about = ("spoken_captions", EDITION, *self.named, self.size, self.fit, self.longest, told)
        found = {f: fingerprints.whole(*about, f) for f in self.fields if f != "index"}
        if "captions" in found:  # what else is said of a picture, by left-out voices, too: of this field alone
            found["captions"] = fingerprints.whole(*about, [self.said[c.picture] for c in self.captions], "captions")
        return found

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = int(index)
        own = self.captions[index]
        sounds = {"speech": index, "speech_same": self.same[index], "speech_other": self.other[index]}
        made: dict[str, Any] = {
            "image": lambda: self._picture(own),
            "caption": lambda: own.text,
            "captions": lambda: self.said[own.picture],
            "group": lambda: own.picture,
            "id": lambda: own.sound,
            "index": lambda: np.int32(index),
            "new_speaker": lambda: np.array(own.speaker not in self.heard),
        }
        out = {field: made[field]() for field in self.fields if field in made}
        for field, at in sounds.items():
            if field in self.fields:
                sound = self._speech(self.captions[at]) if at >= 0 else np.zeros(0, np.int16)
                out |= {field: np.pad(sound, (0, self.longest - len(sound))), PADDED[field]: np.int32(len(sound))}
        return out

    def _picture(self, caption: Spoken) -> np.ndarray:
        found = pictures.square("", self.size, self.fit, caption.picture)
        if isinstance(found, Fault):
            raise UserError(f"{found.path}: {found.kind} {found.detail}")
        return pictures.decode(found)

    def _speech(self, caption: Spoken) -> np.ndarray:
        try:
            sound, _ = sound_file.read(pathlib.Path(caption.sound))
        except media.Unusable as error:
            raise UserError(f"{caption.sound}: {error}") from None
        return sound[: self.longest]


def source(
    split: str,
    fields: Sequence[str] = FIELDS,
    *,
    path: str = "",
    size: int = 224,
    fit: str = "crop",
    seconds: float = 8.0,
    held_out: float = 0.1,
    voices: Sequence[str] = (),
) -> SpokenCaptions:
    """Opens a split of the spoken captions.

    Args:
      split: "train", "validation" or "test", as the files say; of captions whose split they do not say, and for one
        that no caption is of, a share is held out by a hash. Captions of one picture or with one text stay together,
        so that training knows no held-out picture and no held-out sentence.
      fields: of FIELDS. `captions` are all texts of a picture. Speech is padded with zeros and brings `<field>_length`
        along, 0 where there is none.
      path: the folder.
      size: of the square pictures, in pixels.
      fit: "crop", "squash" or "pad", as of captioned_images.
      seconds: a longer caption is left out.
      held_out: the share of each held-out split that the files do not name.
      voices: speakers whom training never hears; in held-out splits their captions are marked by `new_speaker`.

    Raises:
      UserError: no such folder or layout, no usable caption, an unknown split or field, or an option that cannot be.
    """
    if split not in SPLITS:
        raise UserError(f"spoken_captions has no split {split!r}; it has {', '.join(SPLITS)}")
    if fit not in pictures.FITS:
        raise UserError(f"config.data.fit {fit!r} is unknown: choose {', '.join(pictures.FITS)}")
    if size < 1 or seconds <= 0 or not 0 < held_out < 0.5:
        raise UserError("config.data: size and seconds must be above 0, held_out above 0 and below 0.5")
    fields = tuple(dict.fromkeys((*fields, *(PADDED[f] for f in fields if f in PADDED))))
    spec.check(fields, (*FIELDS, *PADDED.values()), "spoken_captions")
    new = frozenset((voices,) if isinstance(voices, str) else voices) - {""}
    parts = _parts(path, seconds, held_out)
    trained = [c for c in parts.get("train", ()) if c.speaker not in new]
    chosen = trained if split == "train" else parts.get(split, [])
    if not chosen:
        raise UserError(f"config.data.path={path!r} has no usable caption of split {split!r}")
    same, other = _partners(chosen)
    heard = frozenset(c.speaker for c in trained)
    said: dict[str, tuple[str, ...]] = {}
    for c in (caption for captions in parts.values() for caption in captions):
        said[c.picture] = tuple(dict.fromkeys((*said.get(c.picture, ()), *([c.text] if c.text else ()))))
    longest = round(seconds * media.SAMPLE_RATE)
    named = (split, *sorted(new))
    return SpokenCaptions(tuple(chosen), same, other, said, heard, fields, size, fit, longest, named)


@functools.lru_cache(maxsize=4)
def _parts(path: str, seconds: float, held_out: float) -> dict[str, list[Spoken]]:
    """{split: its usable captions}; what is left out is told once."""
    folder = pathlib.Path(path).expanduser().resolve() if path else None
    if folder is None or not folder.is_dir():
        raise UserError(f"config.data.path={path!r} is not a folder: it must be one of spoken captions")
    found, wrong = spoken_tables.find(folder)
    usable = []
    for caption in found:
        fault = _fault(pathlib.Path(caption.sound), seconds)
        if fault:
            wrong.append(Fault(caption.sound, fault))
        else:
            usable.append(caption)
    for line in faults.listed(faults.by_path(wrong)):
        print(f"spoken_captions: {line} left out", file=sys.stderr)
    if not usable:
        raise UserError(f"{path!r} has no usable spoken caption: {'; '.join(faults.listed(wrong))}")
    named = {caption.split for caption in usable}
    parts: dict[str, list[Spoken]] = {}
    for caption, family in zip(usable, _families(usable), strict=True):
        split = caption.split or _drawn(family, SPLITS[1:], held_out)
        if split == "train":  # held-out splits that no file names are taken from it
            split = _drawn(family, tuple(s for s in SPLITS[1:] if s not in named), held_out)
        parts.setdefault(split, []).append(caption)
    return parts


def _families(captions: Sequence[Spoken]) -> list[str]:
    """For each caption the name of its family, which captions of one picture or with one text have in common: the
    first of its texts, or, of a picture without any, its file's name."""
    above: dict[tuple[int, str], tuple[int, str]] = {}  # texts, which are 0, before pictures

    def first(one: tuple[int, str]) -> tuple[int, str]:
        while (next_one := above.setdefault(one, one)) != one:
            above[one] = one = above[next_one]
        return one

    for caption in captions:
        if caption.text:
            low, high = sorted((first((0, caption.text)), first((1, caption.picture))))
            above[high] = low
    found = [first((1, caption.picture)) for caption in captions]
    return [pathlib.Path(name).name if is_picture else name for is_picture, name in found]


def _drawn(family: str, splits: tuple[str, ...], share: float) -> str:
    """One of the splits, each with its share, or "train"."""
    place = int.from_bytes(hashlib.sha256(family.encode()).digest()[:8]) / 2**64
    return next((split for n, split in enumerate(splits, 1) if place < n * share), "train")


def _fault(file: pathlib.Path, seconds: float) -> str:
    try:
        about = soundfile.info(file)
    except soundfile.SoundFileError:
        return "unreadable sound"
    if not about.frames:
        return "empty sound"
    return f"sound longer than {seconds:g} s" if about.frames > seconds * about.samplerate else ""


def _partners(captions: Sequence[Spoken]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """For each caption the next one around with its text by another speaker, and of its speaker with another text."""
    texts = [caption.text or caption.sound for caption in captions]
    speakers = [caption.speaker for caption in captions]
    return _around(texts, speakers), _around(speakers, texts)


def _around(alike: Sequence[str], unlike: Sequence[str]) -> tuple[int, ...]:
    """For each place the next one around with the same of `alike` and another of `unlike`; "" is like nothing."""
    groups: dict[str, list[int]] = {}
    for n, name in enumerate(alike):
        groups.setdefault(name, []).append(n)
    found = [-1] * len(alike)
    for name, group in groups.items():
        for at, n in enumerate(group if name else ()):
            ahead = (group[(at + k) % len(group)] for k in range(1, len(group)))
            found[n] = next((m for m in ahead if unlike[m] != unlike[n]), -1)
    return tuple(found)
