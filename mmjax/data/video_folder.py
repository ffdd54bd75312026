"""Any folder of videos with sound, as clips of pictures and their waveform: a TensorFlow Datasets builder.

    source("train", ("image", "waveform"), path="~/videos")

The first call cuts the videos (mp4, mkv, webm, mov, avi, in any sub-folder) in parallel; later calls reuse the prepared
copy while the files (names, sizes, times) and the options stay the same. Files that cannot be used are listed in
`skipped.json` beside the prepared data.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import multiprocessing
import os
import pathlib
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from mmjax.data import _builders, _media
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("image", "frames", "waveform", "group", "index")
SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v")


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """What is cut, and how. The name carries the fingerprint of both, so a changed folder is prepared anew."""

    path: str = ""
    cut: _media.Cut = dataclasses.field(default_factory=_media.Cut)
    validation: float = 0.1
    test: float = 0.1
    workers: int = 1


class VideoFolder(tfds.core.GeneratorBasedBuilder):
    """Clips of the videos of one folder, split by video."""

    VERSION = tfds.core.Version("1.0.0")  # raised whenever the same videos would give other clips

    def _info(self) -> tfds.core.DatasetInfo:
        # JPEG: at 224 px a sixth of the raw bytes; videos are lossy already, and quality 95 adds less than they lost.
        picture = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
        features = {
            "frames": tfds.features.Sequence(picture),
            "waveform": _builders.sound(),
            "group": tfds.features.Text(),
            "start": tfds.features.Scalar(dtype=np.float32),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        config = self.builder_config
        spool = pathlib.Path(self.data_path) / "spool"
        spool.mkdir()
        reports = sorted(self._extract_all(spool), key=lambda report: report["path"])
        _write_report(pathlib.Path(self.data_path), config.path, reports)
        usable = [report["path"] for report in reports if report["clips"]]
        splits = _builders.assign_splits(usable, config.validation, config.test)
        by_split = {name: [path for path in usable if splits[path] == name] for name in ("train", "validation", "test")}
        return {name: self._generate_examples(spool, paths) for name, paths in by_split.items() if paths}

    def _extract_all(self, spool: pathlib.Path) -> list[dict[str, Any]]:
        return _extract_all(self.builder_config, spool)

    def _generate_examples(self, spool: pathlib.Path, paths: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for path in paths:
            file = spool_file(spool, path)
            yield from read_spool(file)
            file.unlink()
        with contextlib.suppress(OSError):  # not empty until the last split is written
            spool.rmdir()


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
) -> _builders.Source:
    """Opens a split of the clips of a folder of videos, preparing them first where that was not done.

    Args:
      split: "train", "validation" or "test", by a hash of each video's relative path; all clips of a video together.
      fields: of FIELDS. `image` is the middle one of `frames`; `group` is the video's path inside the folder.
      path: the folder.
      data_dir: where the prepared copy goes; $MMJAX_DATA or ~/.cache/mmjax where None.
      seconds: length of a clip; a video's last one is shorter.
      frames: pictures per clip, evenly spaced.
      size: of the pictures in pixels: short side scaled, centre cropped.
      min_seconds: shorter remainders are dropped, shorter videos are skipped.
      validation: share of the videos held out for validation.
      test: share of the videos held out for the test.
      workers: processes that prepare; one per usable core where None.
      beam: prepare with Apache Beam under these pipeline options, e.g. "--runner=DirectRunner" (extra `beam`).

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
    _builders.assign_splits((), validation, test)  # checks the shares before any work
    folder = _folder(path)
    workers = len(os.sched_getaffinity(0)) if workers is None else max(1, workers)
    cut = _media.Cut(float(seconds), int(frames), int(size), float(min_seconds))
    config = Config(name=_name(folder, cut, validation, test), path=str(folder), cut=cut, workers=workers)
    config.validation, config.test = validation, test
    directory = _prepared(config, _builders.cache_dir(data_dir), beam)
    stored = {"frames": _builders.encoded(many=True), "waveform": _builders.sound(), "group": tfds.features.Text()}
    wanted = {"frames" if field == "image" else field for field in fields} & set(stored)
    # With nothing stored asked for (only `index`), the cheapest column still gives the length.
    parsed = {name: stored[name] for name in wanted or {"group"}}
    return _builders.Source(_builders.Records(directory, split, parsed), functools.partial(_decode, fields))


def _decode(fields: tuple[str, ...], record: dict[str, Any], index: int) -> dict[str, Any]:
    example: dict[str, Any] = {}
    if "frames" in fields:
        example["frames"] = np.stack([_media.decode(data) for data in record["frames"]])
    if "image" in fields:
        middle = len(record["frames"]) // 2
        example["image"] = example["frames"][middle] if "frames" in fields else _media.decode(record["frames"][middle])
    if "waveform" in fields:
        example["waveform"] = record["waveform"]
    if "group" in fields:
        example["group"] = _builders.text(record["group"])
    if "index" in fields:
        example["index"] = np.int32(index)
    return {field: example[field] for field in fields}


def _folder(path: str) -> pathlib.Path:
    folder = pathlib.Path(path).expanduser().resolve() if path else None
    if folder is None or not folder.is_dir():
        raise UserError(f"config.data.path={path!r} is not a folder: it must be a folder of videos with sound")
    return folder


