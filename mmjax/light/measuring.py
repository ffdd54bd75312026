"""Latency: candidates in turns, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

PAUSE = 0.02  # seconds before each turn, for the other runtime's idle threads to stop spinning
TURN = 5  # timed calls of one turn, after one that is not timed
LEAST = 3  # rounds, however long they take


def in_turns(calls: Mapping[Any, Callable[[], Any]], rounds: int, limit: float) -> dict[Any, np.ndarray]:
    """Seconds of each call [n], all candidates in turn.

    Args:
      calls: {candidate: what is timed, until its answer is there}; each is called twice before, untimed.
      rounds: turns of each.
      limit: seconds after which no more rounds begin, but for the first LEAST.
    """
    for call in calls.values():
        call()
        call()
    found: dict[Any, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + limit
    for number in range(rounds):
        if number >= LEAST and time.perf_counter() > end:
            break
        for name, call in calls.items():
            time.sleep(PAUSE)
            call()
            for _ in range(TURN):
                began = time.perf_counter()
                call()
                found[name].append(time.perf_counter() - began)
    return {name: np.array(seconds) for name, seconds in found.items()}


def summary(seconds: np.ndarray) -> dict[str, float]:
    """Median and 95th percentile in milliseconds, and of how many calls."""
    median, high = np.percentile(seconds * 1e3, (50, 95))
    return {"median_ms": float(median), "p95_ms": float(high), "calls": len(seconds)}


_CHILD = """import pathlib, sys
import numpy, onnxruntime
batch = dict(numpy.load(sys.argv[2]))
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[3])
def told(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])
try:
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak so far, of importing, is forgotten
except OSError:
    pass
before = told("VmRSS")
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
for _ in range(3):
    session.run(None, batch)
print(1024 * (told("VmHWM") - before))
"""


def onnx_memory(path: Path, batch: Mapping[str, np.ndarray], threads: int) -> int | None:
    """By how many bytes a fresh process grows at its peak that opens the file and runs the batch three times.

    ONNX Runtime plans nothing that could be read, so this is measured, with whatever the runtime itself needs for its
    first session. None where there is no /proc to read it from, as on macOS, or the process fails.

    Args:
      path: of the file.
      batch: that it runs.
      threads: of the runtime.
    """
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "batch.npz"
        np.savez(given, **dict(batch))  # type: ignore[arg-type]
        command = [sys.executable, "-c", _CHILD, str(path), str(given), str(threads)]
        done = subprocess.run(command, capture_output=True, text=True)
    return int(done.stdout) if done.returncode == 0 else None


def threads() -> int:
    """How many processors this process may use: XLA takes all of them, and so other runtimes are told to."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """The load average of the last minute, of which this process's own start is a part; 0 where there is none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
