"""VisualVoice's released networks by path, a file of PyTorch each. Their licence forbids commercial use, and is told.

`unet_best.pth` is the audio network, `lipreading_best.pth` what sees lips move, `facial_best.pth` and `vocal_best.pth`
what a face and a voice tell of each other; `facial.pth` and `vocal.pth`, trained on this alone, are what the authors
began with. Nothing of PyTorch is needed to read them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from mmjax.errors import UserError
from mmjax.models.joint.visual_voice import Attributes, VisualVoiceUNet, names
from mmjax.models.vision.lip_motion import LipMotion, units
from mmjax.weights import sound_of_pixels, tensors, torch_layout
from mmjax.weights.torch_layout import Layer

# What a transposed convolution of PyTorch is made of: in out h w; as a convolution over what is spread, from its end.
_KINDS = {**torch_layout.LAYER_TENSORS, "transposed_conv": {**torch_layout.LAYER_TENSORS["biased_conv"]}}
_KINDS["transposed_conv"]["weight"] = ("params", "kernel", (2, 3, 0, 1))
_KINDS["conv1d"] = {"weight": ("params", "kernel", (2, 1, 0)), "bias": ("params", "bias", (0,))}  # out in k -> k in out
_KINDS["prelu"] = {"weight": ("params", "slope", (0,))}

# Our part of the system: the file of its network.
FILES = {"lips": "lipreading", "face": "facial", "voice": "vocal", "mask": "unet"}


def find(folder: str | Path) -> dict[str, Path]:
    """{our part: its file} of those networks that a folder has. Raises UserError where it has none."""
    place, found = Path(folder).expanduser(), {}
    for part, name in FILES.items():
        files = (place / f"{name}{suffix}" for suffix in sound_of_pixels.SUFFIXES)
        file = next((file for file in files if file.is_file()), None)
        if file is not None:
            found[part] = file
    if not found:
        named = ", ".join(f"{name}_best.pth" for name in FILES.values())
        raise UserError(f"{folder} has no weights of VisualVoice: there is none of {named}")
    return found


def load(path: str | Path, model: VisualVoiceUNet | None = None, seen: int = 640) -> dict[str, Any]:
    """Loads the weights of the U-Net.

    Args:
      path: what `tensors.read` reads: github.com/facebookresearch/VisualVoice's unet_best.pth, without PyTorch.
      model: what the weights are for; the released size where None.
      seen: numbers a picture.

    Returns:
      {"params": tree, "state": tree} of float32 NumPy arrays.

    Raises:
      UserError: no such file, another kind of file, or the weights of another network, with what does not fit.
    """
    model = VisualVoiceUNet() if model is None else model
    found = {name: x for name, x in tensors.read(path).items() if not name.endswith("num_batches_tracked")}
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 257, 256, 2), (1, 64, seen))]
    wanted = traverse_util.flatten_dict(jax.eval_shape(model.init, jax.random.key(0), *inputs))
    parts = {
        f"{theirs}.{suffix}": ((collection, ours, leaf), axes, kind)
        for ours, theirs, kind in names()
        for suffix, (collection, leaf, axes) in _KINDS[kind].items()
    }
    shapes = {name: tuple(np.take(wanted[key].shape, np.argsort(axes))) for name, (key, axes, _) in parts.items()}
    shapes = {name: tuple(map(int, shape)) for name, shape in shapes.items()}
    torch_layout.compare({name: x.shape for name, x in found.items()}, shapes, str(path))
    flat = {}
    for name, (key, axes, kind) in parts.items():
        array = found[name].transpose(axes)
        turned = array[::-1, ::-1] if kind == "transposed_conv" and array.ndim == 4 else array
        flat[key] = np.ascontiguousarray(turned, np.float32)
    tree: dict[str, Any] = traverse_util.unflatten_dict(flat)
    return tree


def load_lips(path: str | Path, model: LipMotion | None = None) -> dict[str, Any]:
    """Loads the weights of the lip-motion network; arguments, result and errors as for `load`.

    The layer of words, which is not asked, is left out, and so are the second names of what is there once.
    """
    model = LipMotion() if model is None else model
    given = tensors.read(path)
    kept = {k: v for k, v in given.items() if ".net." not in k and not k.startswith("tcn.tcn_output.")}
    first = "frontend3D.0.weight"  # out 1 pictures h w: five pictures are our channels
    if first in kept and kept[first].ndim == 5 and kept[first].shape[1] == 1:
        kept[first] = kept[first][:, 0]
    shapes = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 1, 64, 64), jnp.uint8))
    return torch_layout.assemble(kept, lip_layers(model), model, str(path), shapes, _KINDS)


def load_attributes(path: str | Path, model: Attributes | None = None, channels: int = 3) -> dict[str, Any]:
    """Loads the weights of the face's network, or with two `channels` the voice's; the rest is as for `load`."""
    model = Attributes() if model is None else model
    kept = {k: v for k, v in tensors.read(path).items() if k != "conv1.weight"}  # it is there once more
    example = jax.ShapeDtypeStruct((1, 64, 64, channels), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), example)
    return torch_layout.assemble(kept, attribute_layers(), model, str(path), shapes)


def lip_layers(model: LipMotion) -> Iterator[Layer]:
    """Yields (ours, theirs, kind) for every layer of the lip-motion network."""
    yield from (("front", "frontend3D.0", "conv"), ("front_norm", "frontend3D.1", "norm"))
    yield "front_prelu", "frontend3D.2", "prelu"
    for i, _, stride in units(model):
        left = {"left_alone": "banch1.0", "left_across": "banch1.2"} if stride != 1 else {}
        right = {"right_in": "banch2.0", "right_alone": "banch2.3", "right_across": "banch2.5"}
        for ours, theirs in {**left, **right}.items():
            branch, at = theirs.split(".")
            yield f"unit{i}/{ours}", f"trunk.0.{i}.{theirs}", "conv"
            yield f"unit{i}/{ours}_norm", f"trunk.0.{i}.{branch}.{int(at) + 1}", "norm"
    yield from (("last", "trunk.1.0", "conv"), ("last_norm", "trunk.1.1", "norm"))
    for i in range(model.layers):
        ours, theirs = f"temporal{i}", f"tcn.tcn_trunk.network.{i}"
        for j in (1, 2):
            yield f"{ours}/conv{j}", f"{theirs}.conv{j}", "conv1d"
            yield f"{ours}/norm{j}", f"{theirs}.batchnorm{j}", "norm"
            yield f"{ours}/prelu{j}", f"{theirs}.relu{j}", "prelu"
        if i == 0 and model.last != model.features:
            yield f"{ours}/shortcut", f"{theirs}.downsample", "conv1d"
        yield f"{ours}/prelu", f"{theirs}.relu", "prelu"


def attribute_layers() -> Iterator[Layer]:
    """Yields (ours, theirs, kind) for every layer of the face's or the voice's network."""
    for ours, theirs, kind in sound_of_pixels.frame_layers():
        yield f"trunk/{ours}", f"feature_extraction{theirs.removeprefix('features')}", kind
    yield "features", "fc", "dense"
