"""A folder of speakers, a sub-folder of recordings each: pairs of utterances of a speaker.

    source("train", ("speech", "speech_other"), path="~/voices")

TOP/SPEAKER/.../NAME.wav, as VoxCeleb is published, whose speakers are dealt into splits; or TOP/train/SPEAKER and
TOP/test/SPEAKER. No speaker is in two splits, unless it is utterances that are held out. Any format that libsndfile
reads will do and, with the extra `video`, any that FFmpeg does. What cannot be used is named and left out.
"""

from __future__ import annotations

import bisect
import collections
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
from mmjax.data.files import faults, media, sound_file, sound_folders
from mmjax.data.files.faults import Fault
from mmjax.data.fingerprints import Print
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("speech", "speech_other", "label", "group", "id", "index")
PADDED: dict[str, str] = {"speech": "speech_length", "speech_other": "speech_other_length"}
IDENTITY = {"file": "id"}
SPLITS = ("train", "validation", "test")
HELD_OUT = ("speakers", "utterances")
EDITION = 1  # raised whenever the same files would give other examples


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two utterances of a speaker, by their paths inside the folder."""

    speaker: str
    path: str
    other: str


@dataclasses.dataclass(frozen=True, eq=False)
class Speakers:
    """A random-access source of dicts; made by `source`, which explains the fields."""

    folder: pathlib.Path
    pairs: tuple[Pair, ...]
    speakers: tuple[str, ...]  # of all splits, in order
    fields: tuple[str, ...]
    samples: int
    piece: int  # samples of `speech`, at most as many

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """ "label_names": the speakers of all splits."""
        return {"label_names": spec.spelt(self.speakers)}

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints, of the files' sizes and not of every sample."""
        told = [
            (dataclasses.astuple(p), *((self.folder / f).stat().st_size for f in (p.path, p.other))) for p in self.pairs
        ]
        drawn = (self.piece,) if self.piece < self.samples else ()
        about, meanings = ("speakers", EDITION, self.samples, told, *drawn), {"label": self.speakers}
        return {f: fingerprints.whole(*about, f, meanings=meanings.get(f, ())) for f in self.fields if f != "index"}

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.example(index, None)

    def example(self, index: int, rng: np.random.Generator | None) -> dict[str, Any]:
        """Of `speech` the beginning, or with `rng` a stretch drawn anew."""
        pair = self.pairs[int(index)]
        example: dict[str, Any] = {"group": pair.speaker, "id": pair.path, "index": np.int32(index)}
        example["label"] = np.int32(bisect.bisect_left(self.speakers, pair.speaker))
        for field, path, most in (("speech", pair.path, self.piece), ("speech_other", pair.other, self.samples)):
            if field in self.fields:
                sound = self._read(path)
                later = len(sound) - most  # the last sample with which it can begin
                start = int(rng.integers(later + 1)) if rng is not None and later > 0 else 0
                sound = sound[start : start + most]
                example[field] = np.pad(sound, (0, most - len(sound)))
                example[PADDED[field]] = np.int32(len(sound))
        return {field: example[field] for field in self.fields}

    def _read(self, path: str) -> np.ndarray:
        try:
            return sound_file.read(self.folder / path)[0][: self.samples]
        except media.Unusable as error:
            raise UserError(f"{self.folder / path}: {error}") from None


class Stretches(Speakers):
    """Speakers of whose `speech` each visit of training hears another stretch."""

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """An example whose `speech` is drawn anew."""
        return self.example(index, rng)


