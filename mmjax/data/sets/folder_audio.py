"""Any folder of sounds, one sub-folder a class, in folds for cross-validation; ESC-50 with its own five folds.

    source("train", ("waveform", "label"), path="~/sounds", fold=1)

Either TOP/CLASS/.../NAME.wav, or ESC-50's layout, TOP/meta/esc50.csv beside TOP/audio (Piczak 2015). Any format that
libsndfile reads will do. The first call reads and resamples every file, later calls reuse the prepared copy while the
files stay the same, whatever the fold. Files that cannot be used are listed by name in `skipped.json` beside it.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import dataclasses
import functools
import hashlib
import json
import pathlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from mmjax.data.files import media, prepared, sound_file
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("waveform", "label", "group", "index")
SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd"),
    *(".caf", ".w64", ".rf64", ".voc", ".avr", ".sph"),
)
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file")
CSV = pathlib.PurePosixPath("meta/esc50.csv")


@dataclasses.dataclass(frozen=True)
class Clip:
    """One file: its path inside the folder, its class, what it was cut from, and its fold from 1."""

    path: str
    label: int
    group: str
    fold: int


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """Which files are read. The name carries the fingerprint of the files and their folds."""

    path: str = ""
    clips: tuple[Clip, ...] = ()


class FolderAudio(tfds.core.GeneratorBasedBuilder):
    """The usable sounds of one folder, a split for each fold."""

    VERSION = tfds.core.Version("1.0.0")  # raised whenever the same files would give other examples

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "waveform": prepared.sound(),
            "label": tfds.features.Scalar(dtype=np.int64),
            "group": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        config, spool = self.builder_config, pathlib.Path(self.data_path) / "spool"
        spool.mkdir()
        faults: list[dict[str, str]] = []
        usable = [
            clip
            for clip in tqdm.tqdm(config.clips, "reading sounds", unit="file", disable=None)
            if _to_spool(pathlib.Path(config.path), clip, spool, faults)
        ]
        _write_report(pathlib.Path(self.data_path), config.path, len(config.clips), len(usable), faults)
        folds = sorted({clip.fold for clip in usable})
        return {f"fold{f}": self._generate_examples([c for c in usable if c.fold == f], spool) for f in folds}

    def _generate_examples(self, clips: list[Clip], spool: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
        for clip in clips:
            file = _spooled(spool, clip)
            yield clip.path, {"waveform": np.load(file), "label": clip.label, "group": clip.group}
            file.unlink()
        with contextlib.suppress(OSError):  # not empty until the last split is written
            spool.rmdir()


def source(
    split: str,
    fields: tuple[str, ...] = FIELDS,
    *,
    path: str = "",
    data_dir: str | None = None,
    folds: int = 5,
    fold: int = 1,
    validate: bool = True,
    esc10: bool = False,
) -> prepared.Source:
    """Opens a split of the sounds of a folder, preparing them on the first call.

    Args:
      split: "test" is the fold `fold`; "validation" the fold after it, where `validate`; "train" all others; "all".
      fields: of FIELDS. `label` is the class's place in labels(path); `group` the recording that a clip is from
        (ESC-50's src_file; else the sub-folder inside the class, or the file itself), which is in one fold only.
      path: the folder.
      data_dir: where the prepared copy goes; $MMJAX_DATA or ~/.cache/mmjax where None.
      folds: how many there are, each class dealt out evenly; ESC-50 has its own five.
      fold: the one to test on, 1..folds.
      validate: False trains on all folds but `fold`, as the tables of ESC-50 do; there is then no "validation".
      esc10: of ESC-50, only the ten classes of ESC-10.

    Returns:
      Random access to dicts; waveform is int16 at 22,050 Hz, mono, of the file's own length.

    Raises:
      UserError: for a missing folder, a wrong option, a wrong csv, labels of one class, no usable sound, or an empty
        split.
    """
    folder = _folder(path)
    clips = find(folder, folds, esc10)
    names = labels(path, esc10) if "label" in fields else ()
    if len(names) == 1:
        raise UserError(
            f"config.data.path={path!r} has the class {names[0]!r} only: give the folder with a sub-folder a class"
        )
    places = sorted({clip.fold for clip in clips})
    directory = _prepared(folder, clips, data_dir)
    chosen = _chosen(split, places, fold, validate)
    stored = {
        "waveform": prepared.sound(),
        "label": tfds.features.Scalar(dtype=np.int64),
        "group": tfds.features.Text(),
    }
    # With nothing stored asked for (only `index`), the cheapest column still gives the length.
    parsed = {column: stored[column] for column in set(fields) & set(stored) or {"label"}}
    records = prepared.Records(directory, chosen, parsed)
    return prepared.Source(records, functools.partial(_decode, tuple(fields)), {"label": names} if names else {})


def labels(path: str, esc10: bool = False) -> tuple[str, ...]:
    """The names of the classes of `label`, in order."""
    folder = _folder(path)
    if is_esc50(folder):
        return tuple(name for _, name in sorted({(row["target"], row["category"]) for row in _rows(folder, esc10)}))
    return tuple(sorted({file.split("/")[0] for file in sounds(folder)}))


def is_esc50(folder: pathlib.Path) -> bool:
    """Whether a folder is laid out as ESC-50."""
    return (folder / CSV).is_file() and (folder / "audio").is_dir()


def sounds(folder: pathlib.Path) -> list[str]:
    """The sounds of all class folders, as relative POSIX paths in order, hidden files left out."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(p.as_posix() for p in found if len(p.parts) > 1 and not any(part.startswith(".") for part in p.parts))


def find(folder: pathlib.Path, folds: int = 5, esc10: bool = False) -> tuple[Clip, ...]:
    """Every clip of a folder with its class and its fold, whether its file can be read or not."""
    if is_esc50(folder):
        rows = _rows(folder, esc10)
        place = {target: i for i, target in enumerate(sorted({row["target"] for row in rows}))}
        return tuple(
            Clip(f"audio/{row['filename']}", place[row["target"]], row["src_file"], row["fold"]) for row in rows
        )
    if esc10:
        raise UserError(f"config.data.esc10: {folder} is not ESC-50: it has no {CSV} beside a folder audio")
    if inside := sorted(file.parent.parent for file in folder.glob(f"*/{CSV}") if is_esc50(file.parent.parent)):
        raise UserError(f"config.data.path={str(folder)!r} holds ESC-50's folder: give {str(inside[0])!r} itself")
    if folds < 2:
        raise UserError(f"config.data.folds={folds}: there must be at least 2, one to train on and one to test on")
    paths = sounds(folder)
    if not paths:
        raise UserError(f"config.data.path={str(folder)!r} has no CLASS/NAME with one of {', '.join(SUFFIXES)}")
    names = sorted({path.split("/")[0] for path in paths})
    groups = {path: "/".join(path.split("/")[:2]) for path in paths}
    dealt = _deal(set(groups.values()), folds)
    return tuple(Clip(p, names.index(p.split("/")[0]), groups[p], dealt[groups[p]]) for p in paths)


def _deal(groups: Iterable[str], folds: int) -> dict[str, int]:
    """A fold for each group: class by class, in the order of a hash, like cards."""
    ordered = sorted(groups, key=lambda group: (group.split("/")[0], hashlib.sha256(group.encode()).hexdigest()))
    return {group: 1 + i % folds for i, group in enumerate(ordered)}


def _rows(folder: pathlib.Path, esc10: bool) -> list[dict[str, Any]]:
    file = folder / CSV
    with file.open(newline="", encoding="utf-8") as stream:
        table = csv.DictReader(stream)
        missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            raise UserError(f"{file} has no column {', '.join(missing)}: ESC-50's has {', '.join(COLUMNS)}")
        rows: list[dict[str, Any]] = list(table)
    names: dict[int, str] = {}
    for number, row in enumerate(rows, start=2):
        try:
            row["fold"], row["target"] = int(row["fold"]), int(row["target"])
        except (TypeError, ValueError):
            raise UserError(f"{file}, line {number}: fold and target must be whole numbers") from None
        name = names.setdefault(row["target"], row["category"])
        if not row["category"] or row["category"] != name:
            both = f"{name!r} and {row['category']!r}"
            raise UserError(f"{file}, line {number}: target {row['target']} must have one category, not {both}")
    rows = [row for row in rows if not esc10 or row["esc10"] == "True"]
    if not rows:
        raise UserError(f"{file} lists no clip" + (" of ESC-10" if esc10 else ""))
    return rows


def _folder(path: str) -> pathlib.Path:
    folder = pathlib.Path(path).expanduser().resolve() if path else None
    if folder is None or not folder.is_dir():
        raise UserError(f"config.data.path={path!r} is not a folder: it must be one of sounds, a sub-folder a class")
    return folder


def _chosen(split: str, folds: list[int], fold: int, validate: bool) -> str:
    """The folds of a split, as TFDS adds splits."""
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
    return "+".join(f"fold{f}" for f in parts[split])


def _decode(fields: tuple[str, ...], record: dict[str, Any], index: int) -> dict[str, Any]:
    made = {
        "waveform": lambda: record["waveform"],
        "label": lambda: np.int32(record["label"]),
        "group": lambda: prepared.text(record["group"]),
        "index": lambda: np.int32(index),
    }
    return {field: made[field]() for field in fields}


# -- the prepared copy -------------------------------------------------------------------------------------------------


def _prepared(folder: pathlib.Path, clips: tuple[Clip, ...], data_dir: str | None) -> pathlib.Path:
    stats = [(*dataclasses.astuple(clip), *_size_and_time(folder / clip.path)) for clip in clips]
    stem = "".join(letter if letter.isalnum() else "_" for letter in folder.name)[:40]
    config = Config(name=f"{stem}-{prepared.fingerprint(str(folder), stats)}", path=str(folder), clips=clips)
    root = prepared.cache_dir(data_dir)
    directory = root / "folder_audio" / config.name / str(FolderAudio.VERSION)
    if not prepared.is_prepared(directory) and prepared.prepare(prepared.build(FolderAudio, config, root)):
        _tell(directory)
    return directory


def _size_and_time(file: pathlib.Path) -> tuple[int, int]:
    if not file.is_file():
        return (-1, -1)
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _to_spool(folder: pathlib.Path, clip: Clip, spool: pathlib.Path, faults: list[dict[str, str]]) -> bool:
    """Puts a file's waveform beside the prepared data, since only then is known which folds have any; notes faults."""
    try:
        waveform, damage = sound_file.read(folder / clip.path)
    except media.Unusable as error:
        faults.append({"path": clip.path, "kind": error.kind, "detail": error.detail})
        return False
    if damage:
        faults.append({"path": clip.path, "kind": "truncated", "detail": damage})
    np.save(_spooled(spool, clip), waveform)
    return True


def _spooled(spool: pathlib.Path, clip: Clip) -> pathlib.Path:
    return spool / f"{prepared.fingerprint(clip.path)}.npy"


def _write_report(directory: pathlib.Path, path: str, files: int, used: int, faults: list[dict[str, str]]) -> None:
    """Writes skipped.json; raises UserError, which names files of each kind, where no sound could be used."""
    if not used:
        raise UserError(f"config.data.path={path!r} has no usable sound: {'; '.join(_lines(faults))}")
    counts = collections.Counter(fault["kind"] for fault in faults)
    summary = {"files": files, "used": used, "counts": dict(counts), "faults": faults}
    (directory / "skipped.json").write_text(json.dumps(summary, indent=2))


def _lines(faults: list[dict[str, str]]) -> list[str]:
    """One line per kind of fault, with the names of the first files."""
    by_kind: dict[str, list[str]] = {}
    for fault in faults:
        by_kind.setdefault(fault["kind"], []).append(fault["path"])
    return [
        f"{len(paths)} {kind} ({', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''})"
        for kind, paths in sorted(by_kind.items())
    ]


def _tell(directory: pathlib.Path) -> None:
    """Prints how many files are used, and which were left out and why."""
    report = json.loads((directory / "skipped.json").read_text())
    print(f"folder_audio: {report['used']} of {report['files']} files", file=sys.stderr)
    for line in _lines(report["faults"]):
        action = "used up to the damage" if " truncated (" in line else "skipped"
        print(f"folder_audio: {line} {action}; see {directory / 'skipped.json'}", file=sys.stderr)
