"""Remedies for a training that leans on one modality (`config.balance`) against plain training, all tuned alike.

    python benchmarks/balance.py [--data sounding_scenes easy_vqa] [--methods ...] [--seeds 3] [--steps 400] [--busy]

Visual question answering on the drawn world, whose `bias` makes the question tell the answer in training, and on
easy-VQA. Each method is trained with every rate of --rates; the one whose accuracy on the validation split is best is
trained with the other seeds. Nothing is chosen on the test split, and every run ends at its last step. Told are the
accuracy on the test split, where the bias holds; on the same split where it is turned round (`shift=reverse`: what was
leaned on misleads); and with another example's picture, which is what the words carry; each a mean over seeds with
the interval of Student's t, or, of a single seed, over its examples.

What is done is kept in --folder, from where an interrupted comparison goes on. Strengths are the methods' own
(`balance.options.ALPHA`). "ogm_ge, gradient" is the official place of the scaling, which Adam undoes.

results/balance.json is written only by a full run at the default sizes.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import pathlib
import pickle
import time
from collections.abc import Iterator, Mapping
from importlib import util
from typing import Any

import _side_by_side as side_by_side
import jax
import numpy as np
import optax
from flax.core import FrozenDict
from jax import numpy as jnp
from ml_collections import ConfigDict
from scipy import stats

from mmjax.audit import looking, replacing
from mmjax.data import pipeline
from mmjax.engine import built, mesh, prepare
from mmjax.engine import step as steps
from mmjax.metrics.information import trust
from mmjax.task import Task, bind

RESULT = pathlib.Path(__file__).resolve().parent / "results" / "balance.json"
SIZES = {"seeds": 3, "steps": 400, "examples": 6000, "bias": 0.8}
RATES = (1e-3, 3e-3)
METHODS: dict[str, dict[str, Any]] = {
    "plain": {"name": "none"},
    "dropout": {"name": "dropout"},
    "opm": {"name": "opm"},
    "ogm_ge": {"name": "ogm_ge"},
    "pmr": {"name": "pmr"},
    "blending": {"name": "blending", "every": 100},
    "ogm_ge, gradient": {"name": "ogm_ge", "place": "gradient"},
}
DATA = ("sounding_scenes", "easy_vqa")


def main() -> None:
    """The command line."""
    parser = side_by_side.parser(__doc__, SIZES)
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=DATA)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("runs/balance"), help="of what is done")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.quick:
        options.steps, options.examples, options.seeds = 20, 256, 2
    options.load = 0.0  # no time is compared
    settings = {name: getattr(options, name) for name in SIZES}
    own = settings == SIZES and (options.data, options.methods) == (list(DATA), list(METHODS))
    found = {"device": side_by_side.device_name(), **settings, "rates": options.rates, "tables": {}}
    for name in options.data:
        found["tables"][name] = table(name, options)
    side_by_side.keep(found, RESULT, side_by_side.unwritten(options, own))


def make_config(data: str, options: argparse.Namespace, rate: float, seed: int, balance: Mapping[str, Any]) -> Any:
    """A small network of visual question answering, with the remedy."""
    place = pathlib.Path(__file__).resolve().parents[1] / "configs" / "vqa.py"
    spec = util.spec_from_file_location("vqa", place)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config: ConfigDict = module.get_config("easy" if data == "easy_vqa" else "")
    with config.unlocked():
        config.encoder.name, config.encoder.widths = "scene", (16, 32, 32)
        config.loader.pixels, config.model.common = 32, 128
        config.model.embedding, config.model.hidden = 32, 64
        config.steps, config.seed, config.eval.test_examples = options.steps, seed, 2000
        if data == "sounding_scenes":
            config.data.bias = options.bias
        for group in config.optim:
            config.optim[group].learning_rate = rate
        config.balance.update(balance)
    return config


def gather(data: str, options: argparse.Namespace) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """({split: examples in memory}, constants of the data set); "reversed" is the test where the bias misleads."""
    config = make_config(data, options, RATES[0], 0, METHODS["plain"])
    task, _ = built.of(config)
    fields = (*prepare.asked(task), "index")

    def columns(split: str, most: int, **changes: Any) -> dict[str, Any]:
        own = config.copy_and_resolve_references()
        with own.unlocked():
            own.data.update(changes)
        found = looking.gathered(
            pipeline.eval_batches(prepare.open_splits(task, own)[split], 64, most, **own.loader), fields
        )
        return {**mesh.numeric(found), "index": np.arange(looking.length(found), dtype=np.int32)}

    given = {
        "train": columns("train", options.examples),
        "validation": columns("validation", 1000),
        "test": columns("test", 2000),
    }
    if data == "sounding_scenes":
        given["reversed"] = columns("test", 2000, shift="reverse")
    return given, dict(prepare.open_splits(task, config)[config.train_split].constants)


def table(data: str, options: argparse.Namespace) -> dict[str, Any]:
    """A line for each method."""
    kept = options.folder / f"{data}.pickle"
    if not kept.exists():
        kept.write_bytes(pickle.dumps(gather(data, options)))
    given, constants = pickle.loads(kept.read_bytes())
    lines = {}
    for method in options.methods:
        runs = {rate: trained(data, options, method, rate, 0, given, constants) for rate in options.rates}
        rate = max(runs, key=lambda rate: runs[rate]["validation"])
        others = range(1, options.seeds)
        seeds = [runs[rate], *(trained(data, options, method, rate, n, given, constants) for n in others)]
        examples = {name: looking.length(columns) for name, columns in given.items()}
        columns = {name: span([r[name] for r in seeds], examples.get(name, examples["test"])) for name in seeds[0]}
        lines[method] = {"rate": rate, **columns}
        told = "  ".join(f"{name} {s['value']:.3f} ({s['low']:.3f} to {s['high']:.3f})" for name, s in columns.items())
        print(f"{data:<16} {method:<18} rate {rate:g}  {told}", flush=True)
    return lines


def span(values: list[float], examples: int) -> dict[str, Any]:
    """Mean and interval of accuracies over seeds; of a single seed over its examples (Wilson 1927)."""
    if len(values) > 1:
        value, low, high = trust.over_runs(np.array(values))
    else:
        ends = stats.binomtest(round(values[0] * examples), examples).proportion_ci(method="wilson")
        value, low, high = values[0], ends.low, ends.high
    return {"value": float(value), "low": float(low), "high": float(high), "runs": values}


def trained(
    data: str,
    options: argparse.Namespace,
    method: str,
    rate: float,
    seed: int,
    given: Mapping[str, Any],
    constants: Mapping[str, Any],
) -> dict[str, float]:
    """Accuracies of one run, trained where the folder has it not."""
    kept = options.folder / f"{data}-{method.replace(', ', '-')}-{rate:g}-{seed}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    began = time.perf_counter()
    task, tools = built.of(make_config(data, options, 1.0, 0, METHODS[method]))  # so that all share their programs
    task = dataclasses.replace(task, updates=task.updates[:1])  # the controls take time and change nothing of it
    tools = FrozenDict({group: scaled(tool) for group, tool in tools.items()})
    batches = drawn(given["train"], 64, seed)
    fresh = jax.jit(bind(steps.create, task, tools))(jax.random.key(seed), {**next(batches), **constants})
    state = prepare.fill(task, fresh, constants, mesh.Jitted())
    for _, factor in state.opt_state.values():
        factor.hyperparams["step_size"] = jnp.float32(rate)
    step = jax.jit(bind(steps.train_step, task, tools), donate_argnums=0)
    for _ in range(options.steps):
        state, _ = step(state, next(batches), jax.random.key(seed))
    look = Accuracy(task, state.variables)
    found = {name: look(columns) for name, columns in given.items() if name != "train"}
    found["another's picture"] = look(replacing.replaced(given["test"], ("image",), "other", {}, seed=1))
    print(f"  {kept.stem}: {found} [{time.perf_counter() - began:.0f} s]", flush=True)
    kept.write_text(json.dumps(found))
    return found


@functools.lru_cache
def scaled(tool: optax.GradientTransformation) -> optax.GradientTransformation:
    """With a factor that is a value and not compiled in."""
    return optax.chain(tool, optax.inject_hyperparams(optax.scale)(step_size=1.0))


def drawn(columns: Mapping[str, Any], size: int, seed: int) -> Iterator[dict[str, Any]]:
    """Batches of epochs that are shuffled anew."""
    rng, n = np.random.default_rng(seed), looking.length(columns)
    while True:
        for at in rng.permutation(n)[: n // size * size].reshape(-1, size):
            yield {name: value[at] for name, value in columns.items()} | {"valid": np.ones(size, bool)}


class Accuracy:
    """The share of right answers."""

    def __init__(self, task: Task, variables: Any):
        self.right, self.variables = jax.jit(bind(_right, task)), variables

    def __call__(self, columns: Mapping[str, Any]) -> float:
        """Over all examples."""
        n = looking.length(columns)
        hits = []
        for start in range(0, n, 250):
            rows = np.minimum(np.arange(start, start + 250), n - 1)
            hits.append(self.right(self.variables, {name: value[rows] for name, value in columns.items()}))
        return float(np.concatenate(hits)[:n].mean())


def _right(task: Task, variables: Any, batch: Any) -> Any:
    assert task.distribution is not None
    label, logits = task.distribution(variables, batch)
    return logits[""].argmax(-1) == label


if __name__ == "__main__":
    main()
