"""Child processes of tests, limited by what they do and not by the clock: a slow machine fails no test.

A child is ended when it stands still (over STILL seconds nothing was printed and hardly any CPU was used, by it or by
its own children: it waits for what never comes) or turns in a circle (SILENT seconds of CPU without a line). The
failure says which limit was hit, the command, and all that was printed.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil
import pytest

ROOT = Path(__file__).parent.parent
STILL = 300.0  # seconds of wall time; who waits for a lock or another process still beats its heart now and then
LEAST = 0.02  # CPU seconds for each of these seconds, below which a process stands still
SILENT = 3600.0  # CPU seconds without a line: ten times what the slowest test needs in all
# XLA ends a process whose virtual devices do not all reach an exchange within 40 s, however busy the machine is.
PATIENT = "--xla_cpu_collective_call_terminate_timeout_seconds=3600"
# Options with which XLA compiles for CPUs in half the time: no optimisation, and loops written as LLVM's code without
# the detour over MLIR.
QUICK = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_llvm_disable_expensive_passes=true",
)
POLL = 0.05  # seconds between looks at the output
LOOK = 5.0  # and at the limits


@dataclasses.dataclass
class Progress:
    """Looks at a process from time to time; see above for the limits.

    The CPU seconds and the wall time are counted from the last line, or from the last look at a process that had
    worked for `still` seconds without one.
    """

    still: float
    silent: float
    lines: int = -1
    at_line: float = 0.0
    cpu: float = 0.0
    began: float = 0.0

    def stopped(self, now: float, cpu: float, lines: int) -> str:
        """Why the process is to be ended, "" for not.

        Args:
          now: seconds of a clock.
          cpu: seconds that it has used since it began.
          lines: how many it has printed.
        """
        if lines != self.lines:
            self.lines, self.at_line, self.cpu, self.began = lines, cpu, cpu, now
        waited, used = now - self.began, cpu - self.cpu
        if waited > self.still:
            if used < LEAST * waited:
                return f"stood still: in {waited:.0f} s it printed nothing and used {used:.1f} s of CPU"
            self.cpu, self.began = cpu, now
        if cpu - self.at_line > self.silent:
            return f"used {cpu - self.at_line:.0f} s of CPU without printing a line"
        return ""


class Child:
    """A process whose output is read as it comes. `with` ends what is left of it, whatever the test met.

    Args:
      *command: the program and its arguments.
      cwd: where it runs.
      still, silent: limits, see above.
      **env: changes to the environment.
    """

    def __init__(self, *command: object, cwd: Path = ROOT, still: float = STILL, silent: float = SILENT, **env: str):
        self.command = [str(word) for word in command]
        self.still, self.silent = still, silent
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **env}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(self.command, cwd=cwd, env=environment, **pipes)
        self._tree = psutil.Process(self.process.pid)
        self._seen: dict[psutil.Process, float] = {}
        self._lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._lines]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def _read(self, name: str) -> None:
        pipe: IO[bytes] = getattr(self.process, name)
        with pipe:
            for line in pipe:
                self._lines[name].append(line.decode(errors="replace"))

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return "".join(self._lines["stdout"])

    @property
    def stderr(self) -> str:
        """What it has said on stderr so far."""
        return "".join(self._lines["stderr"])

    def until(self, start: str) -> str:
        """Waits for a line of stdout that begins with `start`, and returns it."""

        def found() -> str:
            return next((line for line in list(self._lines["stdout"]) if line.startswith(start)), "")

        # The readers may still hold the last lines of a process that has ended.
        self._watch(lambda: bool(found()) or self._ended(), f"a line {start!r}")
        if not found():
            self._fail(f"ended with status {self.process.returncode} and printed no line {start!r}")
        return found()

    def send(self, number: int) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def finish(self) -> subprocess.CompletedProcess[str]:
        """Waits for its end; returns its exit status and all that it printed."""
        self._watch(self._ended, "its end")
        return subprocess.CompletedProcess(self.command, self.process.returncode, self.stdout, self.stderr)

    def end(self) -> None:
        """Ends it and its own children at once."""
        if not self._ended():
            self._cpu()  # who there is
            for process in self._seen:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
        self.process.wait()

    def _ended(self) -> bool:
        return self.process.poll() is not None and not any(reader.is_alive() for reader in self._readers)

    def _cpu(self) -> float:
        """CPU seconds of it and its descendants; never less than before."""
        try:
            living = [self._tree, *self._tree.children(recursive=True)]
        except psutil.NoSuchProcess:
            living = list(self._seen)  # it has ended; what it left behind may go on
        for process in living:
            try:
                used = sum(process.cpu_times()[:4])  # user, system, and both of the children waited for
            except psutil.Error:
                continue
            self._seen[process] = max(used, self._seen.get(process, 0.0))
        return sum(self._seen.values())

    def _watch(self, done: Callable[[], bool], what: str) -> None:
        """Returns when `done`; fails the test, and ends the child, at a limit."""
        progress, look = Progress(self.still, self.silent), 0.0
        while not done():
            time.sleep(POLL)
            now = time.monotonic()
            if now >= look:
                look = now + min(LOOK, self.still / 4)
                why = progress.stopped(now, self._cpu(), sum(map(len, self._lines.values())))
                if why:
                    self._fail(f"{why}, while {what} was awaited")

    def _fail(self, why: str) -> None:
        self.end()
        command = " ".join(self.command)
        pytest.fail(f"{command}\n{why}\n-- stdout\n{self.stdout}\n-- stderr\n{self.stderr}", pytrace=False)


def xla_flags(devices: int = 1) -> str:
    """XLA_FLAGS of a child with so many virtual devices, otherwise as they are here."""
    count = "--xla_force_host_platform_device_count="
    rest = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if not flag.startswith(count)]
    return " ".join([*rest, *([f"{count}{devices}"] if devices > 1 else [])])


def run(*command: object, **options) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end; arguments as of `Child`."""
    with Child(*command, **options) as child:
        return child.finish()


def python(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """Runs this Python to its end; arguments as of `Child`."""
    return run(sys.executable, *arguments, **options)


def quick_flags() -> str:
    """QUICK, but for what the installed XLA does not know: it ends a process that sets an unknown flag."""
    folder = Path(importlib.util.find_spec("jaxlib").submodule_search_locations[0])
    library = max(folder.glob("*.so"), key=lambda file: file.stat().st_size)
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code:
        return " ".join(flag for flag in QUICK if code.find(flag[2:].partition("=")[0].encode()) >= 0)
