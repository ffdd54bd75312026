"""The weights of VGG-Face (Parkhi et al. 2015) from a file that the user gives, in either layout of PyTorch's copies.

Their layers are called conv1_1 to conv5_3, fc6, fc7, fc8 (`vgg_face_dag.pth`), or as torchvision calls VGG-16's, with
2,622 classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.models.vision.vgg import GRID, STAGES, VGG, vgg_face
from mmjax.weights import tensors, torch_layout, vgg

FLAT = "fc6.weight"  # of the first layout: reads a map channel by channel


def load(path: str | Path) -> dict[str, Any]:
    """Loads the weights of `vgg_face()`.

    Args:
      path: what `tensors.read` reads: a file of PyTorch (without PyTorch), .safetensors, or a folder of Hugging Face's.

    Returns:
      {"params": tree} of float32 NumPy arrays.

    Raises:
      UserError: no such file, another kind of file, or the weights of another network, with what does not fit.
    """
    return convert(tensors.read(path), vgg_face(), str(path))


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
    """Yields (ours, theirs, kind) for every layer of the first layout."""
    for stage, count in enumerate(STAGES[16], start=1):
        for i in range(1, count + 1):
            yield f"conv{stage}_{i}", f"conv{stage}_{i}", "biased_conv"
    yield from (("fc6", "fc6", "dense"), ("fc7", "fc7", "dense"), ("classifier", "fc8", "dense"))
