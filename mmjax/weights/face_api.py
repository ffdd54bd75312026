"""The weights of the npm package @vladmandic/face-api (MIT licence), from its folder `model`: 68 landmarks, descriptor.

npm pack @vladmandic/face-api        an archive, of which the folder package/model is wanted
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from mmjax.errors import UserError
from mmjax.models.vision import face_api
from mmjax.weights import tfjs_file, torch_layout

LANDMARKS, DESCRIPTOR = "face_landmark_68_model", "face_recognition_model"
Part = tuple[tuple[str, ...], tuple[int, ...]]  # our place, and the shape there


def landmarks(path: str | Path) -> dict[str, Any]:
    """The weights of `FaceLandmarks()`. `path`: the folder, or the manifest itself.

    Returns:
      {"params": tree} of float32 NumPy arrays.

    Raises:
      UserError: as `tfjs_file.read`, or the weights of another network, with what does not fit.
    """
    return convert(tfjs_file.read(manifest(path, LANDMARKS)), dict(landmark_parts()), str(path))


def descriptor(path: str | Path) -> dict[str, Any]:
    """The weights of `FaceDescriptor()`; arguments and errors as for `landmarks`."""
    return convert(tfjs_file.read(manifest(path, DESCRIPTOR)), dict(descriptor_parts()), str(path))


def manifest(path: str | Path, name: str) -> Path:
    """The manifest of a network: the file itself, or that of the folder. Raises UserError where it is not there."""
    path = Path(path).expanduser()
    found = path / f"{name}{tfjs_file.SUFFIX}" if path.is_dir() else path
    if not found.is_file():
        raise UserError(f"{found}: no such file; it lies in the folder model of the npm package @vladmandic/face-api")
    return found


def convert(tensors: Mapping[str, np.ndarray], parts: Mapping[str, Part], source: str) -> dict[str, Any]:
    """Arrays under the package's names as {"params": tree}; `source` is named where they do not fit."""
    wanted = {name: _theirs(name, shape) for name, (_, shape) in parts.items()}
    torch_layout.compare({name: array.shape for name, array in tensors.items()}, wanted, source)
    flat = {}
    for name, (place, shape) in parts.items():
        array = tensors[name].astype(np.float32)
        flat["params", *place] = array.transpose(0, 1, 3, 2) if _depthwise(name) else array.reshape(shape)
    return traverse_util.unflatten_dict(flat)


def _depthwise(name: str) -> bool:
    return name.endswith("depthwise_filter")


def _theirs(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:2], shape[3], shape[2]) if _depthwise(name) else shape


def landmark_parts(model: face_api.FaceLandmarks | None = None) -> Iterator[tuple[str, Part]]:
    """Yields (their name, (our place, shape)) of every array."""
    model = model or face_api.FaceLandmarks()
    before = 3
    for block, width in enumerate(model.widths):
        for layer in range(model.layers):
            theirs, ours = f"dense{block}/conv{layer}", (f"dense{block}", f"conv{layer}")
            if block == layer == 0:
                yield f"{theirs}/filters", ((*ours, "kernel"), (3, 3, before, width))
                yield f"{theirs}/bias", ((*ours, "bias"), (width,))
            else:
                yield f"{theirs}/depthwise_filter", ((*ours, "depthwise", "kernel"), (3, 3, 1, before))
                yield f"{theirs}/pointwise_filter", ((*ours, "pointwise", "kernel"), (1, 1, before, width))
                yield f"{theirs}/bias", ((*ours, "pointwise", "bias"), (width,))
            before = width
    yield "fc/weights", (("fc", "kernel"), (before, 136))
    yield "fc/bias", (("fc", "bias"), (136,))


def descriptor_parts() -> Iterator[tuple[str, Part]]:
    """Yields (their name, (our place, shape)) of every array."""

    def scaled(name: str, kernel: int, before: int, width: int) -> Iterator[tuple[str, Part]]:
        ours = tuple(name.split("/"))
        yield f"{name}/conv/filters", ((*ours, "conv", "kernel"), (kernel, kernel, before, width))
        yield f"{name}/conv/bias", ((*ours, "conv", "bias"), (width,))
        yield f"{name}/scale/weights", ((*ours, "factor"), (width,))
        yield f"{name}/scale/biases", ((*ours, "offset"), (width,))

    yield from scaled("conv32_down", 7, 3, 32)
    before = 32
    for name, width, _ in face_api.BLOCKS:
        yield from scaled(f"{name}/conv1", 3, before, width)
        yield from scaled(f"{name}/conv2", 3, width, width)
        before = width
    yield "fc", (("fc", "kernel"), (before, 128))
