"""Latency: candidates in turns, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
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


def threads() -> int:
    """How many processors this process may use: XLA takes all of them, and so other runtimes are told to."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """The load average of the last minute, of which this process's own start is a part; 0 where there is none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