def videos(folder: pathlib.Path) -> list[str]:
    """The videos in any sub-folder, as relative POSIX paths in order; hidden files are no videos."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(p.as_posix() for p in found if not p.name.startswith(".") and (folder / p).is_file())


def _name(folder: pathlib.Path, cut: _media.Cut, validation: float, test: float) -> str:
    paths = videos(folder)
    if not paths:
        raise UserError(f"config.data.path={str(folder)!r} has no video: none of {', '.join(SUFFIXES)}")
    stats = [(video, *_size_and_time(folder / video)) for video in paths]
    print_ = _builders.fingerprint(str(folder), stats, dataclasses.asdict(cut), validation, test)
    stem = "".join(letter if letter.isalnum() else "_" for letter in folder.name)[:40]
    return f"{stem}-{print_}"


def _size_and_time(file: pathlib.Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _prepared(config: Config, root: pathlib.Path, beam: str | None) -> pathlib.Path:
    directory = root / "video_folder" / config.name / str(VideoFolder.VERSION)
    if not _builders.is_prepared(directory):
        _media.require_av()
        if _prepare(config, root, beam):
            _tell(directory)
    return directory


def _prepare(config: Config, root: pathlib.Path, beam: str | None) -> bool:
    if beam is None:
        return _builders.prepare(_builders.build(VideoFolder, config, root))
    from mmjax.data import _video_folder_beam

    return _video_folder_beam.prepare(config, root, beam)


# -- cutting, in parallel ----------------------------------------------------------------------------------------------


def extract(folder: str, cut: _media.Cut, path: str) -> Iterator[tuple[str, dict[str, Any]] | dict[str, Any]]:
    """Yields (key, example) for each clip of one video and, last, its report.

    Returns:
      The report is {"path", "clips", "kind", "detail"}; `kind` is "" for a video without fault.
    """
    count, kind, detail = 0, "", ""
    try:
        clips, detail = _media.clips(pathlib.Path(folder) / path, cut)
        for clip in clips:
            example = {"frames": list(clip.frames), "waveform": clip.waveform, "group": path, "start": clip.start}
            yield f"{path}#{count:06d}", example
            count += 1
        kind = "truncated" if detail else ""
    except _media.Unusable as error:
        kind, detail = ("truncated" if count else error.kind), error.detail
    yield {"path": path, "clips": count, "kind": kind, "detail": detail}


def extract_to_spool(folder: str, cut: _media.Cut, spool: pathlib.Path, path: str) -> dict[str, Any]:
    """Runs in a worker process: clips go to a file one by one, so that a long video fills neither memory nor a pipe."""
    report: dict[str, Any] = {}
    with open(spool_file(spool, path), "wb") as file:
        for item in extract(folder, cut, path):
            if isinstance(item, dict):
                report = item
            else:
                pickle.dump(item, file, protocol=pickle.HIGHEST_PROTOCOL)
    if not report["clips"]:
        spool_file(spool, path).unlink()
    return report


def spool_file(spool: pathlib.Path, path: str) -> pathlib.Path:
    return spool / _builders.fingerprint(path)


def read_spool(file: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with open(file, "rb") as stream, contextlib.suppress(EOFError):
        while True:
            yield pickle.load(stream)


def _extract_all(config: Config, spool: pathlib.Path) -> list[dict[str, Any]]:
    """Cuts every video of the folder; returns their reports in any order."""
    paths = videos(pathlib.Path(config.path))
    work = functools.partial(extract_to_spool, config.path, config.cut, spool)
    reports, clips = [], 0
    with tqdm.tqdm(total=len(paths), desc="cutting videos", unit="video", disable=None) as bar:
        for report in _map(work, paths, min(config.workers, len(paths))):
            reports.append(report)
            clips += report["clips"]
            bar.set_postfix_str(f"{clips} clips")
            bar.update()
    return reports


def _map(work: Any, paths: list[str], workers: int) -> Iterator[dict[str, Any]]:
    """Results of `work` in any order, from spawned processes where there are several."""
    if workers == 1:
        yield from map(work, paths)
        return
    # Spawn, not fork: a fork would copy the locks of JAX's threads, in whatever state they are.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {pool.submit(work, path): path for path in paths}
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise UserError(
                "a process that cut videos was killed (out of memory, or a video that crashes the decoder): "
                "try config.data.workers=1"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


# -- what was left out -------------------------------------------------------------------------------------------------


def _write_report(directory: pathlib.Path, path: str, reports: list[dict[str, Any]]) -> None:
    """Writes skipped.json; raises UserError where no video could be used."""
    faults = [report for report in reports if report["kind"]]
    counts = dict(collections.Counter(report["kind"] for report in faults))
    if not any(report["clips"] for report in reports):
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        raise UserError(f"config.data.path={path!r} has no usable video with sound: {found}")
    summary = {
        "videos": len(reports),
        "used": sum(report["clips"] > 0 for report in reports),
        "clips": sum(report["clips"] for report in reports),
        "counts": counts,
        "files": faults,
    }
    (directory / "skipped.json").write_text(json.dumps(summary, indent=2))


def _tell(directory: pathlib.Path) -> None:
    """Prints what was prepared, and one line per kind of file that was left out."""
    report = json.loads((directory / "skipped.json").read_text())
    print(f"video_folder: {report['clips']} clips of {report['used']} of {report['videos']} videos", file=sys.stderr)
    for kind, count in sorted(report["counts"].items()):
        first = next(entry["path"] for entry in report["files"] if entry["kind"] == kind)
        action = "used up to the damage" if kind == "truncated" else "skipped"
        print(
            f"video_folder: {count} {kind} ({first}{', ...' if count > 1 else ''}) {action}; see "
            f"{directory / 'skipped.json'}",
            file=sys.stderr,
        )
