"""Writes that fail, for the campaign of faults: a full or read-only disk, at each kind of file that a run writes."""

from __future__ import annotations

import errno
import json
import pathlib
import re
import shutil
from collections.abc import Sequence

from _fault_runs import EVERY, WORDS, Process, Tally, contents, differences

from mmjax import workdir as files

# A run that writes what skip-gram does not: a frozen teacher, and what is fitted afterwards.
FROZEN = ("--config=configs/sound_tagging.py:tiny", "--config.features.layers=('pool3',)", *EVERY)
ERRORS = {"disk full": errno.ENOSPC, "read-only": errno.EROFS}
# Raises the error where a file whose path has the pattern is opened to write, made, renamed or removed: once on the
# audit hook of Python, no library can write around it but those in C++, which the limit on the size of files meets.
INJECT = """
import os, re, sys
def refuse(event, arguments, pattern=re.compile({pattern!r}), number={number}):
    if event == "open":
        path, mode, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if mode is None else set(str(mode)) & set("wax+")
    elif event in ("os.rename", "os.mkdir", "os.truncate"):
        path, writes = arguments[1 if event == "os.rename" else 0], True
    else:
        return
    if writes and isinstance(path, (str, bytes)) and pattern.search(os.fsdecode(path)):
        raise OSError(number, os.strerror(number), os.fsdecode(path))
sys.addaudithook(refuse)
"""
LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"


def kinds(workdir: pathlib.Path) -> dict[str, int]:
    """{pattern: size in bytes of the largest} of the kinds of files of a finished workdir; numbers stand for any."""
    found: dict[str, int] = {}
    for path in workdir.rglob("*"):
        if path.is_file():
            parts = path.relative_to(workdir).parts
            inner = parts[:1] if parts[0] in (files.CHECKPOINTS, files.FROZEN, files.FITTED, files.FEATURES) else parts
            name = "/".join(re.sub(r"\d+", r"\\d+", re.escape(part)) for part in inner[:2])
            name = re.sub(r"events.*", "events", name)
            found[name] = max(found.get(name, 0), path.stat().st_size)
    return found


def campaign(work: pathlib.Path, tally: Tally, quick: bool) -> None:
    """Each kind of write fails in each way, once; then the same command must go on to where the straight run ended."""
    runs = {"words": WORDS} if quick else {"words": WORDS, "frozen": FROZEN}
    for name, flags in runs.items():
        reference = work / f"writes-{name}"
        shutil.rmtree(reference, ignore_errors=True)
        ended = Process([*flags, f"--workdir={reference}"]).end()
        if ended.status:
            raise SystemExit(f"the straight run failed: {ended.errors}")
        expected, seen = contents(reference), kinds(reference)
        for kind, size in sorted(seen.items()):
            for way, number in ERRORS.items():
                inject = INJECT.format(pattern=rf"writes-fault/{kind}", number=number)
                _one(f"{name}: {way} at {kind}", flags, inject, work, expected, tally)
            if size > 1:
                _one(f"{name}: full within {kind}", flags, LIMIT.format(size=size - 1), work, expected, tally)


def _one(
    title: str, flags: Sequence[str], before: str, work: pathlib.Path, expected: dict[str, str], tally: Tally
) -> None:
    workdir = work / "writes-fault"
    shutil.rmtree(workdir, ignore_errors=True)
    command = [*flags, f"--workdir={workdir}"]
    hit = Process(command, before).end()
    said = hit.last_line()
    what = "ended with one line" if hit.status else "went on" if said else "went on without a word"
    print(f"  {title}: {what}: {said[:150]}", flush=True)
    if hit.traceback:
        tally.fault(f"{title}: a traceback, {said[:200]}")
    if hit.status and not said.startswith("train.py:"):
        tally.fault(f"{title}: ended with status {hit.status} and said {said[:200]!r}")
    tally.add(f"failed writes after which the run {what}")
    again = Process(command).end()
    if again.status or again.traceback:
        tally.fault(f"{title}: afterwards it did not go on: {again.last_line()[:200]}")
        return
    other = differences(contents(workdir), expected)
    if other:
        tally.fault(f"{title}: afterwards it differs in {', '.join(other[:3])}")
    elif not (workdir / files.REPORT).exists():
        tally.fault(f"{title}: afterwards it has no report")
    else:
        tally.add("runs equal to the straight one after a failed write")
    status = json.loads((workdir / files.STATUS).read_text())
    if status["state"] != "done":
        tally.fault(f"{title}: afterwards its status says {status['state']}")
