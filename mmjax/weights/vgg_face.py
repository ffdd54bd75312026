"""The weights of VGG-Face (Parkhi et al. 2015) from a file that the user gives, in any of its published layouts.

The authors' own are `VGG_FACE.t7` (Torch 7), `VGG_FACE.caffemodel` and `vgg_face.mat` (MatConvNet). The first two read
pictures as BGR, as their examples say, the third and its copy in PyTorch (`vgg_face_dag.pth`) as RGB, as we do: where
it is BGR, the first kernel is turned round, which changes no activation. In PyTorch's copies the layers are called
conv1_1 to conv5_3, fc6, fc7, fc8, or as torchvision calls VGG-16's, with 2,622 classes; both are taken to read RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.errors import UserError, printable
from mmjax.models.vision.vgg import GRID, STAGES, VGG, vgg_face
from mmjax.weights import caffe_file, licence, matconvnet_file, tensors, torch7_file, torch_layout, vgg

FLAT = "fc6.weight"  # of the layout with the layers' own names: reads a map channel by channel
FIRST = "conv1_1.weight"
NOT_THESE = "these are not the weights of VGG-Face"


def load(path: str | Path) -> dict[str, Any]:
    """Loads the weights of `vgg_face()`.

    Args:
      path: `VGG_FACE.t7`, `VGG_FACE.caffemodel`, `vgg_face.mat` (also `vgg-face.mat`, MatConvNet's own), or what
        `tensors.read` reads: a file of PyTorch (without PyTorch), .safetensors, or a folder of Hugging Face's.

    Returns:
      {"params": tree} of float32 NumPy arrays.

    Raises:
      UserError: no such file, another kind of file, or the weights of another network, with what does not fit.
    """
    return convert(read(path), vgg_face(), str(path))


def read(path: str | Path) -> dict[str, np.ndarray]:
    """{name: array} of a file, under the layers' own names or torchvision's, with PyTorch's axes; of pictures in RGB.

    Raises UserError as `load` does, but for what only the network's sizes tell.
    """
    kind, source = Path(path).suffix.lower(), str(path)
    if kind not in _AUTHORS:
        return tensors.read(path)
    arrays = _AUTHORS[kind](path)
    licence.tell(path, Path(path).expanduser(), {})
    found = _named(arrays, source)
    missing = [f"{name}.weight" for name in _KINDS if name not in arrays]
    torch_layout.compare({}, dict.fromkeys(missing, ()), source)
    if kind != ".mat":
        found[FIRST] = found[FIRST][:, ::-1]
    return found


def convert(state_dict: Mapping[str, np.ndarray], model: VGG, source: str) -> dict[str, Any]:
    """A state dict as the variables of `model`; `source` is named where they do not fit."""
    if FLAT not in state_dict:
        return vgg.convert(state_dict, model, source)
    found, channels = dict(state_dict), model.channels[-1]
    if found[FLAT].shape[1:] == (channels * GRID * GRID,):
        maps = found[FLAT].reshape(-1, channels, GRID, GRID).transpose(0, 2, 3, 1)
        found[FLAT] = maps.reshape(len(maps), -1)
    return torch_layout.assemble(found, layers(), model, source)


def layers() -> Iterator[torch_layout.Layer]:
    """Yields (ours, theirs, kind) for every layer under its own name."""
    for stage, count in enumerate(STAGES[16], start=1):
        for i in range(1, count + 1):
            yield f"conv{stage}_{i}", f"conv{stage}_{i}", "biased_conv"
    yield from (("fc6", "fc6", "dense"), ("fc7", "fc7", "dense"), ("classifier", "fc8", "dense"))


def _named(arrays: Mapping[str, Sequence[Any]], source: str) -> dict[str, np.ndarray]:
    """{layer: [kernel, bias]} as a state dict: the layouts differ in which axes of 1 they write, and in what they
    flatten."""
    found: dict[str, np.ndarray] = {}
    for name, parts in arrays.items():
        good = [isinstance(x, np.ndarray) and x.dtype.kind in "fiu" and x.ndim > 0 and x.size > 0 for x in parts]
        if good != [True, True]:
            raise UserError(f"{source}: {NOT_THESE}; {printable(name)} has no kernel and bias of real numbers alone")
        kernel, bias = parts[0], parts[1].reshape(-1)
        while kernel.ndim > 2 and kernel.shape[0] == 1:  # Caffe's old files
            kernel = kernel[0]
        while kernel.ndim > 2 and kernel.shape[-1] == 1:  # a fully connected layer as a convolution
            kernel = kernel[..., 0]
        if _KINDS.get(name) == "biased_conv" and kernel.ndim == 2 and kernel.shape[1] % 9 == 0:  # Torch 7's
            kernel = kernel.reshape(len(kernel), -1, 3, 3)
        if name == "fc6" and kernel.ndim == 4:
            kernel = kernel.reshape(len(kernel), -1)
        if len(kernel) != bias.size:
            raise UserError(f"{source}: {NOT_THESE}; {printable(name)} is {parts[0].shape} with {bias.size} biases")
        found |= {f"{name}.weight": kernel, f"{name}.bias": bias}
    return found


def _of_torch7(path: str | Path) -> dict[str, list[Any]]:
    """{layer: [kernel, bias]} in the order of the network, which has no names for them."""
    network = torch7_file.read(path)
    try:
        weighted = [layer for layer in torch7_file.layers(network) if layer.get("weight") is not None]
    except ValueError as error:
        raise UserError(f"{path}: {NOT_THESE}; {error}") from None
    if len(weighted) != len(_KINDS):
        raise UserError(f"{path}: {NOT_THESE}; {len(weighted)} layers with weights, wanted {len(_KINDS)}")
    return {name: [layer["weight"], layer.get("bias")] for name, layer in zip(_KINDS, weighted, strict=True)}


_KINDS = {theirs: kind for _, theirs, kind in layers()}
_AUTHORS: dict[str, Callable[[str | Path], Mapping[str, Sequence[Any]]]] = {
    ".t7": _of_torch7,
    ".caffemodel": caffe_file.read,
    ".mat": matconvnet_file.read,
}
