"""How much of a step is matrix products, and how fast each library computes one: what share of that a step reaches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import _side_by_side as side_by_side
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
