"""From `python train.py --config=configs/soundnet.py` to the end of the first training step, in fresh processes.

    python benchmarks/start_up.py [--config configs/soundnet.py] [--rounds 3] [--quick]

Each round starts the command twice: with an empty compilation cache, and with the cache that the first left behind; the
workdir is empty both times. The clock starts before the interpreter does and stops when the first step's figures are on
the host; the process ends there. Printed are medians of the whole and of its parts, which follow each other, and beside
them what XLA compiled, whose seconds lie inside the parts. Files that Python reads are in the system's memory from the
second process on; the first round, which may read them from the disk, is not counted.

The limits are 15 s with an empty cache and 6 s with a full one. Last lines: `seconds N.NN` of both.
results/start_up.json is written by a run at the default settings on an idle machine.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
RESULT = HERE / "results" / "start_up.json"
LIMITS = {"empty": 15.0, "full": 6.0}  # seconds, by what is in the compilation cache
COMPILED = "/jax/core/compile/backend_compile_duration"


def serve(config: str, workdir: str, began: float) -> None:
    """The command itself, with a clock at the seams of its parts; prints them and ends after the first step."""
    parts: list[tuple[str, float]] = []
    events: dict[str, list[float]] = {}
    inside: list[str] = []

    def mark(name: str) -> None:
        parts.append((name, time.time()))

    def timed(name: str, function: Callable, *arguments: Any, **options: Any) -> Any:
        """Calls a function as a part of its own; the part before it ends here."""
        mark(inside[-1])
        inside.append(name)
        found = function(*arguments, **options)
        mark(inside.pop())
        return found

    from mmjax.tools import train

    parsed, folder, _ = train.parse([f"--config={config}", f"--workdir={workdir}"])
    mark("interpreter and config")
    import jax

    from mmjax.engine import logs, loop, prepare

    mark("imports of jax and of the engine")

    def heard(name: str, seconds: float, **_: Any) -> None:
        events.setdefault(name, []).append(seconds)

    def done(own: Any, step: int) -> None:
        mark(inside[-1])
        said = {
            "parts": {name: 0.0 for name, _ in parts},
            "compilations": len(events.get(COMPILED, ())),
            "compiling": sum(events.get(COMPILED, ())),
        }
        before = began
        for name, at in parts:
            said["parts"][name] += at - before
            before = at
        print(json.dumps({"total": before - began, **said}), file=output, flush=True)
        os._exit(0)  # what reads ahead is of no use any more

    jax.monitoring.register_event_duration_secs_listener(heard)
    names = {"open_splits": "data", "example_batch": "data", "create": "the state: traced, compiled and drawn"}
    for function, name in names.items():
        setattr(prepare, function, functools.partial(timed, name, getattr(prepare, function)))
    prepare.Ready.batches = _announced(prepare.Ready.batches, functools.partial(timed, "waiting for the first batch"))
    logs.Logs.begin = done
    inside.append("shapes, checks and records")
    ready = loop.prepare
    loop.prepare = lambda *arguments: (ready(*arguments), mark(inside[-1]), inside.append("the step: all of it"))[0]
    output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        loop.run(parsed, folder, "benchmark")


def _announced(batches: Callable, timed: Callable) -> Callable:
    """`Ready.batches`, whose every batch is waited for as a part of its own."""

    def announced(ready: Any, start: int):
        stream = batches(ready, start)
        while True:
            yield timed(next, stream)

    return announced


def start(config: str, cache: str) -> dict[str, Any]:
    """One process to the end of its first step."""
    with tempfile.TemporaryDirectory() as workdir:
        env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache, "PYTHONPATH": str(HERE.parent)}
        command = [sys.executable, str(pathlib.Path(__file__).resolve()), "--serve", workdir, "--config", config]
        began = repr(time.time())
        ended = subprocess.run([*command, "--began", began], cwd=HERE.parent, env=env, capture_output=True, text=True)
    if ended.returncode or not ended.stdout:
        raise SystemExit(f"the command failed:\n{ended.stderr}")
    return json.loads(ended.stdout.splitlines()[-1])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/soundnet.py")
    parser.add_argument("--rounds", type=int, default=3, help="counted ones; one more goes before them")
    parser.add_argument("--quick", action="store_true", help="one round after the first, nothing written")
    parser.add_argument("--serve", metavar="WORKDIR", help=argparse.SUPPRESS)
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.config, options.serve, options.began)
        return
    own = options.rounds == 3 and options.config == "configs/soundnet.py"
    options.rounds = 1 if options.quick else options.rounds
    import _side_by_side as side_by_side

    options.load = side_by_side.load()
    found: dict[str, list[dict[str, Any]]] = {"empty": [], "full": []}
    for number in range(options.rounds + 1):
        with tempfile.TemporaryDirectory() as cache:
            for name, runs in found.items():
                run = start(options.config, cache)
                runs += [run] if number else []
                print(f"round {number}, {name} cache: {run['total']:.2f} s", flush=True)
    report(options, own, found)


def report(options: Any, own: bool, found: dict[str, list[dict[str, Any]]]) -> None:
    """Prints the medians and writes those of a full run."""
    import _side_by_side as side_by_side
    import jax

    figures: dict[str, Any] = {"config": options.config, "jax": jax.__version__}
    figures |= {"limits": LIMITS, "load": options.load, "rounds": options.rounds}
    for name, runs in found.items():
        median = {part: statistics.median(run["parts"][part] for run in runs) for part in runs[0]["parts"]}
        figures[name] = {"seconds": statistics.median(run["total"] for run in runs), "parts": median}
        figures[name] |= {key: statistics.median(run[key] for run in runs) for key in ("compilations", "compiling")}
        print(f"\n{name} compilation cache")
        for part, seconds in median.items():
            print(f"  {part:<40}{seconds:6.2f} s")
        print(
            f"  {'inside: compiled or read from the cache':<40}{figures[name]['compiling']:6.2f} s, "
            f"{figures[name]['compilations']:.0f} programs"
        )
    side_by_side.keep_of_device(figures, RESULT, side_by_side.unwritten(options, own))
    for name in found:
        print(f"seconds {figures[name]['seconds']:.2f} to the first step, {name} cache; limit {LIMITS[name]:.0f}")


if __name__ == "__main__":
    main()
