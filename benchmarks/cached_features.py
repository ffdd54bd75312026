"""Training steps on stored features of a frozen network against the same steps on pictures.

    python benchmarks/cached_features.py [--quick] [--pictures 512] [--rounds 12] [--busy]

A folder in COCO's layout is generated: JPEG files of noise, captions_*.json, and VQA's questions and annotations of the
same pictures. Three systems train on it with EfficientNet-Lite0 of ImageNet's weights (the extra `pretrained`), frozen,
as in their own configs for such folders: captioning (`:stamps`, whose pictures a Debian package has, in all but the
data), visual question answering (at a batch of 64: the network of the default config, and that of `:vqa1`, whose
LSTMs of 2 x 512 units read 26 words) and a joint embedding (`:folder`). What is learned of noise
is nothing; what a step costs does not depend on it.

Both sides are runs as `train.py` prepares them, which differ in config.feature_cache. Steps alternate, each with its
own batch from the data's threads, from the second epoch on; the ratio is the median over the pairs. Before that both
take two steps from the same state, whose losses must agree. What the one pass before the first step takes is printed
beside it. The peer is this library without the store: no other trains these systems on pictures of a frozen network
otherwise than it or by hand. Last lines: `ratio N.NN` of each system, above 1 = the stored features ahead.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import io
import json
import os
import pathlib
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import _side_by_side as side_by_side
import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from mmjax.data import pipeline
from mmjax.engine import loop
from mmjax.weights import efficientnet_lite

HERE = pathlib.Path(__file__).resolve().parent
RESULT = HERE / "results" / "cached_features.json"
SIZES = {"pictures": 512, "rounds": 12}  # of figures that are written down
WORDS = ("a", "red", "blue", "small", "old", "bird", "bell", "house", "tree", "on", "under", "the", "water", "field")
SHARES = {"train": 1.0, "val": 0.125}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="72 pictures, fewer systems: ends within a minute")
    parser.add_argument("--pictures", type=int, default=SIZES["pictures"])
    parser.add_argument("--rounds", type=int, default=SIZES["rounds"], help="steps of each side")
    parser.add_argument("--limit", type=float, default=90.0, help="seconds of alternating steps, for each system")
    parser.add_argument("--busy", action="store_true", help="write the figures down on a busy machine, too")
    options = parser.parse_args()
    if options.quick:
        options.pictures, options.rounds = 72, 3
    options.load = side_by_side.load()
    efficientnet_lite.package_file("lite0")  # a line, where the extra is missing
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMJAX_DATA"] = os.environ["MMJAX_CACHE"] = folder
        root = pathlib.Path(folder) / "coco"
        generate(root, options.pictures)
        for name, config in configs(root, options.pictures, options.quick).items():
            found[name] = measure(config, pathlib.Path(folder) / name.replace(":", "-"), options)
    report(options, found)


# -- the data and the systems ------------------------------------------------------------------------------------------


def generate(root: pathlib.Path, pictures: int) -> None:
    """A folder in COCO's and VQA's layout."""
    rng = np.random.default_rng(0)
    (root / "annotations").mkdir(parents=True)
    for split, share in SHARES.items():
        place, count = root / f"{split}2014", max(round(pictures * share), 32)
        place.mkdir()
        images, captions, questions, answers = [], [], [], []
        for number in range(1, count + 1):
            name = f"COCO_{split}2014_{number:012d}.jpg"
            coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8))
            coarse.resize((320, 240), Image.Resampling.BICUBIC).save(place / name, quality=90)
            images.append({"id": number, "file_name": name})
            words = [" ".join(rng.choice(WORDS, rng.integers(6, 13))) for _ in range(5)]
            captions += [{"id": 5 * number + i, "image_id": number, "caption": text} for i, text in enumerate(words)]
            asked = {"question_id": number, "image_id": number}
            questions.append({**asked, "question": f"is the {rng.choice(WORDS)} {rng.choice(WORDS)}?"})
            said = [{"answer": str(rng.choice(["yes", "no"]))}] * 10
            answers.append({**asked, "answers": said, "answer_type": "yes/no", "question_type": "is the"})
        write(root / "annotations" / f"captions_{split}2014.json", {"images": images, "annotations": captions})
        write(root / f"OpenEnded_mscoco_{split}2014_questions.json", {"questions": questions})
        write(root / f"mscoco_{split}2014_annotations.json", {"annotations": answers})


def write(path: pathlib.Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def configs(root: pathlib.Path, pictures: int, quick: bool) -> dict[str, ConfigDict]:
    """The runs, by name."""
    captioning, joint = get_config("captioning", "folder"), get_config("joint_embedding", "folder")
    captioning.model.embed, captioning.model.hidden = 256, 512  # those of :stamps
    vqa, small = get_config("vqa", "vqa1"), get_config("vqa", "vqa1")
    small.model, small.data.tokens.length = get_config("vqa", "").model, get_config("vqa", "").data.tokens.length
    vqa.loader.workers = small.loader.workers = 0  # threads, as the others
    for config in (vqa, small):
        config.batch_size = config.eval.batch_size = 64
    made = {"captioning": captioning, "vqa": small, "vqa:vqa1": vqa, "joint_embedding": joint}
    if quick:
        del made["vqa:vqa1"]
    for config in made.values():
        config.data.path = str(root)
        if config.data.name == "captioned_images":  # that folder has other JSON files, too
            config.data.captions = tuple(str(root / "annotations" / f"captions_{split}2014.json") for split in SHARES)
        config.steps, config.eval.probes = 100 * pictures, ()
    return made


def get_config(name: str, variant: str) -> ConfigDict:
    """The config of configs/<name>.py:<variant>."""
    found = importlib.util.spec_from_file_location(f"config_{name}", HERE.parent / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.get_config(variant)


# -- the run -----------------------------------------------------------------------------------------------------------


def measure(config: ConfigDict, workdir: pathlib.Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each step of both sides, and of the pass before the first step."""
    sides: dict[str, Callable[[], dict[str, float]]] = {}
    closing, seconds = [], {}
    for name, cache in (("features", "workdir"), ("pictures", "")):
        with config.unlocked():
            config.feature_cache = cache
        (workdir / name).mkdir(parents=True)
        began, said = time.perf_counter(), io.StringIO()
        with contextlib.redirect_stdout(said):
            ready = loop.prepare(config.copy_and_resolve_references(), workdir / name)
        seconds[name] = time.perf_counter() - began
        closing.append(ready.saver.close)
        for line in said.getvalue().splitlines():
            if "features of" in line:
                print(line, flush=True)
        epoch = -(-len(ready.training) // config.batch_size)
        batches = pipeline.train_batches(ready.training, config.batch_size, config.seed, epoch, **config.loader)
        sides[name] = functools.partial(take, State(ready), batches)
    pair = [{name: step() for name, step in sides.items()} for _ in range(2)]  # they compile in the first
    for both in pair:
        for figure, value in both["pictures"].items():
            np.testing.assert_allclose(both["features"][figure], value, rtol=1e-4, err_msg=figure)
    print(f"{config.system}: losses agree, {pair[0]['pictures']}; prepared in {seconds}", flush=True)
    times = side_by_side.alternate(sides, options.rounds, options.limit)
    for close in closing:
        close()
    return {"batch": config.batch_size, "times": times, "prepare": seconds}


class State:
    """A run's state, and its compiled step."""

    def __init__(self, ready: loop.Ready):
        self.call, self.state = loop._caller(ready), ready.placement.place(ready.state)


def take(held: State, batches: Any) -> dict[str, float]:
    """One step on the next batch; its losses."""
    held.state, figures = held.call(held.state, [next(batches)])
    jax.block_until_ready(held.state)
    return {name: float(value) for name, value in figures.items() if name.startswith("loss/")}


def report(options: argparse.Namespace, found: dict[str, dict[str, Any]]) -> None:
    """Prints medians and ratios and, unless something speaks against it, writes them down."""
    lines, written = [], {}
    for name, one in found.items():
        pictures, features = one["times"]["pictures"], one["times"]["features"]
        ratio = statistics.median(b / a for a, b in zip(features, pictures))
        rates = {side: 1 / statistics.median(values) for side, values in one["times"].items()}
        shown = ", ".join(f"{rate:.2f} steps/s on {side}" for side, rate in rates.items())
        lines.append(f"ratio {ratio:.2f} {name}, batch {one['batch']}, EfficientNet-Lite0 frozen: {shown}")
        written[name] = {
            "ratio": round(ratio, 2),
            "batch": one["batch"],
            "steps_per_second": {side: round(rate, 2) for side, rate in rates.items()},
            "seconds_to_prepare": {side: round(value, 1) for side, value in one["prepare"].items()},
            "all_seconds": {side: [round(v, 4) for v in values] for side, values in one["times"].items()},
        }
    figures = {
        "device": side_by_side.device_name(),
        "versions": {"jax": jax.__version__, "python": platform.python_version()},
        "settings": {name: getattr(options, name) for name in SIZES},
        "load_average_before": round(options.load, 2),
        "systems": written,
    }
    own = {name: getattr(options, name) for name in SIZES} == SIZES
    side_by_side.keep(figures, RESULT, side_by_side.unwritten(options, own))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
