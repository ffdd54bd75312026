"""The published weights of the 8-layer SoundNet (Aytar, Vondrick and Torralba 2016), in any of their layouts.

The original is a Torch 7 file, `soundnet8_final.t7`; its conversions circulate as well: `sound8.npy` of the TensorFlow
port, and the state dicts of PyTorch ports. Every convolution has a bias there, and every batch normalisation its gain,
offset, mean and variance; a file that lacks one of them (some ports never copied them) is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from mmjax.errors import UserError
from mmjax.models.sound.soundnet import TRUNK, SoundNet
from mmjax.weights import licence, numpy_file, tensors, torch7_file

_TORCH = {"kernel": "weight", "bias": "bias"}
_TORCH_NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_HEADS = ("conv8_objs", "conv8_scns")
_LEAVES = ("weight", "bias", "running_mean", "running_var")
_SEQUENCE = (0, 4, 8, 11, 14, 18, 21)  # where the convolutions stand among normalisation, ReLU and pooling


def load(path: str | Path, model: SoundNet | None = None) -> dict[str, Any]:
    """Loads the weights of the 8-layer SoundNet.

    Args:
      path: `soundnet8_final.t7`; `sound8.npy` (a pickled dict of arrays, read without running any of it); or whatever
        of PyTorch's `tensors.read` reads, with layers named conv1.0 and conv1.1, conv1 and batchnorm1, or features.0
        and features.1.
      model: what the weights are for; SoundNet(conv_bias=True), the original's form, where None. Without conv_bias the
        biases go into the running means, which changes no activation.

    Returns:
      {"params": tree, "state": tree} of float32 NumPy arrays. The input's scale is `models.sound.soundnet.scale`.

    Raises:
      UserError: no such file, another kind of file, or not these weights, with what does not fit.
    """
    model = SoundNet(conv_bias=True) if model is None else model
    if model.depth != 8:
        raise UserError(f"model.depth is {model.depth}: the published weights are the 8-layer SoundNet's")
    flat = _renamed(_read(Path(path).expanduser()), _shapes(model), str(path))
    if not model.conv_bias:
        for i in range(1, len(TRUNK[8]) + 1):
            flat["state", f"norm{i}", "mean"] = flat["state", f"norm{i}", "mean"] - flat.pop(
                ("params", f"conv{i}", "bias")
            )
    return traverse_util.unflatten_dict(flat)


def _read(path: Path) -> dict[str, np.ndarray]:
    """{name: array} in one of `layouts`."""
    kind = path.suffix.lower()
    if kind not in (".npy", ".t7"):
        return tensors.read(path)
    found = numpy_file.read(path) if kind == ".npy" else _of_torch7(torch7_file.read(path), str(path))
    licence.tell(path, path, {})
    return found


def _of_torch7(network: Any, source: str) -> dict[str, np.ndarray]:
    """Its layers in the order of the network, under the names of layout "flat": seven pairs of a convolution and a
    normalisation, and the two heads, of which objects come first."""
    try:
        layers = list(torch7_file.layers(network))
    except ValueError as error:
        raise UserError(f"{source}: these are not SoundNet's published weights; {error}") from None
    convolutions = [layer for layer in layers if "Convolution" in layer.kind]
    norms = [layer for layer in layers if "BatchNormalization" in layer.kind]
    trunk = len(TRUNK[8])
    if (len(convolutions), len(norms)) != (trunk + 2, trunk):
        raise UserError(
            f"{source}: these are not SoundNet's published weights; {len(convolutions)} convolutions and {len(norms)} "
            f"normalisations, and not {trunk + 2} and {trunk}"
        )
    named = {f"conv{i}": layer for i, layer in enumerate(convolutions[:trunk], start=1)}
    named |= dict(zip(_HEADS, convolutions[trunk:], strict=True))
    named |= {f"batchnorm{i}": layer for i, layer in enumerate(norms, start=1)}
    found = {f"{name}.{leaf}": layer.get(leaf) for name, layer in named.items() for leaf in _LEAVES if leaf in layer}
    for name, layer in named.items():
        kernel = found.get(f"{name}.weight")
        if "Convolution" in layer.kind and isinstance(kernel, np.ndarray) and kernel.ndim == 2:  # out (in h w)
            found[f"{name}.weight"] = kernel.reshape(len(kernel), layer["nInputPlane"], layer["kH"], layer["kW"])
    for i, layer in enumerate(norms, start=1):
        deviation = layer.get("running_std")  # before 2015 the inverse of it with the epsilon inside
        if "running_var" not in layer and isinstance(deviation, np.ndarray):
            found[f"batchnorm{i}.running_var"] = 1 / np.square(deviation) - float(layer.get("eps", 1e-5))
    return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}


def _shapes(model: SoundNet) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Every array of the network with the biases of its convolutions."""
    tree = jax.eval_shape(model.clone(conv_bias=True).init, jax.random.key(0), jnp.zeros((1, 1)))
    return {key: leaf.shape for key, leaf in traverse_util.flatten_dict(tree).items()}


