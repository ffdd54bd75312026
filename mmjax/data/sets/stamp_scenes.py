"""Tux Paint's stamps put together: two to four real pictures on a painting, and the sound of one or two of them.

Pictures and sound effects come from Debian's package tuxpaint-stamps-default (GPL-2, nothing of it is copied here) or a
folder laid out like it, see `tux_stamps`; backgrounds and ambiences from the drawn world. `[i]` is a function of (seed,
split, i) and the files. Every stamp that is shown has a sound effect, so that nothing but the sound tells which of them
is heard; a caption is in one split only, on the side where `tux_stamps` has it.

A folder of Qt bundles (.rcc) that hold pictures and sounds of one name, such as Debian's gcompris-qt-data, is a further
test: photographs that nobody trained on, laid on the paintings as they are, with what they sound like.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mmjax.data import fingerprints, spec
from mmjax.data.files import child_processes, prepared, stamp_files
from mmjax.data.files.faults import Fault
from mmjax.data.files.stamp_files import Stamp
from mmjax.data.fingerprints import Print
from mmjax.data.scenes import ambience, backgrounds, drawing, names
from mmjax.data.scenes.timbres import SAMPLE_RATE
from mmjax.data.sets import tux_stamps
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("image", "waveform", "objects", "boxes", "areas", "sounding", "label", "index")
SPLITS: dict[str, int] = {"train": 100_000, "validation": 500, "test": 2_000}
EDITION = 1  # raised whenever the same files and options would give other examples
MOST = 4
SIDES = (0.28, 0.5)  # the longer side of a stamp, in shares of the picture's side
VISIBLE = 0.7  # share of each stamp that those in front of it leave visible
TRIES = 200
AMBIENCE_DB = (-40.0, -30.0)  # as in the drawn world
PAUSE = (0.1, 0.8)  # seconds before and after each repetition of a sound
SPREAD_DB = 3.0  # louder or softer than the next one
WITHOUT = ("symbols",)  # whose sounds are the spoken names of letters and numbers
RULES = ("some", "one", "none")
Rng = np.random.Generator


@dataclasses.dataclass(frozen=True)
class Named:
    """A stamp and what it is called."""

    caption: str
    stamp: Stamp


@dataclasses.dataclass(frozen=True)
class StampScenes:
    """A random-access source of dicts; made by `source`, which explains the fields."""

    split: str
    fields: tuple[str, ...]
    stamps: tuple[Named, ...]
    examples: int
    seed: int
    objects: tuple[int, int]
    sounding: str
    image_size: int
    seconds: float

    def __len__(self) -> int:
        return self.examples

    @functools.cached_property
    def captions(self) -> tuple[str, ...]:
        """What `objects` and `label` number."""
        return tuple(sorted({named.caption for named in self.stamps}))

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """The captions, as "objects_names" and "label_names"; "sounding_chance" as in the drawn world."""
        found = {f"{field}_names": spec.spelt(self.captions) for field in ("objects", "label") if field in self.fields}
        if "sounding" in self.fields:
            counts = range(self.objects[0], self.objects[1] + 1)
            heard = {"some": 1.5, "one": 1.0, "none": 0.0}[self.sounding]
            found["sounding_chance"] = np.array(np.mean([heard / n for n in counts]), np.float32)
        return found

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints: of the stamps that were read, and of what is made of them."""
        content = fingerprints.digest([[n.caption, *n.stamp] for n in self.stamps])
        sizes = (self.objects, self.sounding, self.image_size, self.seconds)
        about = ("stamp_scenes", EDITION, self.split, self.seed, self.examples, sizes, int(content))
        return {f: fingerprints.whole(*about, f, meanings=self._meanings(f)) for f in self.fields if f != "index"}

    def _meanings(self, field: str) -> tuple[str, ...]:
        return self.captions if field in ("objects", "label") else ()

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.examples:
            raise IndexError(f"index {index} of split {self.split!r} with {self.examples} examples")
        streams = np.random.SeedSequence((self.seed, names.SPLITS.index(self.split), int(index))).spawn(3)
        what, seen, heard = (np.random.default_rng(stream) for stream in streams)
        scene = int(what.integers(len(names.SCENES)))
        chosen = self._choose(what)
        sounding = self._sounding(what, len(chosen))
        patches = placed(what, [named.stamp.picture for named in chosen], self.image_size)
        made: dict[str, Callable[[], Any]] = {
            "image": lambda: self._picture(seen, scene, patches),
            "waveform": lambda: self._sound(heard, scene, [n.stamp.waveform for n, s in zip(chosen, sounding) if s]),
            "objects": lambda: _filled([self.captions.index(n.caption) for n in chosen], -1, np.int32),
            "boxes": lambda: _filled(drawing.measure(patches, self.image_size)[0], 0, np.float32),
            "areas": lambda: _filled(drawing.measure(patches, self.image_size)[1], 0, np.float32),
            "sounding": lambda: _filled(sounding, False, np.bool_),
            "label": lambda: np.int32(self._loudest(chosen, sounding)),
            "index": lambda: np.int32(index),
        }
        return {field: made[field]() for field in self.fields}

    def _choose(self, rng: Rng) -> list[Named]:
        """Stamps of different captions, front to back."""
        count = int(rng.integers(self.objects[0], self.objects[1] + 1))
        captions = rng.choice(len(self.captions), min(count, len(self.captions)), replace=False)
        found = []
        for number in captions:
            alike = [named for named in self.stamps if named.caption == self.captions[number]]
            found.append(alike[rng.integers(len(alike))])
        return found

    def _sounding(self, rng: Rng, count: int) -> np.ndarray:
        most = {"some": int(rng.integers(1, 3)), "one": 1, "none": 0}[self.sounding]
        sounding = np.zeros(count, bool)
        sounding[rng.permutation(count)[: min(most, count)]] = True
        return sounding

    def _loudest(self, chosen: Sequence[Named], sounding: np.ndarray) -> int:
        return self.captions.index(chosen[int(np.argmax(sounding))].caption) if sounding.any() else -1

    def _picture(self, rng: Rng, scene: int, patches: Sequence[drawing.Patch]) -> np.ndarray:
        image = backgrounds.window(rng, scene, self.split, self.image_size)
        for patch, x, y in reversed(patches):
            image.paste(patch, (x, y), patch)
        return np.array(image)

    def _sound(self, rng: Rng, scene: int, sounds: Sequence[np.ndarray]) -> np.ndarray:
        out = np.zeros(int(self.seconds * SAMPLE_RATE), np.float32)
        ambience.add(out, rng, scene, 10 ** (rng.uniform(*AMBIENCE_DB) / 20))
        for sound in sounds:
            repeat(out, rng, sound)
        peak = float(np.abs(out).max())
        return np.rint(out * (32767 * min(1.0, 0.95 / max(peak, 1e-6)))).astype(np.int16)


