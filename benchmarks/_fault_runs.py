"""Tiny runs of train.py for the campaign of faults: started, ended at a moment, gone on with, compared bit by bit."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import psutil

from mmjax import workdir as files

ROOT = pathlib.Path(__file__).parent.parent
GENTLE = 120.0  # seconds in which a process must be gone once it has nothing left to wait for
# The cheapest run there is, and one with pictures, batch norm and processes that read: both save at every other step.
EVERY = ("--config.save_every=2", "--config.log_every=1")
WORDS = ("--config=configs/skipgram.py:tiny", "--config.steps=40", "--config.eval.every=20", *EVERY)
PICTURES = ("--config=configs/recognition.py:tiny", "--config.steps=16", "--config.eval.every=8", *EVERY)
SYSTEMS = {"skip-gram": WORDS, "recognition": PICTURES}


@dataclasses.dataclass
class Ended:
    """How a process ended: its status (-9 for kill -9), what it printed, and how many of its children outlived it."""

    status: int
    output: str
    errors: str
    orphans: int = 0

    @property
    def traceback(self) -> bool:
        """Whether a user would have seen one."""
        return "Traceback (most recent call last)" in self.output + self.errors

    def last_line(self) -> str:
        """Of what it said went wrong."""
        lines = [line for line in self.errors.splitlines() if line.strip()]
        return lines[-1] if lines else ""


class Process:
    """A train.py under way.

    Args:
      flags: of the command line.
      before: code that the process runs first, "" for none.
      environment: changes to it.
    """

    def __init__(self, flags: Sequence[str], before: str = "", **environment: str):
        run = "import runpy; runpy.run_path('train.py', run_name='__main__')"
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.argv[:] = sys.argv[1:]\n{before}\n{run}", "train.py", *flags],
            cwd=ROOT,
            stdout=subprocess.PIPE,  # no files: what limits their size would limit these
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            start_new_session=True,
        )
        self.output: list[str] = []
        self.errors: list[str] = []
        pairs = ((self.process.stdout, self.output), (self.process.stderr, self.errors))
        self.readers = [threading.Thread(target=lines.extend, args=(pipe,), daemon=True) for pipe, lines in pairs]
        for reader in self.readers:
            reader.start()

    def until(self, text: str, limit: float = 300.0) -> bool:
        """Waits for a text on stdout; False if it ended, or `limit` seconds went by, without."""
        end = time.monotonic() + limit
        while not any(text in line for line in self.output[:]):
            if self.process.poll() is not None or time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def send(self, number: int) -> None:
        """Sends a signal to this process alone, as the kernel's killer does, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self, limit: float = 900.0) -> Ended:
        """Waits for its end, and a while for that of its children; what is left of either is killed."""
        status = self.process.wait(limit)
        deadline = time.monotonic() + 15.0
        while (left := _session(self.process.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in left:
            process.kill()
        for reader in self.readers:
            reader.join(5.0)
        return Ended(status, "".join(self.output), "".join(self.errors), len(left))


def _session(leader: int) -> list[psutil.Process]:
    """The processes of a session, its leader left out, and those that have ended."""
    found = []
    for process in psutil.process_iter():
        try:
            same = process.pid != leader and os.getsid(process.pid) == leader
            if same and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def contents(workdir: pathlib.Path) -> dict[str, str]:
    """{what: digest} of all of a finished run that must not depend on how often it was interrupted."""
    found = {}
    with ocp.CheckpointManager((workdir / files.CHECKPOINTS).absolute()) as manager:
        step = manager.latest_step()
        state = manager.restore(step, args=ocp.args.StandardRestore())
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        found[f"checkpoint {step}{jax.tree_util.keystr(path)}"] = _digest(np.asarray(leaf))
    results = json.loads((workdir / files.RESULTS).read_text())
    found["results"] = json.dumps(results["values"], sort_keys=True)
    for path in sorted((workdir / files.PREDICTIONS).glob("*.npz")):
        with np.load(path) as arrays:
            found |= {f"{path.name} {name}": _digest(arrays[name]) for name in arrays.files}
    for row in map(json.loads, (workdir / files.METRICS).read_text().splitlines()):
        values = {k: v for k, v in row["values"].items() if not _of_time(k)}
        found[f"{row['kind']} {row['step']}"] = json.dumps(values, sort_keys=True)
    return found


def _of_time(name: str) -> bool:
    """Whether a figure is of the clock and not of the run."""
    return bool(re.search(r"second|per_s|time|wait|memory", name))


def _digest(array: np.ndarray) -> str:
    return f"{array.dtype}{array.shape}{hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}"


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names whose values differ, or that only one of them has."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def straight(flags: Sequence[str], work: pathlib.Path) -> tuple[dict[str, str], float]:
    """A run that nobody interrupts: its contents, and how many seconds it took with everything compiled."""
    for attempt in range(2):  # the second finds a warm compilation cache, as all later ones do
        shutil.rmtree(work / "straight", ignore_errors=True)
        began = time.monotonic()
        ended = Process([*flags, f"--workdir={work / 'straight'}"]).end()
        seconds = time.monotonic() - began
        if ended.status:
            raise SystemExit(f"the straight run {attempt} failed: {ended.errors}")
    return contents(work / "straight"), seconds


@dataclasses.dataclass
class Tally:
    """What the campaign counts: how often each thing happened, and every fault in words."""

    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    faults: list[str] = dataclasses.field(default_factory=list)

    def add(self, what: str, number: int = 1) -> None:
        """Counts."""
        self.counts[what] = self.counts.get(what, 0) + number

    def fault(self, text: str) -> None:
        """Writes a fault down."""
        print(f"  FAULT: {text}", flush=True)
        self.faults.append(text)


def interrupted(
    number: int, flags: Sequence[str], work: pathlib.Path, wanted: int, signal_: int, rng: random.Random, tally: Tally
) -> int:
    """One run, hit by up to `wanted` signals in turn, until it is done; then it is compared with the straight one.

    A moment is drawn over the whole length of a run, or, half of the time, within a save: 0 to 30 ms after its
    temporary folder was seen.

    Returns:
      How many signals it was hit by.
    """
    workdir, hits, reached = work / f"run{number}", 0, 0
    expected, seconds = json.loads((work / "expected.json").read_text())
    while True:
        running = Process([*flags, f"--workdir={workdir}"])
        hit = hits < wanted and _strike(running, workdir, seconds, signal_, rng)
        ended = running.end()
        began = re.search(r"going on from step (\d+)", ended.output)
        if ended.traceback:
            tally.fault(f"run {number} after {hits} signals: a traceback, {ended.last_line()}")
        if ended.orphans:
            tally.fault(f"run {number}: {ended.orphans} child processes outlived it")
        anew = began[1] if began else "0" if "step 1/" in ended.output else None  # None: hit before it said so
        if anew is not None and int(anew) < reached:
            tally.fault(f"run {number}: had a checkpoint of step {reached}, went on from {anew}")
        if not hit or (ended.status == 0 and "stopped by" not in ended.output):
            break
        hits += 1
        tally.add("in a save" if "save" in hit else "at any moment")
        if signal_ == signal.SIGTERM and ended.status not in (0, -signal.SIGTERM):
            tally.fault(f"run {number}: SIGTERM ended with status {ended.status}: {ended.last_line()}")
        reached = _newest(workdir)
    if ended.status:
        tally.fault(f"run {number} did not end well: status {ended.status}, {ended.last_line()}")
        return hits
    other = differences(contents(workdir), expected)
    if other:
        tally.fault(f"run {number} after {hits} signals differs from the straight run in {', '.join(other[:3])}")
    else:
        tally.add("runs equal to the straight one")
        shutil.rmtree(workdir)
    return hits


def _strike(running: Process, workdir: pathlib.Path, seconds: float, number: int, rng: random.Random) -> str:
    """Sends the signal at a moment; in words which, "" if the run was done before."""
    if rng.random() < 0.5:
        deadline = time.monotonic() + rng.uniform(0, seconds)
        while time.monotonic() < deadline and running.process.poll() is None:
            time.sleep(0.005)
        moment = "any moment"
    else:
        before = rng.randrange(12)  # so many saves go by
        seen: set[str] = set()
        while len(seen) <= before and running.process.poll() is None:
            seen.update(_temporary(workdir))
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        moment = "save"
    if running.process.poll() is not None:
        return ""
    running.send(number)
    return moment


def _temporary(workdir: pathlib.Path) -> Iterator[str]:
    """The folders of saves under way."""
    try:
        yield from (name for name in os.listdir(workdir / files.CHECKPOINTS) if not name.isdigit())
    except OSError:
        return


def _newest(workdir: pathlib.Path) -> int:
    """The newest complete checkpoint, 0 for none."""
    return max((int(path.name) for path in (workdir / files.CHECKPOINTS).glob("*") if path.name.isdigit()), default=0)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pod(work: pathlib.Path, rng: random.Random, tally: Tally) -> None:
    """Four processes of two devices each are one run; one is killed; it goes on with four, with two and with one."""
    sizes = ("--config.model.widths=(4,8,8)", "--config.model.depths=(1,1,1)", "--config.loader.pixels=16")
    common = [*PICTURES, *sizes, "--config.steps=60", "--config.eval.every=0"]
    workdir = work / "pod"
    processes = _together(4, common, workdir)
    if not processes[0].until("step 5/"):
        tally.fault(f"the pod did not begin: {[process.end(5.0).last_line() for process in processes]}")
        return
    victim = rng.randrange(4)
    began = time.monotonic()
    processes[victim].send(signal.SIGKILL)
    for i, process in enumerate(processes):
        if i == victim:
            continue
        try:
            ended = process.end(GENTLE)
        except subprocess.TimeoutExpired:
            tally.fault(f"process {i} still ran {GENTLE:.0f} s after process {victim} was killed")
            process.send(signal.SIGKILL)
            continue
        seconds = time.monotonic() - began
        print(
            f"  process {i} ended {seconds:.0f} s after, status {ended.status}: {ended.last_line()[:200]}", flush=True
        )
        if ended.status == 0 or ended.traceback or not ended.last_line().startswith("train.py:"):
            tally.fault(f"process {i} ended with status {ended.status} and said {ended.last_line()[:200]!r}")
        else:
            tally.add("processes of a broken pod that ended with a line of ours")
    reached = _newest(workdir)
    for count in (4, 2, 1):
        there = work / f"pod{count}"
        shutil.copytree(workdir, there)
        _go_on(count, common, there, reached, tally)


def _go_on(count: int, flags: Sequence[str], workdir: pathlib.Path, reached: int, tally: Tally) -> None:
    said = [process.end() for process in _together(count, flags, workdir)]
    bad = [one for one in said if one.status or one.traceback]
    if bad or f"going on from step {reached}" not in said[0].output:
        tally.fault(f"the pod did not go on with {count} processes from step {reached}: {(bad or said)[0].last_line()}")
    else:
        tally.add("broken pods that went on, with four, two and one processes")


def _together(count: int, flags: Sequence[str], workdir: pathlib.Path) -> list[Process]:
    joined = [f"--workdir={workdir}", "--config.cpu_devices=2"]
    if count > 1:
        joined += [f"--coordinator=127.0.0.1:{free_port()}", f"--processes={count}"]
    return [Process([*flags, *joined, *([f"--process={i}"] if count > 1 else [])]) for i in range(count)]
