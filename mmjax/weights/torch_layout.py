"""From a PyTorch state dict to our parameter trees: names, axes, and what to say when they do not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from mmjax.errors import UserError, printable

# What a layer of each kind is made of: their suffix -> our collection, our leaf, the axes of theirs in our order.
LAYER_TENSORS: dict[str, dict[str, tuple[str, str, tuple[int, ...]]]] = {
    "conv": {"weight": ("params", "kernel", (2, 3, 1, 0))},  # out in h w -> h w in out
    "biased_conv": {"weight": ("params", "kernel", (2, 3, 1, 0)), "bias": ("params", "bias", (0,))},
    "dense": {"weight": ("params", "kernel", (1, 0)), "bias": ("params", "bias", (0,))},
    "norm": {
        "weight": ("params", "scale", (0,)),
        "bias": ("params", "bias", (0,)),
        "running_mean": ("state", "mean", (0,)),
        "running_var": ("state", "var", (0,)),
    },
}
Layer = tuple[str, str, str]  # ours with slashes, theirs with dots, kind


def assemble(
    tensors: Mapping[str, np.ndarray],
    layers: Iterable[Layer],
    model: nn.Module,
    source: str,
    shapes: Mapping[str, Any] | None = None,
    kinds: Mapping[str, Mapping[str, tuple[str, str, tuple[int, ...]]]] = LAYER_TENSORS,
) -> dict[str, Any]:
    """Renames and transposes a state dict into the variables of an image network.

    Args:
      tensors: {name: array}; PyTorch's counters of batches are ignored.
      layers: every layer of the model.
      model: takes an image batch.
      source: the file, for messages.
      shapes: the model's variables, anything with shapes, of one that takes something else.
      kinds: what a layer of each kind is made of.

    Returns:
      {"params": tree, "state": tree} of float32 NumPy arrays.

    Raises:
      UserError: names the missing and unexpected tensors and those of wrong shape.
    """
    pictures = jnp.zeros((1, 64, 64, 3), jnp.uint8)
    wanted = jax.eval_shape(model.init, jax.random.key(0), pictures) if shapes is None else shapes
    sizes = {key: leaf.shape for key, leaf in traverse_util.flatten_dict(wanted).items()}
    parts = {
        f"{theirs}.{suffix}": ((collection, *ours.split("/"), leaf), axes)
        for ours, theirs, kind in layers
        for suffix, (collection, leaf, axes) in kinds[kind].items()
    }
    given = {name: array for name, array in tensors.items() if not name.endswith("num_batches_tracked")}
    theirs = {name: tuple(np.take(sizes[key], np.argsort(axes)).tolist()) for name, (key, axes) in parts.items()}
    compare({name: array.shape for name, array in given.items()}, theirs, source)
    flat = {
        key: np.ascontiguousarray(given[name].transpose(axes), dtype=np.float32) for name, (key, axes) in parts.items()
    }
    return traverse_util.unflatten_dict(flat)


def compare(given: Mapping[str, tuple], wanted: Mapping[str, tuple], source: str) -> None:
    """Raises UserError, naming missing and unexpected tensors and wrong shapes, unless {name: shape} are equal."""
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    wrong = [f"{n} is {given[n]}, wanted {wanted[n]}" for n in wanted if n in given and given[n] != wanted[n]]
    faults = [("missing", missing), ("unexpected", unexpected), ("wrong shape", wrong)]
    if missing or unexpected or wrong:
        said = "; ".join(f"{what}: {_few(names)}" for what, names in faults if names)
        raise UserError(f"{source}: these are not the weights of this network; {said}")


def _few(names: list[str], most: int = 4) -> str:
    shown = ", ".join(printable(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
