"""What the benchmarks of a training step share: both sides' closures, that all sides agree, and the figures of a run.

A step is a closure that takes one, waits for it, and returns its loss, or a tuple of losses.
"""

from __future__ import annotations

import functools
import pathlib
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import _side_by_side as side_by_side
import jax
import numpy as np
import optax
import torch

from mmjax.engine import mesh
from mmjax.engine import step as steps
from mmjax.ops import onednn
from mmjax.task import Task, Update

OURS = "mmjax"
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
Times = Mapping[str, Sequence[float]]  # {side: seconds of each step}


def mmjax_step(
    made: Mapping[str, Any], loss: Callable[..., Any], optimiser: optax.GradientTransformation, batch: Any
) -> Callable[[], float]:
    """A step of mmjax.engine.step.train_step, as every system runs it, of one network "net".

    Args:
      made: its params and state.
      loss: of an Update: variables, batch, key -> (loss, (state, logs)); variables["params"]["net"] are the network's.
      optimiser: its own.
      batch: that every step sees.
    """

    def init(key, batch):
        return {"params": {"net": made["params"]}, "state": made["state"], "frozen": {}}

    task = Task((), init, (Update("net", loss),), metrics=lambda *_: {}, predict=lambda *_: {})
    optimisers, key = {"net": optimiser}, jax.random.key(0)
    placement = mesh.make("jit")
    state = placement.place(steps.create(task, optimisers, key, batch))
    compiled = placement.compile(functools.partial(steps.train_step, task, optimisers), state)
    batch = placement.put(batch)

    def once() -> float:
        nonlocal state
        state, logs = compiled(state, batch, key)
        jax.block_until_ready(state)
        return float(logs["loss/net"])

    return once


def torch_step(optimiser: torch.optim.Optimizer, loss: Callable[..., Any], *given: Any) -> Callable[[], float]:
    """The same of PyTorch: the backward pass of loss(*given) and the optimiser."""

    def once() -> float:
        optimiser.zero_grad(set_to_none=True)
        value = loss(*given)
        value.backward()
        optimiser.step()
        return value.item()

    return once


def every_peer(make: Callable[[torch.memory_format, bool], Callable[[], Any]]) -> dict[str, Callable[[], Any]]:
    """{name: make(memory format, whether it is compiled)}: the four ways in which PyTorch may run a network."""
    return {
        f"torch, {form}, {'compiled' if compiled else 'eager'}": make(layout, compiled)
        for form, layout in LAYOUTS.items()
        for compiled in (False, True)
    }


def agree(sides: dict[str, Callable[[], Any]], number: int, rtol: float) -> None:
    """All take some steps from the same weights; a compiled side that does not work is left out, with a line.

    Args:
      sides: of which OURS is what the others are compared with.
      number: of steps.
      rtol: of their losses; the first ones, before any update, are held to 1e-4.
    """
    found = {OURS: [sides[OURS]() for _ in range(number)]}
    for name in [name for name in sides if name != OURS]:
        try:
            found[name] = [sides[name]() for _ in range(number)]
        except (RuntimeError, ImportError, OSError, torch._dynamo.exc.TorchDynamoException) as error:
            if "compiled" not in name:
                raise
            print(f"{name} is left out: {type(error).__name__}: {str(error).strip().splitlines()[0]:.100}", flush=True)
            del sides[name]
    for name, values in found.items():
        shown = " ".join(f"{value:.6f}" for value in np.ravel(values))
        print(f"losses of {number} steps, {name}: {shown}", flush=True)
        np.testing.assert_allclose(values[0], found[OURS][0], rtol=1e-4)
        np.testing.assert_allclose(values, found[OURS], rtol=rtol)


def medians(times: Times) -> dict[str, float]:
    """Seconds of each side, printed."""
    found = {name: statistics.median(values) for name, values in times.items()}
    for name, value in found.items():
        print(f"{name:<32} {value:.4f} s, median of {len(times[name])}", flush=True)
    return found


def ratios(times: Times) -> dict[str, float]:
    """How many times as fast as each peer ours is: the median over steps that were taken one after the other."""
    return {
        name: statistics.median(b / a for a, b in zip(times[OURS], values, strict=True))
        for name, values in times.items()
        if name != OURS
    }


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """For the file."""
    return {name: round(value, 4) for name, value in seconds.items()}


def versions(**others: str) -> dict[str, str]:
    """Of what every benchmark of a step runs on, and of what this one does."""
    if onednn.used():
        others["onednn-cpu-gomp"] = metadata.version("onednn-cpu-gomp")
    return {"jax": jax.__version__, **others, "torch": torch.__version__, "python": platform.python_version()}


def settings(options: Any, sizes: Mapping[str, int | float]) -> dict[str, int | float]:
    """The sizes of this run."""
    return {name: getattr(options, name) for name in sizes}


def report(options: Any, times: Times, sizes: Mapping[str, int | float], path: pathlib.Path, what: str) -> None:
    """Prints the medians and, unless something speaks against it, writes them down; the last line is the ratio.

    Args:
      options: the flags, `load` and `devices` among them.
      times: of `side_by_side.alternate`; the first of each is not counted.
      sizes: the default ones.
      path: of the file.
      what: was timed, in words.
    """
    counted = {name: values[1:] for name, values in times.items()}
    seconds, of = medians(counted), ratios(counted)
    best = min(of, key=seconds.__getitem__)
    figures = {
        "versions": versions(),
        "settings": {**settings(options, sizes), "devices": options.devices},
        "strongest_peer": best,
        "seconds_per_step": rounded(seconds),
        "all_seconds": {name: [round(value, 4) for value in values] for name, values in times.items()},
        "load_average_before": round(options.load, 2),
        "ratio": round(of[best], 3),
    }
    own = settings(options, sizes) == sizes and jax.default_backend() == "cpu"
    side_by_side.keep_of_device(figures, path, side_by_side.unwritten(options, own))
    print(f"ratio {of[best]:.2f} {what}: mmjax over PyTorch {torch.__version__}, {best}")
