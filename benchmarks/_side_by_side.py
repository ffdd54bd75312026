"""What the benchmarks of training steps share: sides in turn, the device in words, and when figures are written."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

IDLE = 0.5  # load average above which a ratio is not to be quoted
PAUSE = 0.05  # seconds between steps, for the other library's idle threads to stop spinning


def alternate(sides: Mapping[str, Callable[[], Any]], rounds: int, limit: float) -> dict[str, list[float]]:
    """Seconds of each step, all sides in turn: `rounds` times, or, after three, until `limit` seconds have passed."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    end = time.perf_counter() + limit
    for number in range(rounds):
        if number >= 3 and time.perf_counter() > end:
            break
        for name, step in sides.items():
            time.sleep(PAUSE)
            began = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - began)
    return times


def device_name() -> str:
    """What the arrays are on, in words."""
    if jax.default_backend() != "cpu":
        return jax.devices()[0].device_kind
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def unwritten(options: Any, own: bool) -> list[str]:
    """Why the figures of this run do not belong into the results; empty if they do.

    Args:
      options: `quick`, `load`, the load average at the start, and perhaps `busy`: written all the same.
      own: whether the settings are the default ones.
    """
    busy = options.load > IDLE and not getattr(options, "busy", False)
    reasons = {
        "--quick takes too few steps, do not quote the ratio": options.quick,
        f"load average {options.load:.1f} at the start: other work may run beside this, do not quote the ratio": busy,
        "these are not the default settings": not own,
    }
    return [reason for reason, holds in reasons.items() if holds]


def keep(figures: Mapping[str, Any], path: pathlib.Path, reasons: Sequence[str]) -> None:
    """Writes the figures down, or prints why not."""
    for reason in reasons:
        print(f"nothing was written: {reason}")
    if not reasons:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n")
