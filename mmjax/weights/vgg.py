"""VGG weights in torchvision's layout, from a file that the user gives (vgg16-397923af.pth, vgg19-dcbb9e9d.pth)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.models.vision.vgg import GRID, STAGES, VGG
from mmjax.weights import tensors, torch_layout


def load(path: str | Path, depth: int = 16, classes: int = 1000) -> dict[str, Any]:
    """Loads the weights of VGG(depth, classes).

    Args:
      path: what `tensors.read` reads: a file of PyTorch (without PyTorch), .safetensors, or a folder of Hugging Face's.
      depth: 16 or 19.
      classes: outputs of its head.

    Returns:
      {"params": tree} of float32 NumPy arrays.

    Raises:
      UserError: no such file, another kind of file, or the weights of another network, with what does not fit.
    """
    return convert(tensors.read(path), VGG(depth, classes), str(path))


def convert(state_dict: Mapping[str, np.ndarray], model: VGG, source: str) -> dict[str, Any]:
    """A state dict as the variables of `model`; `source` is named where they do not fit."""
    found, first = dict(state_dict), "classifier.0.weight"
    channels = model.channels[-1]
    if first in found and found[first].shape[1:] == (channels * GRID * GRID,):
        # PyTorch flattens a map channel by channel, we place by place.
        maps = found[first].reshape(-1, channels, GRID, GRID).transpose(0, 2, 3, 1)
        found[first] = maps.reshape(len(maps), -1)
    return torch_layout.assemble(found, layers(model.depth), model, source)


def layers(depth: int) -> Iterator[torch_layout.Layer]:
    """Yields (ours, theirs, kind) for every layer."""
    at = 0  # torchvision numbers convolutions, ReLUs and poolings through
    for stage, count in enumerate(STAGES[depth], start=1):
        for i in range(1, count + 1):
            yield f"conv{stage}_{i}", f"features.{at}", "biased_conv"
            at += 2
        at += 1
    yield from (("fc6", "classifier.0", "dense"), ("fc7", "classifier.3", "dense"))
    yield "classifier", "classifier.6", "dense"