def layouts() -> dict[str, dict[tuple[str, ...], str]]:
    """{layout: {our path: the file's name}} of the layouts in circulation."""
    found: dict[str, dict[tuple[str, ...], str]] = {}
    arrays = {"kernel": "weights", "bias": "biases"}
    statistics = {"scale": "gamma", "bias": "beta", "mean": "mean", "var": "var"}
    found["sound8.npy"] = _layout("conv{i}", "conv{i}", ("conv8", "conv8_2"), arrays, statistics)
    found["blocks"] = _layout("conv{i}.0", "conv{i}.1", ("conv8.0", "conv8_2.0"), _TORCH, _TORCH_NORM)
    found["flat"] = _layout("conv{i}", "batchnorm{i}", _HEADS, _TORCH, _TORCH_NORM)
    found["sequence"] = _layout("features.{j}", "features.{k}", _HEADS, _TORCH, _TORCH_NORM)
    return found


def _layout(
    conv: str, norm: str, heads: tuple[str, str], arrays: Mapping[str, str], statistics: Mapping[str, str]
) -> dict[tuple[str, ...], str]:
    names: dict[tuple[str, ...], str] = {}
    for i, j in enumerate(_SEQUENCE, start=1):
        place = {"i": i, "j": j, "k": j + 1}
        for ours, theirs in arrays.items():
            names["params", f"conv{i}", ours] = f"{conv.format(**place)}.{theirs}"
        for ours, theirs in statistics.items():
            collection = "state" if ours in ("mean", "var") else "params"
            names[collection, f"norm{i}", ours] = f"{norm.format(**place)}.{theirs}"
    for head, at in zip(("object", "scene"), heads, strict=True):
        for ours, theirs in arrays.items():
            names["params", head, ours] = f"{at}.{theirs}"
    return names


def _renamed(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[tuple[str, ...], tuple[int, ...]], source: str
) -> dict[tuple[str, ...], np.ndarray]:
    """The file's arrays under our paths, after all of them were found and found to fit."""
    given = {name: array for name, array in arrays.items() if not name.endswith("num_batches_tracked")}
    names = max(layouts().values(), key=lambda names: sum(name in given for name in names.values()))
    names = {path: name for path, name in names.items() if path in shapes}  # a model may leave a head out
    heads = {name for layout in layouts().values() for path, name in layout.items() if path[1] in ("object", "scene")}
    missing = [name for name in names.values() if name not in given]
    unexpected = [name for name in given if name not in names.values() and name not in heads]
    if missing or unexpected:
        said = [f"{what} {_few(these)}" for what, these in (("missing", missing), ("unexpected", unexpected)) if these]
        raise UserError(f"{source}: these are not SoundNet's published weights; {'; '.join(said)}")
    flat = {path: _oriented(given[name], path[-1], name) for path, name in names.items()}
    for path, array in flat.items():
        if array.shape != shapes[path]:
            raise UserError(f"{source}: {names[path]} has shape {given[names[path]].shape}, which is no {shapes[path]}")
        if not np.isfinite(array).all() or (path[-1] == "var" and (array < 0).any()):
            raise UserError(f"{source}: {names[path]} holds what no weights do: a number not finite, or a variance < 0")
    return flat


def _oriented(array: np.ndarray, leaf: str, name: str) -> np.ndarray:
    """float32; kernels as [k in out] from (k 1 in out) of TensorFlow or (out in k), (out in k 1), (out in 1 k) of both
    Torches."""
    array = np.asarray(array, np.float32)
    if leaf != "kernel":
        return array.reshape(-1)
    if name.endswith(".weights"):
        return np.ascontiguousarray(array[:, 0]) if array.ndim == 4 and array.shape[1] == 1 else array
    if array.ndim == 4 and 1 in array.shape[2:]:
        array = array.reshape(*array.shape[:2], -1)
    return np.ascontiguousarray(array.T)  # out in k -> k in out


def _few(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
