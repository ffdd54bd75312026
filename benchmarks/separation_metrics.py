"""SDR, SIR and SAR of separated sounds: mmjax on the device and in double precision against mir_eval, by turns.

    python benchmarks/separation_metrics.py [--quick] [--clips 8] [--samples 65535]

Each clip has two sources (coloured noise) and two estimates with interference and noise; every estimate is judged
against every source, and the better order is taken, as mir_eval does by default. Device figures come from one jitted
call for all clips; mir_eval takes one clip at a time. The figures must agree to 1e-3 dB before the clock starts.

Ratios are of processor seconds of the whole process, which neither other work on the machine nor how well a library
uses several cores changes much; wall times stand beside them.

results/separation_metrics.json is written only by a full run at the default sizes that began at a load of at most 0.5,
or with --busy; any other run prints why it was not.
"""

from __future__ import annotations

import pathlib
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import _side_by_side as side_by_side
import jax
import mir_eval
import numpy as np
import scipy.signal

from mmjax.metrics.separation import assignment, bss_eval, bss_eval_host

RESULT = pathlib.Path(__file__).parent / "results" / "separation_metrics.json"
SIZES = {"clips": 8, "samples": 65535}
OURS, HOST, PEER = "mmjax, device", "mmjax, host", "mir_eval"
FIGURES = ("sdr", "sir", "sar")


def main() -> None:
    """The command line."""
    options = side_by_side.parser(__doc__, SIZES).parse_args()
    options.load = side_by_side.load()
    sources, estimates = sounds(options.clips, options.samples)
    calls = {OURS: device(sources, estimates), HOST: host(sources, estimates), PEER: peer(sources, estimates)}
    found = {name: call() for name, call in calls.items()}
    differences = {name: float(np.abs(found[name] - found[PEER]).max()) for name in (OURS, HOST)}
    for name, difference in differences.items():
        assert difference < 1e-3, f"{name} and {PEER} differ by {difference:.1e} dB"
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(1 if options.quick else 5):
        for name, call in calls.items():
            time.sleep(side_by_side.PAUSE)
            wall, used = time.perf_counter(), time.process_time()
            call()
            times[name].append(
                ((time.perf_counter() - wall) / options.clips, (time.process_time() - used) / options.clips)
            )
    report(options, times, differences)


def sounds(clips: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Sources and estimates, float32 [clips 2 samples]."""
    rng = np.random.default_rng(0)
    s = scipy.signal.lfilter([1], [1, -1.6, 0.8], rng.standard_normal((clips, 2, samples))).astype(np.float32)
    x = s + 0.3 * s[:, ::-1] + 0.2 * rng.standard_normal(s.shape)
    return s, x.astype(np.float32)[:, ::-1]  # in the other order


def device(sources: np.ndarray, estimates: np.ndarray) -> Callable[[], np.ndarray]:
    """One jitted call for all clips."""

    @jax.jit
    def figures(s, x):
        found = bss_eval.bss_eval(s, x)
        order = assignment.best_order(found["sir"])
        return [assignment.in_order(found[name], order) for name in FIGURES]

    arguments = jax.device_put((sources, estimates))
    return lambda: np.stack(jax.block_until_ready(figures(*arguments)), 1)


def host(sources: np.ndarray, estimates: np.ndarray) -> Callable[[], np.ndarray]:
    """Clip by clip in double precision."""

    def one(s, x):
        found = bss_eval_host.bss_eval(s, x)
        ordered = bss_eval_host.in_order(found, bss_eval_host.best_order(found["sir"]))
        return [ordered[name] for name in FIGURES]

    return lambda: np.array([one(s, x) for s, x in zip(sources, estimates, strict=True)])


def peer(sources: np.ndarray, estimates: np.ndarray) -> Callable[[], np.ndarray]:
    """Clip by clip."""

    def one(s, x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 0.8 says that it is to go in 0.9
            return mir_eval.separation.bss_eval_sources(s.astype(np.float64), x.astype(np.float64))[:3]

    return lambda: np.array([one(s, x) for s, x in zip(sources, estimates, strict=True)])


def report(options: Any, times: dict[str, list[tuple[float, float]]], differences: dict[str, float]) -> None:
    """Prints the medians and, unless something speaks against it, writes them down."""
    wall = {name: statistics.median(w for w, _ in values) for name, values in times.items()}
    used = {name: statistics.median(u for _, u in values) for name, values in times.items()}
    ratios = {name: round(used[PEER] / used[name], 2) for name in (OURS, HOST)}
    figures = {
        "device": side_by_side.device_name(),
        "versions": {"jax": jax.__version__, "mir_eval": mir_eval.__version__, "python": platform.python_version()},
        "settings": {name: getattr(options, name) for name in SIZES},
        "wall_seconds_per_clip": {name: round(value, 4) for name, value in wall.items()},
        "processor_seconds_per_clip": {name: round(value, 4) for name, value in used.items()},
        "largest_difference_db": differences,
        "load_before": round(options.load, 2),
        "ratios_of_processor_seconds": ratios,
    }
    for name in times:
        print(f"{name:<16} {used[name]:.4f} s of processor, {wall[name]:.4f} s of wall time a clip")
    own = all(getattr(options, name) == size for name, size in SIZES.items())
    side_by_side.keep(figures, RESULT, side_by_side.unwritten(options, own))
    for name, ratio in ratios.items():
        print(f"ratio {ratio:.1f} SDR, SIR and SAR of {options.samples} samples, two sources: {name} over {PEER}")


if __name__ == "__main__":
    main()
