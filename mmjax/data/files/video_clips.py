"""Cuts the videos of a folder into clips, in parallel, and the TensorFlow Datasets builder that stores them."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import multiprocessing
import pathlib
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from mmjax.data.files import media, prepared
from mmjax.errors import UserError

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v")


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """What is cut, and how. The name carries the fingerprint of both, so a changed folder is prepared anew."""

    path: str = ""
    cut: media.Cut = dataclasses.field(default_factory=media.Cut)
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
            "waveform": prepared.sound(),
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
        splits = prepared.assign_splits(usable, config.validation, config.test)
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


def videos(folder: pathlib.Path) -> list[str]:
    """The videos in any sub-folder, as relative POSIX paths in order; hidden files are no videos."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(p.as_posix() for p in found if not p.name.startswith(".") and (folder / p).is_file())


def extract(folder: str, cut: media.Cut, path: str) -> Iterator[tuple[str, dict[str, Any]] | dict[str, Any]]:
    """Yields (key, example) for each clip of one video and, last, its report.

    Returns:
      The report is {"path", "clips", "kind", "detail"}; `kind` is "" for a video without fault.
    """
    count, kind, detail = 0, "", ""
    try:
        clips, detail = media.clips(pathlib.Path(folder) / path, cut)
        for clip in clips:
            example = {"frames": list(clip.frames), "waveform": clip.waveform, "group": path, "start": clip.start}
            yield f"{path}#{count:06d}", example
            count += 1
        kind = "truncated" if detail else ""
    except media.Unusable as error:
        kind, detail = ("truncated" if count else error.kind), error.detail
    yield {"path": path, "clips": count, "kind": kind, "detail": detail}


def extract_to_spool(folder: str, cut: media.Cut, spool: pathlib.Path, path: str) -> dict[str, Any]:
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
    return spool / prepared.fingerprint(path)


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
