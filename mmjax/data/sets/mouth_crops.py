"""A folder of filmed speakers, cut out already: mouths in grey, faces and speech of the same names, as for VisualVoice.

    source("train", ("mouth_frames", "face", "speech"), path="~/voxceleb2", mouths="mouth_roi", voices="audio")

SPEAKER/RECORDING/CLIP.npz, the pictures of a mouth, 25 a second, uint8 [f h w] (or .npy, or .h5 with the extra `hdf5`);
CLIP.wav, or what else libsndfile reads; CLIP.jpg, or another picture, of the face: `face.jpg` of the folder where a
clip has none. They lie side by side, or under the same names in folders of their own. Clips of one folder are of one
speaker; all folders of a speaker are on one side of a split. What cannot be used is counted, named and left out.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import posixpath
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import soundfile
import tqdm

from mmjax.data import caches, fingerprints, spec
from mmjax.data.files import faults, media, mouth_files, pictures, prepared, sound_file, tree
from mmjax.data.files.faults import Fault
from mmjax.data.fingerprints import Print
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = (
    *("mouth_frames", "mouth_frames_other", "face", "speech", "speech_other", "label", "group", "id", "index"),
)
PADDED = {"speech": "speech_length", "speech_other": "speech_other_length"}
IDENTITY = {"file": "id"}
FACE = "face"  # the picture of a folder
RATE = 25  # pictures of a mouth a second
PICTURE = media.SAMPLE_RATE // RATE  # samples for which each is shown
SPLITS = ("train", "validation", "test")
EDITION = 1  # raised whenever the same files would give other examples


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip: its name, its files, and how many pictures long it is."""

    name: str
    mouth: str
    voice: str
    face: str
    pictures: int

    @property
    def group(self) -> str:
        return posixpath.dirname(self.name) or self.name

    @property
    def speaker(self) -> str:
        return self.name.partition("/")[0]