def source(
    split: str,
    fields: Sequence[str] = FIELDS,
    *,
    path: str = "",
    held_out: str = "speakers",
    seconds: float = 6.0,
    piece: float = 0.0,
    shortest: float = 1.0,
    validation: float = 0.1,
    test: float = 0.1,
) -> Speakers:
    """Opens a split of the pairs.

    Args:
      split: "train", "validation" or "test", each of speakers of its own: by the folders train, validation and test
        where they are there; those that are not are dealt from the speakers of train by a hash of their names.
      fields: of FIELDS. `speech` and `speech_other` are padded with zeros and bring `<field>_length` along; `group` is
        the speaker, and `label` his number. Each utterance of a training speaker is paired with the one half of them
        all away; of the others' the first half with the second, so that what they are known by is never what they are
        found by.
      path: the folder.
      held_out: "speakers"; or "utterances": each speaker is in all splits, by a hash of the names of his utterances,
        each of which is paired with another one of the split. Folders of splits then say nothing.
      seconds: what is heard of a longer utterance, from its beginning.
      piece: seconds of `speech`: its beginning, and in training a stretch of those `seconds` that each visit draws
        anew; 0 = all of them.
      shortest: seconds; a shorter utterance is left out.
      validation, test: shares of the speakers, or of the utterances of each.

    Raises:
      UserError: no such folder, fewer than two utterances of every speaker, a speaker in two splits, an unknown split
        or field, an option that cannot be, or a split for which they are too few.
    """
    if split not in SPLITS:
        raise UserError(f"speakers has no split {split!r}; it has {', '.join(SPLITS)}")
    fields = tuple(dict.fromkeys((*fields, *(PADDED[f] for f in fields if f in PADDED))))
    spec.check(fields, (*FIELDS, *PADDED.values()), "speakers")
    if not 0 < shortest <= seconds:
        raise UserError(
            f"config.data.shortest={shortest}: it must be above 0 and at most config.data.seconds={seconds}"
        )
    if not 0 <= piece <= seconds:
        raise UserError(f"config.data.piece={piece}: it must be at least 0 and at most config.data.seconds={seconds}")
    if held_out not in HELD_OUT:
        raise UserError(f"config.data.held_out={held_out!r}: choose one of {', '.join(HELD_OUT)}")
    if min(validation, test) < 0 or validation + test >= 1:
        raise UserError("config.data: validation and test must be at least 0, and below 1 together")
    folder = pathlib.Path(path).expanduser()
    if not path or not folder.is_dir():
        raise UserError(f"config.data.path={path!r}: no such folder; give one with a sub-folder for each speaker")
    said, part_of = _found(folder, shortest, held_out == "utterances")
    names, shares = tuple(sorted(said)), {"test": test, "validation": validation}
    if held_out == "utterances":
        own = {name: _dealt(dict.fromkeys(said[name], ""), shares) for name in names}
        here = {name: [path for path in said[name] if own[name][path] == split] for name in names}
        pairs = [pair for name in names if len(here[name]) > 1 for pair in _pairs(name, here[name], all_of_them=True)]
    else:
        dealt = _dealt(part_of, shares)
        here = {name: said[name] for name in names if dealt[name] == split}
        pairs = [pair for name in here for pair in _pairs(name, here[name], all_of_them=split == "train")]
    if not pairs:
        raise UserError(f"config.data.path={path!r}: its {len(names):,} speakers say too little for a split {split!r}")
    samples, short = (round(s * media.SAMPLE_RATE) for s in (seconds, piece or seconds))
    # Of what draws nothing is stored, as the engine does with what is heard in `speech_other`.
    kind = Stretches if short < samples and "speech" in fields else Speakers
    return kind(folder, tuple(pairs), names, fields, samples, short)


@functools.lru_cache(maxsize=4)
def _found(folder: pathlib.Path, shortest: float, anywhere: bool) -> tuple[dict[str, list[str]], dict[str, str]]:
    """{speaker: usable utterances, at least two}, and {speaker: split}, "" where the folder has none, or where a
    speaker may be `anywhere`."""
    layout = sound_folders.read(folder)
    said: dict[str, list[str]] = collections.defaultdict(list)
    part_of: dict[str, str] = {}
    wrong = list(layout.faults)
    for clip in layout.clips:
        name, part = layout.names[clip.labels[0]], "" if anywhere or layout.own != "splits" else clip.part
        if part_of.setdefault(name, part) != part:
            raise UserError(f"config.data.path={str(folder)!r}: speaker {name} is in {part_of[name]} and in {part}")
        fault = _fault(folder / clip.path, shortest)
        if fault:
            wrong.append(Fault(clip.path, fault))
        else:
            said[name].append(clip.path)
    wrong += [Fault(name, "speakers with fewer than two utterances") for name in part_of if len(said[name]) < 2]
    for line in faults.listed(wrong):
        print(f"speakers: {line} left out", file=sys.stderr)
    usable = {name: sorted(paths) for name, paths in said.items() if len(paths) > 1}
    if not usable:
        raise UserError(f"config.data.path={str(folder)!r} has no speaker with two utterances")
    return usable, {name: part_of[name] for name in usable}


def _fault(file: pathlib.Path, shortest: float) -> str:
    if not file.name.lower().endswith(sound_file.SNDFILE):
        return ""  # FFmpeg's: read when it is wanted
    try:
        about = soundfile.info(file)
    except soundfile.SoundFileError:
        return "unreadable"
    return f"shorter than {shortest:g} s" if about.frames < shortest * about.samplerate else ""


def _dealt(part_of: Mapping[str, str], shares: Mapping[str, float]) -> dict[str, str]:
    """The split of each name: the folder's; those that no folder has are dealt by a hash from who trains."""
    own = set(part_of.values())
    free = [name for name, part in part_of.items() if part in ("", "train")]
    free.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
    dealt = {name: part or "train" for name, part in part_of.items()}
    begin = 0
    for split, share in shares.items():
        if split not in own:
            count = round(share * len(free)) or int(share > 0)
            dealt |= dict.fromkeys(free[begin : begin + count], split)
            begin += count
    return dealt


def _pairs(speaker: str, paths: Sequence[str], all_of_them: bool) -> list[Pair]:
    """Each utterance with that half of all away; or those of the first half only."""
    half = len(paths) // 2
    count = len(paths) if all_of_them else half
    return [Pair(speaker, paths[i], paths[(i + half) % len(paths)]) for i in range(count)]
