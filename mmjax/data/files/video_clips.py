"""Cuts the videos of a folder into clips, in parallel, and the TensorFlow Datasets builder that stores them."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from mmjax.data.files import child_processes, clip_spool, prepared, tree, video
from mmjax.errors import UserError

# Containers of pictures with sound that FFmpeg reads, by the names that cameras, phones and archives give them.
SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mkv", ".webm", ".avi", ".divx"),
    *(".ts", ".mts", ".m2ts", ".m2t", ".tod", ".mpg", ".mpeg", ".mpe", ".m2p", ".vob", ".mod", ".dv", ".mxf"),
    *(".wmv", ".asf", ".flv", ".ogv", ".ogm", ".rm", ".rmvb", ".amv", ".nut"),
)


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """What is cut, and how. The name carries the fingerprint of both, so a changed folder is prepared anew."""

    path: str = ""
    cut: video.Cut = dataclasses.field(default_factory=video.Cut)
    validation: float = 0.1
    test: float = 0.1
    workers: int = 1


class VideoFolder(tfds.core.GeneratorBasedBuilder):
    """Clips of the videos of one folder, split by video."""

    VERSION = tfds.core.Version("2.0.0")  # raised whenever the same videos would give other clips

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
        found = find(pathlib.Path(config.path))
        reports = sorted(self._extract_all(spool, list(found.files)), key=lambda report: report["path"])
        _write_report(pathlib.Path(self.data_path), config.path, reports, found)
        usable = [report["path"] for report in reports if report["clips"]]
        splits = prepared.assign_splits(usable, config.validation, config.test)
        by_split = {name: [path for path in usable if splits[path] == name] for name in ("train", "validation", "test")}
        return {name: self._generate_examples(spool, paths) for name, paths in by_split.items() if paths}

    def _extract_all(self, spool: pathlib.Path, paths: list[str]) -> list[dict[str, Any]]:
        """Cuts the videos; returns their reports in any order."""
        config = self.builder_config
        reports, clips = [], 0
        with tqdm.tqdm(total=len(paths), desc="cutting videos", unit="video", disable=None) as bar:
            workers = max(1, min(config.workers, len(paths)))
            for report in cut_videos(config.path, config.cut, spool, paths, workers):
                reports.append(report)
                clips += report["clips"]
                bar.set_postfix_str(f"{clips} clips")
                bar.update()
        return reports

    def _generate_examples(self, spool: pathlib.Path, paths: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for path in paths:
            file = clip_spool.file_of(spool, path)
            yield from clip_spool.read(file)
            file.unlink()
        with contextlib.suppress(OSError):  # not empty until the last split is written
            spool.rmdir()


def find(folder: pathlib.Path) -> tree.Found:
    """The videos in any sub-folder, each once; what is hidden is no video."""
    return tree.once(folder, tree.walk(folder, SUFFIXES))


def cut_videos(
    folder: str, cut: video.Cut, spool: pathlib.Path, paths: Iterable[str], workers: int
) -> Iterator[dict[str, Any]]:
    """Cuts videos in child processes; yields their reports in any order. A video that ends its child is skipped."""
    work = functools.partial(clip_spool.write, folder, cut, spool)
    for path, report in child_processes.each(work, paths, workers):
        if isinstance(report, child_processes.Lost):
            clip_spool.file_of(spool, path).unlink(missing_ok=True)  # as far as it came
            yield {"path": path, "clips": 0, "kind": report.kind, "detail": report.detail}
        else:
            yield report


def _write_report(directory: pathlib.Path, path: str, reports: list[dict[str, Any]], found: tree.Found) -> None:
    """Writes skipped.json; raises UserError where no video could be used."""
    unseen = [{"clips": 0, **dataclasses.asdict(fault)} for fault in found.faults]
    # By name, for children are done in another order each time.
    faults = sorted([report for report in reports if report["kind"]] + unseen, key=lambda fault: fault["path"])
    counts = dict(collections.Counter(fault["kind"] for fault in faults))
    if not any(report["clips"] for report in reports):
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        raise UserError(f"config.data.path={path!r} has no usable video with sound: {kinds}")
    summary = {
        "videos": len(reports),
        "used": sum(report["clips"] > 0 for report in reports),
        "clips": sum(report["clips"] for report in reports),
        "counts": counts,
        "files": faults,
        "ignored": found.ignored,
    }
    (directory / "skipped.json").write_text(json.dumps(summary, indent=2))
