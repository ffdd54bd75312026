"""HiFi-GAN's generators by the path of a file: the authors' layout, weight normalisation folded into the kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mmjax.models.sound.hifi_gan import HiFiGAN
from mmjax.weights import tensors, torch_layout

# What normalised a weight: v is scaled to length g, over all but the first axis. PyTorch 2's own names, then the older.
_NORMS = ((".parametrizations.weight.original0", ".parametrizations.weight.original1"), (".weight_g", ".weight_v"))
_WITHIN = "generator."  # of the authors' checkpoints, g_02500000


def load(path: str | Path, model: HiFiGAN) -> dict[str, Any]:
    """Loads the weights of a generator.

    Args:
      path: what `tensors.read` reads: the authors' generator_v1 and g_*, with `weight_g` and `weight_v` or with plain
        weights; read without PyTorch and without running anything in it.
      model: what the weights are for.

    Returns:
      {"params": tree} of float32 NumPy arrays.

    Raises:
      UserError: no such file, another kind of file, or the weights of another network, with what does not fit.
    """
    found = tensors.read(path)
    inside = {name.removeprefix(_WITHIN): x for name, x in found.items() if name.startswith(_WITHIN)}
    given = folded(inside or found)
    mel = np.zeros((1, 1, model.mels), np.float32)
    wanted = jax.eval_shape(lambda: model.init(jax.random.key(0), mel))["params"]
    names = dict(_layers(model))
    shapes: dict[str, tuple[int, ...]] = {}
    for ours, theirs in names.items():
        kernel, inputs, out = wanted[f"{ours}_kernel"].shape
        shapes[f"{theirs}.weight"] = (inputs, out, kernel) if ours.startswith("up") else (out, inputs, kernel)
        shapes[f"{theirs}.bias"] = (out,)
    torch_layout.compare({name: x.shape for name, x in given.items()}, shapes, str(path))
    params: dict[str, np.ndarray] = {}
    for ours, theirs in names.items():
        weight = given[f"{theirs}.weight"]
        # PyTorch spreads each input over the kernel; as a convolution over what is spread it is seen from its end.
        kernel = weight.transpose(2, 0, 1)[::-1] if ours.startswith("up") else weight.transpose(2, 1, 0)
        params[f"{ours}_kernel"] = np.ascontiguousarray(kernel, np.float32)
        params[f"{ours}_bias"] = np.asarray(given[f"{theirs}.bias"], np.float32)
    return {"params": params}


def folded(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights g v / |v| (Salimans and Kingma 2016, eq. 2) in place of each pair g, v; others are as they were."""
    out = dict(tensors)
    for length, direction in _NORMS:
        for name in [name for name in out if name.endswith(length)]:
            base = name.removesuffix(length)
            if base + direction not in out:
                continue
            g, v = (np.asarray(out.pop(x), np.float64) for x in (name, base + direction))
            size = np.sqrt(np.sum(np.square(v), axis=tuple(range(1, v.ndim)), keepdims=True))
            out[f"{base}.weight"] = (v * (g.reshape(size.shape) / np.maximum(size, 1e-38))).astype(np.float32)
    return out


def _layers(model: HiFiGAN) -> Iterator[tuple[str, str]]:
    """(our name, the file's) of every convolution."""
    yield from (("first", "conv_pre"), ("last", "conv_post"))
    each = len(model.residual_kernels)
    for i in range(len(model.rates)):
        yield f"up{i}", f"ups.{i}"
        for j, dilations in enumerate(model.dilations):
            for k in range(len(dilations)):
                at = f"resblocks.{i * each + j}"
                yield f"block{i}_{j}_dilated{k}", f"{at}.convs1.{k}" if model.paired else f"{at}.convs.{k}"
                if model.paired:
                    yield f"block{i}_{j}_plain{k}", f"{at}.convs2.{k}"