def placed(rng: Rng, stamps: Sequence[np.ndarray], side: int) -> list[drawing.Patch]:
    """Stamps scaled and put into a picture, front to back: whole inside it, most of each to be seen.

    Of `TRIES` layouts the first in which VISIBLE of each is seen; else the one that shows most of what is hidden most.
    """
    best, most = None, -1.0
    for _ in range(TRIES):
        patches = [_put(rng, stamp, side) for stamp in stamps]
        alone = [int(np.count_nonzero(drawing.mask(patch, side))) for patch in patches]
        areas = drawing.measure(patches, side)[1] * side * side
        least = float(np.min(areas / np.maximum(alone, 1)))
        if least > most:
            best, most = patches, least
        if most >= VISIBLE:
            break
    assert best is not None
    return best


def _put(rng: Rng, stamp: np.ndarray, side: int) -> drawing.Patch:
    longer = rng.uniform(*SIDES) * side
    scale = longer / max(stamp.shape[:2])
    width, height = (max(2, round(n * scale)) for n in (stamp.shape[1], stamp.shape[0]))
    patch = Image.fromarray(stamp).resize((width, height), Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        patch = patch.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return patch, int(rng.integers(0, side - width + 1)), int(rng.integers(0, side - height + 1))


def repeat(out: np.ndarray, rng: Rng, sound: np.ndarray) -> None:
    """Adds a sound again and again with pauses, from somewhere in it; one that is longer than the clip is cut."""
    gain = np.float32(10 ** (rng.uniform(-SPREAD_DB, SPREAD_DB) / 20))
    at = -int(rng.uniform(0, 0.5) * len(sound))
    while at < len(out):
        first, last = max(at, 0), min(at + len(sound), len(out))
        out[first:last] += gain * sound[first - at : last - at]
        at += len(sound) + int(rng.uniform(*PAUSE) * SAMPLE_RATE)


def _filled(values: Any, empty: Any, dtype: Any) -> np.ndarray:
    values = np.asarray(values, dtype)
    full = np.full((MOST, *values.shape[1:]), empty, dtype)
    full[: len(values)] = values
    return full


def source(
    split: str,
    fields: Sequence[str] = FIELDS,
    *,
    path: str = tux_stamps.PATH,
    seed: int = 0,
    examples: int | None = None,
    objects: Sequence[int] = (2, 4),
    sounding: str = "some",
    image_size: int = 112,
    seconds: float = 6.0,
    validation: float = 0.1,
    test: float = 0.2,
    without: tuple[str, ...] = WITHOUT,
) -> StampScenes:
    """The data set as a random-access source.

    Args:
      split: "train", "validation" or "test".
      fields: of FIELDS. `objects` are numbers of captions, front to back, and `label` that of the first that sounds, -1
        for none; `boxes` are of the whole stamps, `areas` of what is seen of them.
      path: the stamps' folder, or one of Qt bundles.
      seed: another one composes other scenes of the same stamps.
      examples: length of the split; by default 100,000 for training, 500 for validation, 2,000 for the test.
      objects: fewest and most stamps in a picture, from 1 to 4.
      sounding: how many sound: "some", one or two, as often; "one"; or "none", the ambience alone.
      image_size: side of the square picture in pixels, 32 to 512.
      seconds: length of `waveform`, 1 to 60.
      validation: share of the captions held out for validation.
      test: share of the captions held out for the test.
      without: top folders that are left out.

    Raises:
      UserError: the stamps are missing, too few can be used, or an option is wrong.
    """
    if split not in SPLITS:
        raise UserError(f"stamp_scenes has no split {split!r}; it has {', '.join(SPLITS)}")
    fields = tuple(dict.fromkeys(fields))
    spec.check(fields, FIELDS, "stamp_scenes")
    few, many = _range("objects", objects)
    if sounding not in RULES:
        raise UserError(f"config.data.sounding={sounding!r}: it must be one of {', '.join(RULES)}")
    if not (32 <= image_size <= 512 and 1 <= seconds <= 60 and (examples is None or examples >= 1) and seed >= 0):
        raise UserError(
            f"config.data needs image_size 32 to 512, seconds 1 to 60, examples and seed from 1 and 0; it has "
            f"image_size={image_size}, seconds={seconds}, examples={examples}, seed={seed}"
        )
    prepared.assign_splits((), validation, test)  # checks the shares before any work
    folder = tux_stamps.folder_of(path)
    if any(folder.glob("*.rcc")) and split != "test":
        raise UserError(f"config.data.path={path!r} has bundles of pictures and sounds, which are a test alone")
    stamps = _stamps(str(folder), tuple(without), validation, test)[split]
    if len({named.caption for named in stamps}) < many:
        raise UserError(
            f"config.data.path={path!r} has {len(stamps)} stamps with a sound in split {split!r}, and objects={few},"
            f"{many} asks for more: give a larger share to it, or fewer objects"
        )
    length = SPLITS[split] if examples is None else int(examples)
    return StampScenes(split, fields, stamps, length, int(seed), (few, many), sounding, int(image_size), float(seconds))


def _range(name: str, given: Any) -> tuple[int, int]:
    numbers = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else ()
    if len(numbers) != 2 or not all(isinstance(n, int) for n in numbers) or not 1 <= numbers[0] <= numbers[1] <= MOST:
        raise UserError(f"config.data.{name}={given!r}: it must be two numbers from 1 to {MOST}, fewest and most")
    return numbers[0], numbers[1]


@functools.lru_cache(maxsize=2)
def _stamps(folder: str, without: tuple[str, ...], validation: float, test: float) -> dict[str, tuple[Named, ...]]:
    """The stamps of each split, in order of their names; says how many cannot be used."""
    bundles = sorted(file.name for file in pathlib.Path(folder).glob("*.rcc"))
    if bundles:
        return _bundled(folder, bundles)
    found, skipped = tux_stamps.find(pathlib.Path(folder))
    groups = tux_stamps.grouped(stamp.caption for stamp in found)
    splits = prepared.assign_splits(groups.values(), validation, test)
    wanted = {
        stamp.name: groups[stamp.caption]
        for stamp in found
        if stamp.name.split("/")[0] not in without and pathlib.Path(folder, f"{stamp.name}.ogg").exists()
    }
    work = functools.partial(stamp_files.read, folder, 256)  # half of the largest picture
    stamps: dict[str, list[tuple[str, Named]]] = {split: [] for split in SPLITS}
    for name, read in child_processes.each(work, wanted, len(os.sched_getaffinity(0))):
        if isinstance(read, Fault | child_processes.Lost):
            skipped[read.kind] += 1
        else:
            stamps[splits[wanted[name]]].append((name, Named(wanted[name], Stamp(*read))))
    counts = ", ".join(f"{len(stamps[split])} {split}" for split in SPLITS)
    print(f"stamp_scenes: stamps with a sound: {counts}, no caption in two splits", file=sys.stderr)
    _tell(skipped)
    return {split: tuple(named for _, named in sorted(own, key=lambda one: one[0])) for split, own in stamps.items()}


def _bundled(folder: str, bundles: Sequence[str]) -> dict[str, tuple[Named, ...]]:
    """The pictures with a sound of all bundles, which are a test; each is called by its file's name."""
    skipped: collections.Counter[str] = collections.Counter()
    work: Callable[[str], Any] = functools.partial(stamp_files.pairs, folder)
    names: list[str] = []
    with child_processes.Children(len(os.sched_getaffinity(0))) as children:
        for _, found in children.each(work, bundles):
            if isinstance(found, Fault | child_processes.Lost):
                skipped[found.kind] += 1
            else:
                names += found
        work = functools.partial(stamp_files.read_pair, folder, 256)
        stamps: dict[str, Named] = {}
        for name, read in children.each(work, sorted(names)):
            if isinstance(read, Fault | child_processes.Lost):
                skipped[read.kind] += 1
            else:
                stamps[name] = Named(name.rsplit("/", 1)[1], Stamp(*read))
    print(f"stamp_scenes: {len(stamps)} pictures with a sound of {len(bundles)} bundles, for a test", file=sys.stderr)
    _tell(skipped)
    return {**dict.fromkeys(SPLITS, ()), "test": tuple(stamps[name] for name in sorted(stamps))}


def _tell(skipped: Mapping[str, int]) -> None:
    if any(skipped.values()):
        left = ", ".join(f"{count} {kind}" for kind, count in sorted(skipped.items()) if count)
        print(f"stamp_scenes: left out {left}", file=sys.stderr)