@dataclasses.dataclass(frozen=True, eq=False)
class MouthCrops:
    """A random-access source of dicts; made by `source`, which explains the fields.

    Attributes:
      folder: that the files' names are of.
      clips: of the split.
      speakers: of all splits, in order.
      fields: of the examples.
      seconds, mouth, size: as `source` has them.
      named: what else the examples depend on, for their fingerprints.
    """

    folder: pathlib.Path
    clips: tuple[Clip, ...]
    speakers: tuple[str, ...]
    fields: tuple[str, ...]
    seconds: float
    mouth: int
    size: int
    named: tuple[Any, ...]

    def __post_init__(self) -> None:
        places: dict[str, list[int]] = {}
        for place, clip in enumerate(self.clips):
            places.setdefault(clip.group, []).append(place)
        object.__setattr__(self, "_places", places)

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """ "label_names": the speakers of all splits."""
        return {"label_names": spec.spelt(self.speakers)}

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints, of the files' sizes and not of every sample."""
        told = [(c.name, c.pictures, (self.folder / c.voice).stat().st_size) for c in self.clips]
        about = ("mouth_crops", EDITION, *self.named, self.seconds, self.mouth, self.size, told)
        meanings = {"label": self.speakers}
        return {f: fingerprints.whole(*about, f, meanings=meanings.get(f, ())) for f in self.fields if f != "index"}

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The beginning of a clip and of the next one of its folder."""
        return self._example(int(index), None)

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """A piece of a clip and one of another clip of its folder, drawn anew; of the same one where there is no other,
        as the paper's code may draw them."""
        return self._example(int(index), rng)

    def _example(self, index: int, rng: np.random.Generator | None) -> dict[str, Any]:
        clip = self.clips[index]
        made: dict[str, Any] = {"label": np.int32(self.speakers.index(clip.speaker)), "group": clip.group}
        made |= {"id": clip.name, "index": np.int32(index)}
        made |= self._piece(clip, "", rng)
        if any("_other" in field for field in self.fields):
            same: list[int] = self._places[clip.group]  # type: ignore[attr-defined]
            own = same.index(index)
            step = int(rng.integers(1, len(same))) if rng is not None and len(same) > 1 else 1
            made |= self._piece(self.clips[same[(own + step) % len(same)]], "_other", rng)
        if "face" in self.fields:
            made["face"] = self._face(clip)
        return {field: made[field] for field in self.fields}

    def _piece(self, clip: Clip, which: str, rng: np.random.Generator | None) -> dict[str, Any]:
        """Mouth and voice for as long as an example lasts, from its beginning or from a random picture on."""
        count = frames(self.seconds)
        made: dict[str, Any] = {}
        start = 0 if rng is None else int(rng.integers(clip.pictures - count + 1))
        if f"mouth_frames{which}" in self.fields:
            made[f"mouth_frames{which}"] = self._mouth(clip, start, count)
        if f"speech{which}" in self.fields:
            made[f"speech{which}"] = self._voice(clip, start)
            made[f"speech{which}_length"] = np.int32(samples(self.seconds))
        return made

    def _mouth(self, clip: Clip, start: int, count: int) -> np.ndarray:
        path = self.folder / clip.mouth
        try:
            found = mouth_files.read(path, start, count)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: {error}") from None
        top, left = ((side - self.mouth) // 2 for side in found.shape[1:])
        return found[:, top : top + self.mouth, left : left + self.mouth]

    def _voice(self, clip: Clip, start: int) -> np.ndarray:
        path, wanted = self.folder / clip.voice, samples(self.seconds)
        try:
            with soundfile.SoundFile(path) as file:
                file.seek(round(start / RATE * file.samplerate))
                found = file.read(-(-wanted * file.samplerate // media.SAMPLE_RATE), "float32", always_2d=True)
                sound = media.to_int16_mono(np.nan_to_num(found), file.samplerate)[:wanted]
        except (OSError, soundfile.SoundFileError) as error:
            raise UserError(f"{path}: {error}") from None
        return np.pad(sound, (0, wanted - len(sound)))

    def _face(self, clip: Clip) -> np.ndarray:
        path = self.folder / clip.face
        try:
            return np.asarray(pictures.fitted(pictures.read(path, self.size, upright=True), self.size, "crop"))
        except media.Unusable as error:
            raise UserError(f"{path}: {error}") from None


def frames(seconds: float) -> int:
    """Pictures of a mouth in so many seconds."""
    return round(seconds * RATE)


def samples(seconds: float) -> int:
    return round(seconds * media.SAMPLE_RATE)


def source(
    split: str,
    fields: Sequence[str] = FIELDS,
    *,
    path: str = "",
    mouths: str = "",
    voices: str = "",
    faces: str = "",
    data_dir: str | None = None,
    seconds: float = 2.55,
    mouth: int = 88,
    size: int = 224,
    validation: float = 0.1,
    test: float = 0.1,
) -> MouthCrops:
    """Opens a split of the clips.

    Args:
      split: "train", "validation" or "test", by a hash of the speaker, the first folder of a clip's name.
      fields: of FIELDS. `speech` and `speech_other` bring <field>_length along. `label` is the speaker; what ends in
        `_other` is of another clip of the same folder; training draws that clip, and the piece of each, at each visit.
      path: the folder.
      mouths, voices, faces: folders inside it with the files of each kind, "" for `path` itself.
      data_dir: where it is kept which files can be used; $MMJAX_DATA or ~/.cache/mmjax where None.
      seconds: of an example; shorter clips are left out.
      mouth: side in pixels of the pictures of a mouth: of larger ones the middle, smaller ones are left out.
      size: side of `face`.
      validation, test: shares of the speakers.

    Raises:
      UserError: no such folder, no usable clip, HDF5 without its extra, an unknown split or field, an option that
        cannot be.
    """
    if split not in SPLITS:
        raise UserError(f"mouth_crops has no split {split!r}; it has {', '.join(SPLITS)}")
    fields = tuple(dict.fromkeys((*fields, *(PADDED[f] for f in fields if f in PADDED))))
    spec.check(fields, (*FIELDS, *PADDED.values()), "mouth_crops")
    if frames(seconds) < 1 or mouth < 1 or size < 1:
        raise UserError("config.data: seconds must be at least .04, mouth and size at least 1")
    folder = pathlib.Path(path).expanduser() if path else None
    if folder is None or not folder.is_dir():
        raise UserError(f"config.data.path={path!r} is not a folder: it must be one of mouths, voices and faces")
    every = _usable(folder, (mouths, voices, faces), data_dir, seconds, mouth)
    speakers = tuple(sorted({clip.speaker for clip in every}))
    parts = prepared.assign_splits(speakers, validation, test)
    chosen = tuple(clip for clip in every if parts[clip.speaker] == split)
    if not chosen:
        raise UserError(f"config.data.path={path!r}: its {len(speakers):,} speakers are too few for a split {split!r}")
    named = (split, mouths, voices, faces)
    return MouthCrops(folder, chosen, speakers, fields, float(seconds), int(mouth), int(size), named)


def _usable(
    folder: pathlib.Path, places: tuple[str, str, str], data_dir: str | None, seconds: float, mouth: int
) -> list[Clip]:
    """All clips that are long enough and whose mouths are large enough; what is left out is told."""
    found, wrong = _matched(folder, places)
    about = _looked_at(folder, found, data_dir)
    clips = []
    for clip in found:
        known = about[clip.name]
        if isinstance(known, str):
            wrong.append(Fault(clip.name, known))
            continue
        shown, height, width, spoken = known
        long = min(int(shown), frames(seconds) + (int(spoken) - samples(seconds)) // PICTURE)
        if min(height, width) < mouth:
            wrong.append(Fault(clip.name, f"with a mouth below config.data.mouth, {mouth} pixels"))
        elif long < frames(seconds):
            wrong.append(Fault(clip.name, f"shorter than {seconds:g} s"))
        else:
            clips.append(dataclasses.replace(clip, pictures=long))
    for line in faults.listed(wrong):
        print(f"mouth_crops: {line} left out", file=sys.stderr)
    if not clips:
        said = "; ".join(faults.listed(wrong)) or f"there is none of {', '.join(mouth_files.SUFFIXES)}"
        raise UserError(f"config.data.path={str(folder)!r} has no usable clip: {said}")
    return clips


def _matched(folder: pathlib.Path, places: tuple[str, str, str]) -> tuple[list[Clip], list[Fault]]:
    """Mouths with the voice and the face of the same name."""
    for option, place in zip(("mouths", "voices", "faces"), places, strict=True):
        if not (folder / place).is_dir():
            raise UserError(f"config.data.{option}={place!r} is no folder in {folder}")
    kinds = (mouth_files.SUFFIXES, sound_file.SNDFILE, pictures.suffixes())
    named = [_by_name(folder / place, place, suffixes) for place, suffixes in zip(places, kinds, strict=True)]
    clips, wrong = [], []
    for name, file in named[0].items():
        voice = named[1].get(name)
        face = named[2].get(name) or named[2].get(posixpath.join(posixpath.dirname(name), FACE))
        if voice is None or face is None:
            wrong.append(Fault(name, "without a voice" if voice is None else "without a face"))
        else:
            clips.append(Clip(name, file, voice, face, 0))
    return clips, wrong


def _by_name(folder: pathlib.Path, place: str, suffixes: Sequence[str]) -> dict[str, str]:
    """{name without its suffix: path inside the whole folder}; of several the first suffix counts."""
    order = {suffix: i for i, suffix in enumerate(suffixes)}
    files = sorted(tree.walk(folder, suffixes).files, key=lambda path: (-order[_suffix(path)], path))
    return dict(sorted((path[: -len(_suffix(path))], posixpath.join(place, path)) for path in files))


def _suffix(path: str) -> str:
    return posixpath.splitext(path)[1].lower()


def _looked_at(folder: pathlib.Path, clips: Sequence[Clip], data_dir: str | None) -> Mapping[str, Any]:
    """{name: pictures, height, width and samples of a clip, or what is wrong with it}, kept while the files stay."""
    stats = [(c.name, *_stat(folder / c.mouth), *_stat(folder / c.voice)) for c in clips]
    place = prepared.cache_dir(data_dir) / "mouth_crops" / f"{prepared.fingerprint(EDITION, stats)}.json"
    try:
        return dict(json.loads(place.read_text()))
    except (OSError, ValueError):
        pass
    shown = tqdm.tqdm(clips, "looking at mouths and voices", unit="clip", disable=None)
    found = {clip.name: _look(folder, clip) for clip in shown}
    caches.write(place, json.dumps(found).encode())
    return found


def _look(folder: pathlib.Path, clip: Clip) -> tuple[int, int, int, int] | str:
    try:
        shape = mouth_files.shape(folder / clip.mouth)
        sound = soundfile.info(folder / clip.voice)
    except media.Unusable as error:
        return f"whose mouth is {error.kind}"
    except (OSError, soundfile.SoundFileError):
        return "whose voice is unreadable"
    return (*shape, sound.frames * media.SAMPLE_RATE // sound.samplerate)


def _stat(path: pathlib.Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
