"""Examples per second that each data set gives, in one process and in two, against what a SoundNet step consumes.

    python benchmarks/input_pipeline.py [--quick] [--consumes EXAMPLES_PER_SECOND]

Reads through `mmjax.data.open`, in spawned processes that share nothing, as the loader's workers do. Runs with one and
with two processes alternate; the figures are medians. What a step consumes is measured by benchmarks/soundnet_step.py
and read from its result file, or given by the flag.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any

import numpy as np

from mmjax import data
from mmjax.data.sets import tux_stamps

HERE = pathlib.Path(__file__).parent
STEP = HERE / "results" / "soundnet_step.json"  # {device: {"examples_per_second": ...}}
WARM = 40  # examples before the clock starts: files are opened, and backgrounds drawn once are kept
SPAWN = multiprocessing.get_context("spawn")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer examples and repetitions: ends within a minute")
    parser.add_argument("--consumes", type=float, help="examples/s of a training step (default: read from results/)")
    options = parser.parse_args()
    seconds, repetitions = (1.0, 3) if options.quick else (5.0, 5)
    rates: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for label, opened in cases(pathlib.Path(folder), 8 if options.quick else 24):
            rates[label] = measure(opened, seconds, repetitions)
            row = "   ".join(f"{count} process{'es' * (count > 1)} {rate:7.1f}" for count, rate in rates[label].items())
            print(f"{label:<48} examples/s: {row}", flush=True)
    consumes = options.consumes or consumed()
    if consumes is None:
        sys.exit(f"no ratio: run benchmarks/soundnet_step.py first ({STEP.name}), or give --consumes")
    for label, by_processes in rates.items():
        print(f"{label:<48} {by_processes[2] / consumes:.2f} times what a step consumes ({consumes:.1f} examples/s)")
    default = next(iter(rates))
    ratio = rates[default][2] / consumes
    print(f"ratio {ratio:.2f} examples/s of {default}, 2 processes: mmjax over what a step consumes")


def cases(folder: pathlib.Path, videos: int) -> list[tuple[str, dict[str, Any]]]:
    """(label, arguments of data.open) of every data set that is there."""
    pair = ("image", "waveform")
    found: list[tuple[str, dict[str, Any]]] = [
        ("sounding_scenes (image, waveform)", {"name": "sounding_scenes", "fields": pair})
    ]
    cache = str(folder / "cache")
    if pathlib.Path(tux_stamps.PATH).is_dir():
        stamps = {"name": "tux_stamps", "data_dir": cache}
        found.append(("tux_stamps (image, caption)", {**stamps, "fields": ("image", "caption")}))
        found.append(("tux_stamps (image, waveform)", {**stamps, "fields": pair, "sound": "effects"}))
    else:
        print("tux_stamps: tuxpaint-stamps-default is not installed")
    start = time.perf_counter()
    seconds = write_videos(folder / "videos", videos)
    options = {"name": "video_folder", "fields": pair, "path": str(folder / "videos"), "data_dir": cache}
    written = time.perf_counter()
    data.open("train", **options)
    print(
        f"video_folder: wrote {videos} videos of {seconds} s in {written - start:.1f} s, prepared them in "
        f"{time.perf_counter() - written:.1f} s"
    )
    return [*found, ("video_folder (image, waveform)", options)]


def write_videos(folder: pathlib.Path, count: int, seconds: int = 12, side: int = 256, rate: int = 12) -> int:
    """Writes videos of drifting coloured noise, each with a tone; returns their length in seconds."""
    specification = importlib.util.spec_from_file_location("stamp_videos", HERE.parent / "examples" / "stamp_videos.py")
    assert specification is not None
    assert specification.loader is not None
    writer = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(writer)
    folder.mkdir()
    rng = np.random.default_rng(0)
    times = np.arange(seconds * 22_050) / 22_050
    for index in range(count):
        blocks = rng.integers(0, 256, (16, 16, 3), np.uint8)
        picture = blocks.repeat(side // 16, 0).repeat(side // 16, 1)
        frames = (np.roll(picture, 2 * step, axis=1) for step in range(seconds * rate))
        tone = (8000 * np.sin(2 * np.pi * (200 + 50 * index) * times)).astype(np.int16)
        writer.write(folder / f"{index}.mp4", frames, rate, tone)
    return seconds


def measure(options: dict[str, Any], seconds: float, repetitions: int) -> dict[int, float]:
    """Median examples/s of one and of two processes, alternating between them."""
    pipes, workers = [], []
    for first in (0, 1):
        ours, theirs = SPAWN.Pipe()
        workers.append(SPAWN.Process(target=read, args=(options, first, theirs), daemon=True))
        workers[-1].start()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()  # warm
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repetitions):
        for processes, results in found.items():
            for pipe in pipes[:processes]:
                pipe.send(seconds)
            results.append(sum(pipe.recv() for pipe in pipes[:processes]))
    for pipe, worker in zip(pipes, workers, strict=True):
        pipe.send(None)
        worker.join()
    return {processes: statistics.median(results) for processes, results in found.items()}


def read(options: dict[str, Any], first: int, pipe: Any) -> None:
    """A worker process: reads every second example for as long as it is told; answers with examples/s."""
    source = data.open("train", **options)
    index = first
    for _ in range(WARM):
        source[index % len(source)]
        index += 2
    pipe.send("warm")
    while (seconds := pipe.recv()) is not None:
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            source[index % len(source)]
            index, count = index + 2, count + 1
        pipe.send(count / (time.perf_counter() - start))


def consumed() -> float | None:
    """Examples/s of a training step, as benchmarks/soundnet_step.py left it: the most of any device."""
    devices = json.loads(STEP.read_text()).values() if STEP.exists() else ()
    return max((float(figures["examples_per_second"]) for figures in devices), default=None)


if __name__ == "__main__":
    main()
