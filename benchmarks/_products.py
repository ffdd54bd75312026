"""Steps beside peers, in figures: how much of each is matrix products, and what share of its library's rate it has."""

from __future__ import annotations

import math
import pathlib
import platform
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import _side_by_side as side_by_side
import flax
import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

SIZE, TIMES = 2048, 9


def of_jax(function: Callable, *arguments: Any) -> float:
    """Operations (two of each multiply-add) of all products and convolutions; what is computed again counts again."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)), arguments)
    return _of(jax.make_jaxpr(function)(*shapes).jaxpr)


def _of(jaxpr: Any) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        name, given = equation.primitive.name, equation.params
        if name == "dot_general":
            (summed, _), _ = given["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2 * equation.outvars[0].aval.size * math.prod(left[axis] for axis in summed)
        elif name == "conv_general_dilated":
            kernel = equation.invars[1].aval
            total += (
                2 * equation.outvars[0].aval.size * kernel.size / kernel.shape[given["dimension_numbers"].rhs_spec[0]]
            )
        elif name == "while" or name == "cond":
            if any(_of(branch) for branch in jax.core.jaxprs_in_params(given)):
                raise ValueError(f"how often a product in a {name} is computed cannot be told")
        else:
            within = sum(_of(inner) for inner in jax.core.jaxprs_in_params(given))
            total += within * (given["length"] if name == "scan" else 1)
    return total


def of_torch(step: Callable[[], Any]) -> float:
    """The same of an eager step of PyTorch, which is taken; fused attention is counted as its two products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


def rates() -> dict[str, float]:
    """GFLOP/s of a product of float32 squares in each library, the fastest of several."""
    square = np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32)
    ours, product = jnp.asarray(square), jax.jit(jnp.matmul)
    theirs = torch.from_numpy(square).to("cuda" if jax.default_backend() == "gpu" else "cpu")
    sides = {
        "mmjax": lambda: product(ours, ours).block_until_ready(),
        "torch": lambda: torch.mm(theirs, theirs)[0, 0].item(),  # waits for it
    }
    for side in sides.values():
        side()
    times = side_by_side.alternate(sides, TIMES, 30.0)
    return {name: 2 * SIZE**3 / min(seconds) / 1e9 for name, seconds in times.items()}


def shares(
    seconds: Mapping[str, float], operations: Mapping[str, float], rate: Mapping[str, float]
) -> dict[str, float]:
    """Operations a second of each side's step, over the rate of its library; all but "mmjax" are PyTorch."""
    return {
        name: operations[name] / value / 1e9 / rate["mmjax" if name == "mmjax" else "torch"]
        for name, value in seconds.items()
    }


def report(
    what: str,
    options: Any,
    operations: Mapping[str, float],
    times: Mapping[str, list[float]],
    path: pathlib.Path,
    own: bool,
    **about: Any,
) -> None:
    """Prints the medians and, unless something speaks against it, writes them down; the last line is the ratio.

    Args:
      what: of which a ratio is printed, in words.
      options: of the command line: `batch`, `kept`, `peers`, `note`, and what `side_by_side.unwritten` reads.
      operations: of each side's step, by `of_jax` and `of_torch`.
      times: seconds of each side's steps; all sides but "mmjax" are peers.
      path: of the results.
      own: whether the settings are the default ones.
      **about: more for the results.
    """
    medians = {name: statistics.median(values) for name, values in times.items()}
    rate = rates()
    share = shares(medians, operations, rate)
    for name, value in medians.items():
        print(
            f"{name:<27} {value:.3f} s a step, {options.batch / value:.1f} examples/s, median of {len(times[name])}; "
            f"{operations[name] / 1e9:.0f} GFLOP of products, {share[name]:.0%} of its library's rate"
        )
    print(f"memory is {'kept between steps' if options.kept else 'as the C library has it'}, for all sides")
    print("one large product: " + ", ".join(f"{name} {value:.0f} GFLOP/s" for name, value in rate.items()))
    if options.peers:
        return
    peers = sorted(medians.keys() - {"mmjax"}, key=medians.__getitem__, reverse=True)  # the strongest is the last line
    ratios = {name: statistics.median(b / a for a, b in zip(times["mmjax"], times[name])) for name in peers}
    versions = {"jax": jax.__version__, "flax": flax.__version__, "torch": torch.__version__}
    figures = {
        "versions": {**versions, "python": platform.python_version()},
        **about,
        "strongest": peers[-1],
        "memory_kept": options.kept,
        "seconds_per_step": {name: round(value, 4) for name, value in medians.items()},
        "all_seconds": {name: [round(value, 4) for value in values] for name, values in times.items()},
        "gflop_of_products": {name: round(value / 1e9, 1) for name, value in operations.items()},
        "gflop_per_second_of_one_product": {name: round(value, 1) for name, value in rate.items()},
        "share_of_it": {name: round(value, 3) for name, value in share.items()},
        "examples_per_second": round(options.batch / medians["mmjax"], 2),
        "cores_busy_before": round(options.load, 2),
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
    }
    side_by_side.keep_of_device(figures, path, side_by_side.unwritten(options, own), options.note)
    for name in peers:
        print(
            f"ratio {ratios[name]:.2f} {what}: mmjax over PyTorch {versions['torch']}, {name.removeprefix('torch, ')}"
        )
