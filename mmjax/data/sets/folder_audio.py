"""Any folder of sounds, one sub-folder a class, and collections as they are published, in folds or their own splits.

    source("train", ("waveform", "label"), path="~/sounds", fold=1)

TOP/CLASS/.../NAME.wav, dealt into folds; or, told by their files:

    ESC-50            meta/esc50.csv beside audio (Piczak 2015): its own five folds
    UrbanSound8K      metadata/UrbanSound8K.csv (Salamon et al. 2014): its own ten folds
    FSD50K            FSD50K.ground_truth (Fonseca et al. 2020): `tags` instead of `label`, its own splits
    Speech Commands   validation_list.txt and testing_list.txt are its splits; without them no speaker is in two folds
    TOP/train/CLASS, TOP/test/CLASS, ... or TOP/CLASS/train, ...: splits; TOP/fold1/CLASS, ...: folds

Any format that libsndfile reads will do and, with the extra `video`, any that FFmpeg does. The first call reads and
resamples every file, later calls reuse the prepared copy while the files stay the same, whatever the fold. Files that
cannot be used are listed by name in `skipped.json` beside it.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import importlib.util
import json
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from mmjax.data.files import child_processes, faults, prepared, sound_file, sound_folders
from mmjax.data.files.faults import Fault
from mmjax.data.files.sound_tables import Clip, Layout
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("waveform", "label", "group", "id", "index")
IDENTITY = {"file": "id"}
TAGGED: tuple[str, ...] = ("waveform", "tags", "group", "id", "index")  # where a clip has several classes
CUT = "truncated"  # the one fault of files that are used all the same
CHILD = 200  # files, or as many times 100 kB, that are worth the second in which another child starts


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """Which files are read. The name carries the fingerprint of the files and their folds."""

    path: str = ""
    clips: tuple[Clip, ...] = ()
    many: bool = False  # classes a clip
    about: str = ""
    faults: tuple[Fault, ...] = ()
    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)
    workers: int = 1


class FolderAudio(tfds.core.GeneratorBasedBuilder):
    """The usable sounds of one folder, a split for each fold."""

    VERSION = tfds.core.Version("2.1.0")  # raised whenever the same files would give other examples

    def _info(self) -> tfds.core.DatasetInfo:
        features = _stored(self.builder_config.many)
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        config, spool = self.builder_config, pathlib.Path(self.data_path) / "spool"
        spool.mkdir()
        found = _to_spool(config, spool)
        usable = [clip for clip in config.clips if _spooled(spool, clip.path).exists()]
        _write_report(pathlib.Path(self.data_path), config, len(usable), found)
        parts = sorted({clip.part for clip in usable}, key=lambda part: (len(part), part))
        return {p: self._generate_examples([c for c in usable if c.part == p], spool) for p in parts}

    def _generate_examples(self, clips: list[Clip], spool: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
        many = self.builder_config.many
        for clip in clips:
            file = _spooled(spool, clip.path)
            classes = {"tags": np.array(clip.labels)} if many else {"label": clip.labels[0]}
            yield clip.path, {"waveform": np.load(file), **classes, "group": clip.group, "id": clip.path}
            file.unlink()
        with contextlib.suppress(OSError):  # not empty until the last split is written
            spool.rmdir()


def fields(path: str = "", **options: Any) -> tuple[str, ...]:
    """What the sounds of a folder have: `label`, or `tags` where a clip may have several."""
    del options
    return tuple(dict.fromkeys((*TAGGED, *FIELDS))) if path and _is_tagged(path) else FIELDS


def source(
    split: str,
    fields: tuple[str, ...] = FIELDS,
    *,
    path: str = "",
    data_dir: str | None = None,
    folds: int = 0,
    fold: int = 1,
    validate: bool = True,
    esc10: bool = False,
) -> prepared.Source:
    """Opens a split of the sounds of a folder, preparing them on the first call.

    Args:
      split: of folds, "test" is the fold `fold`; "validation" the fold after it, where `validate`; "train" all others.
        Of splits of its own, those that it has. "all" is everything.
      fields: of FIELDS. `label` is the class's place in labels(path); `id` the file's path; `group` the recording that
        a clip is from (ESC-50's src_file, UrbanSound8K's fsID), its speaker (SPEAKER_nohash_N.wav), else the sub-folder
        inside the class, or the file itself. A group is in one fold only. Of FSD50K `tags` stands for `label`, -1 at
        its end.
      path: the folder.
      data_dir: where the prepared copy goes; $MMJAX_DATA or ~/.cache/mmjax where None.
      folds: how many there are, each class dealt out evenly; 0 for the folds or splits that a collection has itself, or
        five. Another number than its own is refused.
      fold: the one to test on, from 1.
      validate: False trains on all folds but `fold`, as the tables of ESC-50 do; there is then no "validation". Splits
        of its own stay as they are.
      esc10: of ESC-50, only the ten classes of ESC-10.

    Returns:
      Random access to dicts; waveform is int16 at 22,050 Hz, mono (the mean of all channels), of the file's own length.

    Raises:
      UserError: for a missing folder, a wrong option, a wrong csv, labels of one class, folders that are no classes, no
        usable sound, a missing extra, or an empty split.
    """
    layout = sound_folders.dealt(sound_folders.read(_folder(path), esc10), folds)
    _check_fields(layout, path, fields)
    named = "tags" if layout.many else "label"
    chosen = _chosen(split, layout, fold, validate)
    directory = _prepared(layout, data_dir)
    stored = _stored(layout.many)
    # With nothing stored asked for (only `index`), the cheapest column still gives the length.
    parsed = {column: stored[column] for column in set(fields) & set(stored) or {named}}
    # A fold without a usable sound is no split on the disk; one that is all that was asked for is an error there.
    usable = {entry["name"] for entry in prepared.read_info(directory)["splits"]}
    records = prepared.Records(directory, "+".join([part for part in chosen if part in usable] or chosen), parsed)
    width = max(len(clip.labels) for clip in layout.clips)
    decode = functools.partial(_decode, tuple(fields), width)
    columns = {field: field for field in fields if field in stored}
    return prepared.Source(records, decode, {named: layout.names} if named in fields else {}, columns)


def labels(path: str, esc10: bool = False) -> tuple[str, ...]:
    """The names of the classes of `label` or `tags`, in order."""
    return sound_folders.read(_folder(path), esc10).names


def _is_tagged(path: str) -> bool:
    return sound_folders.FSD50K.fits(pathlib.Path(path).expanduser())


def _check_fields(layout: Layout, path: str, fields: tuple[str, ...]) -> None:
    if layout.many and "label" in fields:
        raise UserError(
            f"config.data.path={path!r} is {layout.title}, whose clips have several classes: tags, no label"
        )
    if not layout.many and "tags" in fields:
        raise UserError(f"config.data.path={path!r} has one class a clip: label, no tags")
    if len(layout.names) == 1 and "label" in fields:
        raise UserError(
            f"config.data.path={path!r} has the class {layout.names[0]!r} only: give the folder with a sub-folder a "
            "class"
        )


def _folder(path: str) -> pathlib.Path:
    folder = pathlib.Path(path).expanduser().resolve() if path else None
    if folder is None or not folder.is_dir():
        raise UserError(f"config.data.path={path!r} is not a folder: it must be one of sounds, a sub-folder a class")
    return folder


def _chosen(split: str, layout: Layout, fold: int, validate: bool) -> list[str]:
    """The folds of a split."""
    there = {clip.part for clip in layout.clips}
    if layout.own == "splits":
        given = [part for part in sound_folders.SPLITS if part in there]
        if fold != 1:
            raise UserError(f"config.data.fold={fold}: {layout.title} has its own splits {', '.join(given)}, no folds")
        if split not in (*given, "all"):
            raise UserError(f"no split {split!r} of {layout.title}: it has its own {', '.join(given)} (and all)")
        return given if split == "all" else [split]
    folds = sorted(int(part.removeprefix("fold")) for part in there)
    if fold not in folds:
        raise UserError(f"config.data.fold={fold}: the folds are {', '.join(map(str, folds))}")
    after = folds[(folds.index(fold) + 1) % len(folds)]
    held = {fold, after} if validate else {fold}
    parts = {"test": [fold], "train": [f for f in folds if f not in held], "all": folds}
    if validate:
        parts["validation"] = [after]
    if split not in parts or not parts[split]:
        hint = "; config.data.validate=False leaves validation out" if split == "validation" else ""
        raise UserError(
            f"no split {split!r} of {len(folds)} folds: there are {', '.join(k for k in parts if parts[k])}{hint}"
        )
    return [f"fold{f}" for f in parts[split]]


def _decode(fields: tuple[str, ...], width: int, record: dict[str, Any], index: int) -> dict[str, Any]:
    made = {
        "waveform": lambda: record["waveform"],
        "label": lambda: np.int32(record["label"]),
        "tags": lambda: np.pad(record["tags"], (0, width - len(record["tags"])), constant_values=-1).astype(np.int32),
        "group": lambda: prepared.text(record["group"]),
        "id": lambda: prepared.text(record["id"]),
        "index": lambda: np.int32(index),
    }
    return {field: made[field]() for field in fields}


# -- the prepared copy -------------------------------------------------------------------------------------------------


def _stored(many: bool) -> dict[str, Any]:
    scalar, several = tfds.features.Scalar(dtype=np.int64), tfds.features.Tensor(shape=(None,), dtype=np.int64)
    classes = {"tags": several} if many else {"label": scalar}
    return {"waveform": prepared.sound(), **classes, "group": tfds.features.Text(), "id": tfds.features.Text()}


def _prepared(layout: Layout, data_dir: str | None) -> pathlib.Path:
    folder = layout.folder
    stats = [(*dataclasses.astuple(clip), *layout.stats.get(clip.path, (-1, -1))) for clip in layout.clips]
    stem = "".join(letter if letter.isalnum() else "_" for letter in folder.name)[:40]
    config = Config(name=f"{stem}-{prepared.fingerprint(str(folder), stats)}", path=str(folder), clips=layout.clips)
    root = prepared.cache_dir(data_dir)
    directory = root / "folder_audio" / config.name / str(FolderAudio.VERSION)
    if not prepared.is_prepared(directory):
        _require_av(layout)
        config.many, config.about = layout.many, sound_folders.about(layout)
        config.faults, config.ignored = layout.faults, layout.ignored
        work = len(stats) + sum(max(0, stat[-2]) for stat in stats) // 100_000
        config.workers = min(len(os.sched_getaffinity(0)), 1 + work // CHILD)
        if prepared.prepare(prepared.build(FolderAudio, config, root)):
            _tell(directory)
    return directory


def _require_av(layout: Layout) -> None:
    """Raises UserError before any work where files need the extra that is missing."""
    needing = [clip.path for clip in layout.clips if clip.path.lower().endswith(sound_file.FFMPEG)]
    if needing and importlib.util.find_spec("av") is None:
        some = f"{len(needing):,} files ({', '.join(needing[:3])}{', ...' if len(needing) > 3 else ''})"
        raise UserError(f"{layout.folder}: {some} need the extra `video`: pip install 'mmjax[video]'")


def _to_spool(config: Config, spool: pathlib.Path) -> list[Fault]:
    """Puts waveforms beside the prepared data, since only then is known which folds have any; returns the faults.

    In child processes: a file that ends its decoder is one that is left out.
    """
    items = [(clip.path, str(_spooled(spool, clip.path))) for clip in config.clips]
    found: list[Fault] = []
    work = functools.partial(sound_file.save, config.path)
    done = child_processes.each(work, items, config.workers)
    for (path, file), result in tqdm.tqdm(done, "reading sounds", len(items), unit="file", disable=None):
        if isinstance(result, child_processes.Lost):
            pathlib.Path(file).unlink(missing_ok=True)  # it may have died amid the writing
            found.append(Fault(path, result.kind, result.detail))
        elif result[0]:
            found.append(Fault(path, *result))
    return faults.by_path(found)


def _spooled(spool: pathlib.Path, path: str) -> pathlib.Path:
    return spool / f"{prepared.fingerprint(path)}.npy"


def _write_report(directory: pathlib.Path, config: Config, used: int, found: list[Fault]) -> None:
    """Writes skipped.json; raises UserError, which names files of each kind, where no sound could be used."""
    everything = [*found, *config.faults]
    if not used:
        raise UserError(f"config.data.path={config.path!r} has no usable sound: {'; '.join(faults.listed(everything))}")
    counts = collections.Counter(fault.kind for fault in everything)
    summary = {
        "about": config.about,
        "files": len(config.clips),
        "used": used,
        "counts": dict(counts),
        "ignored": dict(config.ignored),
        "faults": [dataclasses.asdict(fault) for fault in everything],
    }
    (directory / "skipped.json").write_text(json.dumps(summary, indent=2))


def _tell(directory: pathlib.Path) -> None:
    """Prints what was recognised, how many files are used, and which were left out and why."""
    report = json.loads((directory / "skipped.json").read_text())
    ignored = faults.by_suffix(report["ignored"])
    print(f"folder_audio: {report['about']}", file=sys.stderr)
    also = f"; no sounds: {ignored}" if ignored else ""
    print(f"folder_audio: {report['used']} of {report['files']} files{also}", file=sys.stderr)
    found = [Fault(**fault) for fault in report["faults"]]
    for action, some in [
        ("skipped", [fault for fault in found if fault.kind != CUT]),
        ("used up to the damage", [fault for fault in found if fault.kind == CUT]),
    ]:
        for line in faults.listed(some):
            print(f"folder_audio: {line} {action}; see {directory / 'skipped.json'}", file=sys.stderr)
