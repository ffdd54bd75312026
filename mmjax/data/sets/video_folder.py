"""Any folder of videos with sound, as clips of pictures and their waveform: a TensorFlow Datasets builder.

    source("train", ("image", "waveform"), path="~/videos")

The first call cuts the videos (mp4, mkv, webm, mov, avi, ts, wmv, ..., in any sub-folder, links followed) in parallel,
in child processes: a video that ends its decoder costs itself alone. Later calls reuse the prepared copy while the
files (names, sizes, times) and the options stay the same. Files that cannot be used are listed in `skipped.json` beside
the prepared data; other files are counted by suffix.

Pictures and sound are what a player gives: edit lists are heeded, so a cut made without coding anew has only what it
shows; pictures are upright and mirrored as the file says; the sound is the default track's (another stands in where it
is empty or silent), within 50 ms of its time stamps.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from mmjax.data.files import (
    annotated_clips,
    faults,
    media,
    pictures,
    prepared,
    sounding_boxes,
    video,
    video_clips,
)
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("image", "frames", "waveform", "group", "start", "index")
FITS = ("crop", "squash")
IDENTITY = {"file": "group", "start": "start"}


def fields(*, annotation: str = "", **_: Any) -> tuple[str, ...]:
    """The fields offered under the options of `source`: `boxes` and `sounding` where there is annotation."""
    return (*FIELDS, *annotated_clips.FIELDS) if annotation else FIELDS


def source(
    split: str,
    fields: tuple[str, ...] = FIELDS,
    *,
    path: str = "",
    data_dir: str | None = None,
    seconds: float = 6.0,
    frames: int = 1,
    size: int = 224,
    min_seconds: float = 1.0,
    validation: float = 0.1,
    test: float = 0.1,
    workers: int | None = None,
    beam: str | None = None,
    fit: str = "crop",
    annotation: str = "",
    negatives: str = "",
) -> prepared.Source | annotated_clips.Annotated:
    """Opens a split of the clips of a folder of videos, preparing them first where that was not done.

    Args:
      split: "train", "validation" or "test", by a hash of each video's relative path; all clips of a video together.
      fields: of `fields(annotation=...)`. `image` is the middle one of `frames`; `group` is the video's path inside
        the folder.
      path: the folder.
      data_dir: where the prepared copy goes; $MMJAX_DATA or ~/.cache/mmjax where None.
      seconds: length of a clip; a video's last one is shorter.
      frames: pictures per clip, evenly spaced.
      size: of the pictures in pixels.
      min_seconds: shorter remainders are dropped, shorter videos are skipped.
      validation: share of the videos held out for validation.
      test: share of the videos held out for the test.
      workers: processes that prepare; one per usable core where None.
      beam: prepare with Apache Beam under these pipeline options, e.g. "--runner=DirectRunner" (extra `beam`).
      fit: "crop": the short side is scaled and the middle cut out; "squash": the whole picture, as boxes want it.
      annotation: where boxes of what sounds are published: a folder of Flickr-SoundNet's XML files, or VGG-SS's JSON
        file, see `sounding_boxes`. The test is then of the annotated videos (of several clips that in the middle),
        whatever their hash; of all others those that are not for validation are for training. In no split is a video
        that is named without a box of any use. Flickr-SoundNet's boxes are of three annotators, whose votes count.
      negatives: SLAVC's list of pictures with another clip's sound, which the test has, too, without boxes.

    Returns:
      Random access to dicts; waveform is int16 at 22,050 Hz of the clip's true length.

    Raises:
      UserError: for a missing folder, no usable video, a wrong option, a missing extra or an empty split.
    """
    if not (seconds > 0 and frames >= 1 and size >= 1 and min_seconds > 0):
        raise UserError(
            f"config.data needs seconds > 0, frames >= 1, size >= 1, min_seconds > 0; it has seconds={seconds}, "
            f"frames={frames}, size={size}, min_seconds={min_seconds}"
        )
    prepared.assign_splits((), validation, test)  # checks the shares before any work
    _check(fit, annotation, negatives)
    folder = _folder(path)
    workers = len(os.sched_getaffinity(0)) if workers is None else max(1, workers)
    cut = video.Cut(float(seconds), int(frames), int(size), float(min_seconds), fit)
    config = video_clips.Config(name=_name(folder, cut, validation, test), path=str(folder), cut=cut, workers=workers)
    config.validation, config.test = validation, test
    directory = _prepared(config, prepared.cache_dir(data_dir), beam)
    if annotation:
        return _annotated(directory, split, fields, annotation, negatives)
    return _stored(directory, split, fields)


def _stored(directory: pathlib.Path, split: str, fields: Sequence[str]) -> prepared.Source:
    """A prepared split as it is."""
    stored = {"frames": prepared.encoded(many=True), "waveform": prepared.sound(), "group": tfds.features.Text()}
    stored["start"] = tfds.features.Scalar(dtype=np.float32)
    wanted = {"frames" if field == "image" else field for field in fields} & set(stored)
    # With nothing stored asked for (only `index`), the cheapest column still gives the length.
    parsed = {name: stored[name] for name in wanted or {"group"}}
    columns = {f: column for f in fields if (column := "frames" if f == "image" else f) in stored}
    records = prepared.Records(directory, split, parsed)
    return prepared.Source(records, functools.partial(_decode, tuple(fields)), columns=columns)


def _annotated(
    directory: pathlib.Path, split: str, fields: Sequence[str], annotation: str, negatives: str
) -> annotated_clips.Annotated:
    """A split by what is annotated, of clips from all prepared splits."""
    boxes = sounding_boxes.read(annotation)
    listed = sounding_boxes.negatives(negatives) if negatives else sounding_boxes.Negatives([], frozenset(), [])
    names = [entry["name"] for entry in prepared.read_info(directory)["splits"]]
    told = {name: _stored(directory, name, ("group", "start")) for name in names}
    videos = annotated_clips.of_videos(told)
    starts = {c: float(told[c.split][c.place]["start"]) for clips in videos.values() for c in clips}
    chosen, missing = annotated_clips.choose(split, videos, starts, boxes, listed)
    for line in faults.listed([*boxes.faults, *listed.faults, *missing]) if split == "test" else ():
        print(f"video_folder: annotation: {line}", file=sys.stderr)
    if split == "test" and not any(one.boxes for one in chosen):
        raise UserError(f"config.data.annotation={annotation!r} names no video of the folder by its clips' names")
    stored = tuple(field for field in fields if field in FIELDS and field != "index")
    most = max(map(len, boxes.clips.values()))
    splits = {name: _stored(directory, name, stored or ("group",)) for name in names}
    return annotated_clips.Annotated(splits, fields, chosen, most)


def _check(fit: str, annotation: str, negatives: str) -> None:
    if fit not in FITS:
        raise UserError(f"config.data.fit={fit!r}: it must be one of {', '.join(FITS)}")
    if annotation and fit == "crop":
        raise UserError("config.data.annotation has boxes of whole pictures: set config.data.fit=squash")
    if negatives and not annotation:
        raise UserError("config.data.negatives belong to the clips of config.data.annotation: give that, too")


def _decode(fields: tuple[str, ...], record: dict[str, Any], index: int) -> dict[str, Any]:
    example: dict[str, Any] = {}
    if "frames" in fields:
        example["frames"] = np.stack([pictures.decode(data) for data in record["frames"]])
    if "image" in fields:
        middle = len(record["frames"]) // 2
        example["image"] = (
            example["frames"][middle] if "frames" in fields else pictures.decode(record["frames"][middle])
        )
    if "waveform" in fields:
        example["waveform"] = record["waveform"]
    if "group" in fields:
        example["group"] = prepared.text(record["group"])
    if "start" in fields:
        example["start"] = np.float32(record["start"])
    if "index" in fields:
        example["index"] = np.int32(index)
    return {field: example[field] for field in fields}


def _folder(path: str) -> pathlib.Path:
    folder = pathlib.Path(path).expanduser().resolve() if path else None
    if folder is None or not folder.is_dir():
        raise UserError(f"config.data.path={path!r} is not a folder: it must be a folder of videos with sound")
    return folder


def _name(folder: pathlib.Path, cut: video.Cut, validation: float, test: float) -> str:
    found = video_clips.find(folder)
    if not found.files:
        there = "; ".join(filter(None, [faults.by_suffix(found.ignored), *faults.listed(found.faults)]))
        raise UserError(
            f"config.data.path={str(folder)!r} has no video: none of {', '.join(video_clips.SUFFIXES)}"
            + (f"; it has {there}" if there else "")
        )
    stats = [(path, *size_and_time) for path, size_and_time in found.files.items()]
    about = dataclasses.asdict(cut)
    if cut.fit == "crop":  # copies from before there was another way keep their names
        del about["fit"]
    print_ = prepared.fingerprint(str(folder), stats, about, validation, test)
    stem = "".join(letter if letter.isalnum() else "_" for letter in folder.name)[:40]
    return f"{stem}-{print_}"


def _prepared(config: video_clips.Config, root: pathlib.Path, beam: str | None) -> pathlib.Path:
    directory = root / "video_folder" / config.name / str(video_clips.VideoFolder.VERSION)
    if not prepared.is_prepared(directory):
        media.require_av()
        if _prepare(config, root, beam):
            _tell(directory)
    return directory


def _prepare(config: video_clips.Config, root: pathlib.Path, beam: str | None) -> bool:
    if beam is None:
        return prepared.prepare(prepared.build(video_clips.VideoFolder, config, root))
    from mmjax.data.files import video_beam

    return video_beam.prepare(config, root, beam)


def _tell(directory: pathlib.Path) -> None:
    """Prints what was prepared, and one line per kind of file that was left out."""
    report = json.loads((directory / "skipped.json").read_text())
    ignored = faults.by_suffix(report["ignored"])
    print(
        f"video_folder: {report['clips']} clips of {report['used']} of {report['videos']} videos"
        + (f"; other files, not looked at: {ignored}" if ignored else ""),
        file=sys.stderr,
    )
    for kind, count in sorted(report["counts"].items()):
        first = next(entry["path"] for entry in report["files"] if entry["kind"] == kind)
        action = "used up to the damage" if kind == "truncated" else "skipped"
        print(
            f"video_folder: {count} {kind} ({first}{', ...' if count > 1 else ''}) {action}; see "
            f"{directory / 'skipped.json'}",
            file=sys.stderr,
        )
