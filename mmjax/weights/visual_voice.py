"""VisualVoice's released audio network, unet_best.pth, by path. Its licence forbids commercial use, and is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from mmjax.models.joint.visual_voice import VisualVoiceUNet, names
from mmjax.weights import tensors, torch_layout

# What a transposed convolution of PyTorch is made of: in out h w; as a convolution over what is spread, from its end.
_KINDS = {**torch_layout.LAYER_TENSORS, "transposed_conv": {**torch_layout.LAYER_TENSORS["biased_conv"]}}
_KINDS["transposed_conv"]["weight"] = ("params", "kernel", (2, 3, 0, 1))


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
