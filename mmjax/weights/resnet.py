"""ResNet weights in torchvision's layout, from a file that the user gives.

For scenes: `resnet18_places365.pth.tar` of the Places365 project (http://places2.csail.mit.edu), 365 classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmjax.models.vision.resnet import STAGES, ResNet
from mmjax.weights import tensors, torch_layout


def load(path: str | Path, depth: int = 18, classes: int = 1000) -> dict[str, Any]:
    """Loads the weights of ResNet(depth, classes).

    Args:
      path: what `tensors.read` reads: a file of PyTorch (without PyTorch), .safetensors, or a folder of Hugging Face's.
      depth: of the network.
      classes: outputs of its head; 365 for Places365.

    Returns:
      {"params": tree, "state": tree} of float32 NumPy arrays.

    Raises:
      UserError: no such file, another kind of file, or the weights of another network, with what does not fit.
    """
    return torch_layout.assemble(tensors.read(path), layers(depth), ResNet(depth, classes), str(path))


def layers(depth: int) -> Iterator[torch_layout.Layer]:
    """Yields (ours, theirs, kind) for every layer."""
    yield from (("stem", "conv1", "conv"), ("stem_norm", "bn1", "norm"))
    convolutions = 3 if depth >= 50 else 2
    for stage, blocks in enumerate(STAGES[depth], start=1):
        for block in range(blocks):
            ours, theirs = f"stage{stage}_block{block}", f"layer{stage}.{block}"
            for i in range(1, convolutions + 1):
                yield f"{ours}/conv{i}", f"{theirs}.conv{i}", "conv"
                yield f"{ours}/norm{i}", f"{theirs}.bn{i}", "norm"
            # Where the shape changes: at the start of a stage, but for the first stage of basic blocks.
            if block == 0 and (stage > 1 or depth >= 50):
                yield f"{ours}/shortcut", f"{theirs}.downsample.0", "conv"
                yield f"{ours}/shortcut_norm", f"{theirs}.downsample.1", "norm"
    yield "classifier", "fc", "dense"
