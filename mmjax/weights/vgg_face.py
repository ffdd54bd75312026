"""The weights of VGG-Face (Parkhi et al. 2015) from a file that the user gives, in any of its published layouts.

The authors' own are `VGG_FACE.t7` (Torch 7), `VGG_FACE.caffemodel` and `vgg_face.mat` (MatConvNet). The first two read
pictures as BGR, as their examples say, the third and its copy in PyTorch (`vgg_face_dag.pth`) as RGB, as we do: where
it is BGR, the first kernel is turned round, which changes no activation. In PyTorch's copies the layers are called
conv1_1 to conv5_3, fc6, fc7, fc8, or as torchvision calls VGG-16's, with 2,622 classes; both are taken to read RGB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.errors import UserError
from mmjax.models.vision.vgg import GRID, STAGES, VGG, vgg_face
from mmjax.weights import caffe_file, matconvnet_file, tensors, torch7_file, torch_layout, vgg

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
    """{name: array} of a file under the layers' own names, or torchvision's; of pictures in RGB."""
    kind, source = Path(path).suffix, str(path)
    if kind == ".mat":
        return _named(matconvnet_file.read(path), source)
    if kind not in (".t7", ".caffemodel"):
        return tensors.read(path)
    if kind == ".t7":
        found = _named(_of_torch7(torch7_file.read(path), source), source)
    else:
        found = _named(caffe_file.read(path), source)
    if FIRST in found:
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


def _named(arrays: Mapping[str, Sequence[np.ndarray]], source: str) -> dict[str, np.ndarray]:
    """{layer: [kernel, bias]} as a state dict: the layouts differ in which axes of 1 they write, and in what they
    flatten."""
    found: dict[str, np.ndarray] = {}
    kinds = {theirs: kind for _, theirs, kind in layers()}
    for name, parts in arrays.items():
        if len(parts) != 2 or not parts[1].size:
            raise UserError(f"{source}: {NOT_THESE}; {name} has {len(parts)} arrays, wanted 2")
        kernel, bias = parts[0], parts[1].reshape(-1)
        sides = (3, 3) if kinds.get(name) == "biased_conv" else ()
        if kernel.size % (bias.size * int(np.prod(sides))):
            raise UserError(f"{source}: {NOT_THESE}; {name} is {kernel.shape}")
        found |= {f"{name}.weight": kernel.reshape(bias.size, -1, *sides), f"{name}.bias": bias}
    return found


def _of_torch7(network: Any, source: str) -> dict[str, list[np.ndarray]]:
    """Its layers in the order of the network, which has no names for them."""
    found = [
        [layer["weight"], layer["bias"]]
        for layer in torch7_file.layers(network)
        if isinstance(layer.get("weight"), np.ndarray) and isinstance(layer.get("bias"), np.ndarray)
    ]
    names = [theirs for _, theirs, _ in layers()]
    if len(found) != len(names):
        raise UserError(f"{source}: {NOT_THESE}; {len(found)} layers with weights, wanted {len(names)}")
    return dict(zip(names, found, strict=True))
