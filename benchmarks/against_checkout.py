"""Training steps of this checkout against those of another one of mmjax: has a change made a step slower?

python benchmarks/against_checkout.py OTHER [--configs soundnet clip captioning] [--rounds 20] [--steps 3] [--quick]

OTHER is a folder with another commit of this repository, such as what `git worktree add ../other COMMIT` makes. Each
side is a process of its own on its own code, which prepares the default variant of a config as a run does (same seed,
same data, same devices) and trains on one held batch. The two take turns: in each round each side makes `steps` steps
while the other waits, and the order changes with every round. What is compared is the time of a step, round by round:
the ratio's median, and the 95 % interval of that median by 10,000 resamplings of the rounds.

Both sides must report the same first loss, or they do not compute the same. Last line: `ratio N.NN` of the slowest
config, above 1 = this checkout ahead. With --write the figures go to results/against_checkout.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent.parent
CONFIGS = ("soundnet", "clip", "captioning")


def serve(name: str, compared: int) -> None:
    """One side: prepares, says the losses of its first steps, then makes as many steps as each line of input says."""
    import importlib.util

    import jax

    try:
        from mmjax.data import pipeline
        from mmjax.engine import loop
    except ImportError:  # before the house had rooms
        from mmjax import loop
    found = importlib.util.spec_from_file_location("config", Path("configs") / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    config = module.get_config("")
    if "feature_cache" in config:
        config.feature_cache = ""  # steps on pictures, which every commit has
    said = sys.stdout
    sys.stdout = sys.stderr  # the run's own lines
    with tempfile.TemporaryDirectory() as folder:
        ready = loop.prepare(config, Path(folder) / "run")
        call = loop._caller(ready)
        state = ready.placement.place(ready.state)
        batches = pipeline.train_batches(
            ready.sources[config.train_split], config.batch_size, 0, 0, (0, 1), **config.loader
        )
        first = []
        for _ in range(compared):
            batch = next(batches)
            state, figures = call(state, [batch])
            first.append({name: float(value) for name, value in figures.items() if name.startswith("loss/")})
        print(json.dumps(first), file=said, flush=True)
        for line in sys.stdin:
            began = time.perf_counter()
            for _ in range(int(line)):
                state, figures = call(state, [batch])
            jax.block_until_ready((state, figures))
            print((time.perf_counter() - began) / int(line), file=said, flush=True)
        ready.saver.close()


def side(checkout: Path, name: str, compared: int) -> subprocess.Popen:
    """Starts a side in its checkout."""
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", name, "--compared", str(compared)]
    env = {**os.environ, "PYTHONPATH": str(checkout), "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=checkout, env=env, text=True, **pipes)


def answer(process: subprocess.Popen) -> str:
    """The next line of a side."""
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"a side ended with status {process.wait()}: {process.args}")
    return line


def apart(this: list[dict[str, float]], other: list[dict[str, float]]) -> list[float]:
    """The largest relative difference of a loss, for each step."""
    return [
        max(abs(step[k] - theirs[k]) / max(abs(theirs[k]), 1e-9) for k in step)
        for step, theirs in zip(this, other, strict=True)
    ]


def compare(other: Path, name: str, rounds: int, steps: int, compared: int = 1) -> dict:
    """Times both sides of one config, by turns, and says how far the losses of the first `compared` steps lie apart."""
    sides = {"this": side(HERE, name, compared), "other": side(other, name, compared)}
    first = {which: json.loads(answer(process)) for which, process in sides.items()}
    differences = apart(first["this"], first["other"])
    if not differences[0] < 1e-4:
        raise SystemExit(f"{name}: the sides do not compute the same: {first}")
    times: dict[str, list[float]] = {"this": [], "other": []}
    for number in range(rounds + 2):
        for which in sorted(sides, reverse=bool(number % 2)):
            sides[which].stdin.write(f"{steps}\n")
            sides[which].stdin.flush()
            seconds = float(answer(sides[which]))
            if number >= 2:  # the first rounds warm up
                times[which].append(seconds)
    for process in sides.values():
        process.stdin.close()
        process.wait()
    ratios = np.array(times["other"]) / np.array(times["this"])
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(ratios, (10_000, len(ratios))), 1)
    low, high = np.percentile(medians, [2.5, 97.5])
    seconds = {which: float(np.median(values)) for which, values in times.items()}
    found = {"ratio": float(np.median(ratios)), "interval": [float(low), float(high)], "step_seconds": seconds}
    found["losses_apart"] = {"steps": compared, "largest": max(differences)}
    print(
        f"{name}: this {seconds['this']:.4f} s, other {seconds['other']:.4f} s a step; ratio {found['ratio']:.3f}, "
        f"95 % interval {low:.3f} to {high:.3f}, {rounds} rounds of {steps} steps",
        flush=True,
    )
    return found


def write(name: str, other: Path, found: dict) -> None:
    """Figures of both commits to results/`name`.json, with the processor's name."""
    commits = {
        which: subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True
        ).stdout.strip()
        for which, folder in (("this", HERE), ("other", other))
    }
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    about = {"device": f"{os.cpu_count()} cores of {cpu}", "commits": commits, "configs": found}
    path = HERE / "benchmarks" / "results" / f"{name}.json"
    path.write_text(json.dumps(about, indent=2) + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", nargs="?", help="a folder with another commit")
    parser.add_argument("--configs", nargs="+", default=CONFIGS)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one config, few rounds")
    parser.add_argument("--write", action="store_true", help="write results/against_checkout.json")
    parser.add_argument("--serve", metavar="CONFIG", help=argparse.SUPPRESS)
    parser.add_argument("--compared", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.compared)
        return
    if not options.other or not (Path(options.other) / "mmjax").is_dir():
        parser.error("give the folder of another checkout of mmjax")
    if options.quick:
        options.configs, options.rounds = options.configs[:1], 5
    other = Path(options.other).resolve()
    found = {name: compare(other, name, options.rounds, options.steps) for name in options.configs}
    if options.write:
        write("against_checkout", other, found)
    slowest = min(found, key=lambda name: found[name]["ratio"])
    print(f"ratio {found[slowest]['ratio']:.2f} training step of {slowest}: this checkout over the other")


if __name__ == "__main__":
    main()
