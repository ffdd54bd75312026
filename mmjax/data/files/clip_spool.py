"""Cuts one video into a file of clips: the work of a child process, in a module that is imported quickly."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import pickle
from collections.abc import Iterator
from typing import Any

from mmjax.data.files import media, video


def extract(folder: str, cut: video.Cut, path: str) -> Iterator[tuple[str, dict[str, Any]] | dict[str, Any]]:
    """Yields (key, example) for each clip of one video and, last, its report.

    Returns:
      The report is {"path", "clips", "kind", "detail"}; `kind` is "" for a video without fault.
    """
    count, kind, detail = 0, "", ""
    try:
        clips, detail = video.clips(pathlib.Path(folder) / path, cut)
        for clip in clips:
            example = {"frames": list(clip.frames), "waveform": clip.waveform, "group": path, "start": clip.start}
            yield f"{path}#{count:06d}", example
            count += 1
        kind = "truncated" if detail else ""
    except media.Unusable as error:
        kind, detail = ("truncated" if count else error.kind), error.detail
    yield {"path": path, "clips": count, "kind": kind, "detail": detail}


def write(folder: str, cut: video.Cut, spool: pathlib.Path, path: str) -> dict[str, Any]:
    """Clips go to a file one by one, so that a long video fills neither memory nor a pipe. Returns the report."""
    report: dict[str, Any] = {}
    with open(file_of(spool, path), "wb") as file:
        for item in extract(folder, cut, path):
            if isinstance(item, dict):
                report = item
            else:
                pickle.dump(item, file, protocol=pickle.HIGHEST_PROTOCOL)
    if not report["clips"]:
        file_of(spool, path).unlink()
    return report


def file_of(spool: pathlib.Path, path: str) -> pathlib.Path:
    """Where the clips of a video go."""
    return spool / hashlib.sha256(path.encode()).hexdigest()[:24]


def read(file: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """What `write` wrote."""
    with open(file, "rb") as stream, contextlib.suppress(EOFError):
        while True:
            yield pickle.load(stream)
