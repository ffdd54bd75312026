"""Five training steps on one accelerator, each against PyTorch with torch.compile on the same card, in 15 minutes.

    python benchmarks/accelerator.py [--parts soundnet captioning clip gan skipgram] [--limit 840]
    python benchmarks/accelerator.py --dry     # every part at small sizes on a CPU, in seconds

Each part has up to three lines:

* The step that `train.py` runs, on one batch of the config's own generated data: seconds a step, examples a second. The
  sizes are the papers': SoundNet-8 of full width on 64 clips of 20 s (bfloat16; the teacher is our recogniser, whose
  weights are in the package), Show, Attend and Tell of 512 units, CLIP ViT-B/32 on 1,024 pairs (bfloat16), the
  class-conditional GAN with the networks of GAN-CLS on 64 pictures, skip-gram with 300 numbers for each of a million
  words. CLIP's line has its model FLOP utilisation: the products of both towers, three times for a step, over what the
  card's maker says of dense bfloat16; of a card that is not in PEAKS none is given.
* The network's step against PyTorch, where PyTorch is installed and has the device: the two sides of soundnet_step.py,
  beam_search.py, clip_step.py and gan_step.py at these sizes, alternating, the peer's networks compiled by
  torch.compile, after both agreed on the loss. Of skip-gram, whose peer there is for CPUs, a compiled step on sparse
  embeddings, in words a second. The ratio is above 1 where mmjax is ahead.
* Bytes that the devices exchange in a step, read from the program that XLA compiled for 8 and for 256 devices (virtual
  ones of this host, in a process of its own, a batch of one example each): the sizes of all its all-reduces, and what a
  ring then sends from each device, 2 (n - 1) / n of them.

A part begins only while less than --limit seconds have passed. results/accelerator.json has the figures of each device
under its name; a CPU writes none.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import _side_by_side as side_by_side
import jax
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
RESULT = HERE / "results" / "accelerator.json"
DEVICES = (8, 256)
LIMIT = 30.0  # seconds of alternating steps of a part
PEAKS = {  # dense bfloat16 FLOP/s without sparsity, by what a device's name contains; the makers' data sheets
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L4": 121e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v6 lite": 918e12,
}
BYTES = {"f64": 8, "s64": 8, "u64": 8, "f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "s8": 1, "u8": 1, "pred": 1}


@dataclasses.dataclass(frozen=True)
class Part:
    """One system.

    Attributes:
      config, variant: the file in configs/ and its variant; --dry takes `tiny`.
      sizes: {field of the config: value} of the papers' sizes.
      unit: what an example is called.
    """

    config: str
    variant: str
    unit: str
    sizes: Mapping[str, Any]


VIT = {"width": 768, "layers": 12, "heads": 12, "patch": 32, "image_size": 224, "embed": 512, "dtype": "bfloat16"}
TEXT = {"width": 512, "layers": 12, "heads": 8, "embed": 512, "dtype": "bfloat16"}
PARTS = {
    "soundnet": Part(
        "soundnet",
        "",
        "clips",
        {"batch_size": 64, "model.width": 1.0, "model.dtype": "bfloat16", "loader.clip_seconds": 20.0},
    ),
    "captioning": Part(
        "captioning", "", "captions", {"batch_size": 32, "model.embed": 512, "model.hidden": 512, "model.attend": 512}
    ),
    "clip": Part(
        "clip",
        "",
        "pairs",
        {"batch_size": 1024, "data.image_size": 224}
        | {f"image.{name}": value for name, value in VIT.items()}
        | {f"caption.{name}": value for name, value in TEXT.items()},
    ),
    "gan": Part("conditional_gan", "paper", "pictures", {"batch_size": 64}),
    "skipgram": Part("skipgram", "paper", "words", {}),
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry", action="store_true", help="small sizes on a CPU: that every part runs")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--limit", type=float, default=840.0, help="seconds after which no part begins")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each side")
    parser.add_argument("--exchange", type=int, metavar="DEVICES", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.dry:
        jax.config.update("jax_platforms", "cpu")
        options.steps = 2
    if options.exchange:
        print(json.dumps({name: exchanged(name, options) for name in options.parts}))
        return
    began, found = time.perf_counter(), {}
    print(f"on {side_by_side.device_name()}", flush=True)
    for name in options.parts:
        if time.perf_counter() - began > options.limit:
            print(f"{name}: left out, {options.limit:.0f} s have passed")
            continue
        found[name] = measure(name, options)
    exchange(options, found)
    reasons = {"a dry run says nothing of speed": options.dry, "this is a CPU": jax.default_backend() == "cpu"}
    reasons["these are not all parts"] = set(found) != set(PARTS)
    side_by_side.keep_of_device(found, RESULT, [reason for reason, holds in reasons.items() if holds])
    print(f"{len(found)} parts in {time.perf_counter() - began:.0f} s")


# -- the step of train.py ----------------------------------------------------------------------------------------------


def config_of(name: str, dry: bool, folder: str) -> Any:
    """The config of a part, at the papers' sizes or tiny."""
    part = PARTS[name]
    path = HERE.parent / "configs" / f"{part.config}.py"
    found = importlib.util.spec_from_file_location(part.config, path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    config = module.get_config("tiny" if dry else part.variant)
    if not dry:
        config.update_from_flattened_dict(part.sizes)
    if name == "skipgram":
        text = pathlib.Path(folder) / "words.txt"
        write_words(text, 500 if dry else 1_000_000)
        config.data.update(path=str(text), min_count=1, splitter="whitespace", shown=(), pairs=(), questions=())
    config.feature_cache = ""
    return config


def write_words(path: pathlib.Path, words: int) -> None:
    """Twelve times as many words as there are different ones, which follow Zipf's law; each is there at least once."""
    rng = np.random.default_rng(0)
    drawn = np.exp(rng.random(11 * words) * np.log(words)).astype(np.int64) - 1
    every = rng.permutation(np.concatenate([np.arange(words), drawn]))
    with path.open("w") as file:
        for line in every.reshape(-1, 20):
            file.write(" ".join(f"w{word}" for word in line) + "\n")


@contextlib.contextmanager
def quiet():
    """What a run prints goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def engine(name: str, options: Any, folder: str) -> tuple[dict[str, Any], Callable[[], Any]]:
    """Seconds a step as the loop runs it, one batch all the time; and that step."""
    from mmjax.engine import loop

    config = config_of(name, options.dry, folder)
    with quiet():
        ready = loop.prepare(config, pathlib.Path(folder) / "run")
        batch = next(ready.batches(0))
        if ready.ahead is not None:
            ready.ahead.close()
    call, state = loop._caller(ready), ready.placement.place(ready.state)
    ready.saver.close()

    def step() -> Any:
        nonlocal state
        state, figures = call(state, [batch])
        return jax.block_until_ready((state, figures))[1]

    step()  # compiles
    seconds = statistics.median(side_by_side.alternate({"mmjax": step}, options.steps, LIMIT)["mmjax"])
    examples = config.batch_size * (config.data.tokens if name == "skipgram" else 1)
    said = {key: float(value) for key, value in step().items()}
    if not all(np.isfinite(value) for value in said.values()):
        raise SystemExit(f"{name}: not finite: {said}")
    about = {"step_seconds": seconds, "per_second": examples / seconds, "examples": examples}
    return about | ({"flops": clip_flops(config)} if name == "clip" else {}), step


def clip_flops(config: Any) -> float:
    """Floating-point operations of the products of a step: three times the forward pass of both towers.

    A block has 12 w^2 weights, each used once a place, and attention multiplies places by places twice; a
    multiplication and an addition count as two. The last block's single place is not taken off.
    """
    patches = (config.image.image_size // config.image.patch) ** 2
    first = 2 * patches * 3 * config.image.patch**2 * config.image.width
    total = first
    for tower, places in ((config.image, patches + 1), (config.caption, config.caption.context)):
        block = 2 * places * 12 * tower.width**2 + 2 * 2 * places**2 * tower.width
        total += tower.layers * block + 2 * tower.width * tower.embed
    return float(3 * config.batch_size * total)


def measure(name: str, options: Any) -> dict[str, Any]:
    """A part's figures, printed."""
    with tempfile.TemporaryDirectory() as folder:
        figures, step = engine(name, options, folder)
    unit = PARTS[name].unit
    line = f"{name}: {figures['step_seconds'] * 1e3:.1f} ms a step of train.py, {figures['per_second']:,.0f} {unit}/s"
    if "flops" in figures:
        rate = figures["flops"] / figures["step_seconds"]
        peak = next((value for key, value in PEAKS.items() if key in side_by_side.device_name()), None)
        figures["mfu"] = rate / peak if peak else None
        known = f"MFU {rate / peak:.2f}" if peak else "no peak of this device is known, so no MFU"
        line += f", {rate / 1e12:.3g} TFLOP/s: {known}"
    print(line, flush=True)
    return figures | against(name, options, step, figures["examples"])


def against(name: str, options: Any, own: Callable[[], Any], examples: int) -> dict[str, Any]:
    """The ratio to PyTorch, where there is one. Of skip-gram `own` is our side, the step of train.py, in words."""
    if importlib.util.find_spec("torch") is None:
        print(f"{name}: PyTorch is not installed, so no ratio", flush=True)
        return {}
    import torch

    if jax.default_backend() == "gpu" and not torch.cuda.is_available():
        print(f"{name}: this PyTorch sees no GPU, so no ratio", flush=True)
        return {}
    import _accelerator_peers as peers

    if name == "skipgram":
        peer, words = peers.skipgram(options.dry)
        sides, work = {"mmjax": own, peers.PEER: peer}, {"mmjax": examples, peers.PEER: words}
        peer()
    else:
        sides = peers.SIDES[name](options.dry)
        work = dict.fromkeys(sides, 1)
        losses = {side: step() for side, step in sides.items()}
        print(f"{name}: first losses " + ", ".join(f"{side} {loss:.5g}" for side, loss in losses.items()), flush=True)
        np.testing.assert_allclose(list(losses.values()), losses["mmjax"], rtol=peers.SAME[name])
    for step in sides.values():
        step()
    times = side_by_side.alternate(sides, options.steps, LIMIT)
    medians = {side: statistics.median(seconds) for side, seconds in times.items()}
    rates = {side: work[side] / seconds for side, seconds in medians.items()}
    best = max((side for side in rates if side != "mmjax"), key=rates.__getitem__)
    print(f"{name}: " + ", ".join(f"{side} {seconds * 1e3:.1f} ms" for side, seconds in medians.items()))
    if not options.dry:
        print(f"ratio {rates['mmjax'] / rates[best]:.2f} {name}: mmjax over {best}", flush=True)
    return {"seconds": medians, "ratio": rates["mmjax"] / rates[best], "peer": best, "torch": torch.__version__}


# -- what devices exchange ---------------------------------------------------------------------------------------------


def exchange(options: Any, found: dict[str, dict[str, Any]]) -> None:
    """Prints what the compiled programs of 8 and of 256 devices exchange; in processes of their own."""
    names = list(found)[:1] if options.dry else list(found)
    for devices in DEVICES[:1] if options.dry else DEVICES:
        flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
        env = {**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}", "JAX_PLATFORMS": "cpu"}
        env["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, str(HERE / "accelerator.py"), "--exchange", str(devices), "--parts", *names]
        ended = subprocess.run([*command, *["--dry"] * options.dry], env=env, capture_output=True, text=True)
        if ended.returncode:
            raise SystemExit(f"the program for {devices} devices:\n{ended.stderr}")
        for name, sizes in json.loads(ended.stdout.splitlines()[-1]).items():
            total = sum(sizes.values())
            kinds = ", ".join(f"{kind} {size / 1e6:.3f} MB" for kind, size in sizes.items()) or "nothing"
            ring = 2 * (devices - 1) / devices * sizes.get("all-reduce", 0)
            print(f"{name}, {devices} devices: {kinds} a step; a ring sends {ring / 1e6:.3f} MB from each", flush=True)
            found[name].setdefault("exchanged", {})[str(devices)] = {**sizes, "total": total, "ring": ring}


def exchanged(name: str, options: Any) -> dict[str, int]:
    """{kind of exchange: bytes} of the step that is compiled for all devices of this process."""
    from mmjax import systems
    from mmjax.engine import evaluate, mesh, optim, prepare
    from mmjax.engine import step as steps
    from mmjax.task import bind

    many = len(jax.devices())
    with tempfile.TemporaryDirectory() as folder, quiet():
        config = config_of(name, options.dry, folder)
        config.batch_size = many
        task = systems.build(config)
        source = prepare.open_splits(task, config)[config.train_split]
        constants = dict(getattr(source, "constants", {}))
        task = evaluate.named(task, constants)
        optimisers = optim.of(task, config.optim, config.steps)
        batch = prepare.example_batch(source, config)
        placement, key = mesh.Jitted(), jax.random.key(0)
        state = prepare.shapes(task, optimisers, key, {**batch, **constants}, placement)
        step = placement.compile(bind(steps.train_step, task, optimisers), state)
        program = step.lower(state, placement.put(batch), key).compile().as_text()
    return collectives(program)


def collectives(program: str) -> dict[str, int]:
    """{kind: bytes of the results} of every exchange in the text of a compiled program."""
    sizes: dict[str, int] = {}
    kinds = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    for shapes, kind in re.findall(rf"= (.*?) ({kinds})(?:-start)?\(", program):
        for dtype, dimensions in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
            elements = int(np.prod([int(n) for n in dimensions.split(",") if n], dtype=np.int64))
            sizes[kind] = sizes.get(kind, 0) + elements * BYTES[dtype]
    return sizes


if __name__ == "__main__":
    main()
