"""The released weights of LVS, EZ-VSL and SLAVC, from a file that the user gives.

* LVS: hche11/Localizing-Visual-Sounds-the-Hard-Way; its ResNets carry first layers of other kinds of input and heads
  that nothing reads.
* EZ-VSL and SLAVC: stoneMo/EZ-VSL, stoneMo/SLAVC; in SLAVC's file the momentum encoder stands beside the trained one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.models.joint.localiser import Localiser
from mmjax.weights import resnet, tensors, torch_layout

MOMENTUM = "momentum_"
TOWERS = {"picture": "imgnet", "sound": "audnet"}
UNREAD = (".fc.", ".conv1_flow.")  # and of LVS each tower's first layer of the other's input


def load(path: str | Path, model: Localiser) -> dict[str, Any]:
    """Loads the weights of a `Localiser` on ResNet-18.

    Args:
      path: what `tensors.read` reads: a .pth of PyTorch (without PyTorch), or .safetensors.
      model: with no projection (LVS), one (EZ-VSL) or two (SLAVC).

    Returns:
      {"params": tree, "state": tree} of float32 NumPy arrays; with "momentum", another such, where the file has one.

    Raises:
      UserError: no such file, another kind of file, or the weights of another network, with what does not fit.
    """
    return convert(tensors.read(path), model, str(path))


def convert(state_dict: Mapping[str, np.ndarray], model: Localiser, source: str) -> dict[str, Any]:
    """A state dict as the variables of `model`; `source` is named where they do not fit."""
    if model.trunk != "resnet18":
        raise UserError(f"{source}: published weights are of ResNet-18, not of the trunk {model.trunk!r}")
    given = _as_layers(state_dict)
    sound = jnp.zeros((1, 2048), jnp.int16)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3), jnp.uint8), sound)
    own = {name: x for name, x in given.items() if not name.startswith(MOMENTUM)}
    copy = {name.removeprefix(MOMENTUM): x for name, x in given.items() if name.startswith(MOMENTUM)}
    found = torch_layout.assemble(own, layers(model.projections), model, source, shapes)
    if copy:
        found["momentum"] = torch_layout.assemble(copy, layers(model.projections), model, source, shapes)
    return found


def _as_layers(state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors that are read: sounds' first layer under the name of pictures', and 1x1 convolutions as matrices."""
    found = {}
    for name, array in state_dict.items():
        unread = any(part in name for part in UNREAD)
        if "audnet.conv1_a." in name:
            name = name.replace("conv1_a", "conv1")
        elif "conv1_a." in name or ("audnet.conv1." in name and _twin(name) in state_dict):
            unread = True
        if not unread:
            found[name] = array[:, :, 0, 0] if "img_proj" in name and array.ndim == 4 else array
    return found


def _twin(name: str) -> str:
    return name.replace("conv1.", "conv1_a.")


def layers(projections: int) -> Iterator[torch_layout.Layer]:
    """Yields (ours, theirs, kind) for every layer of the network with so many projections."""
    for ours, theirs in TOWERS.items():
        for layer, name, kind in resnet.layers(18):
            if layer != "classifier":
                yield f"{ours}/{layer}", f"{theirs}.{name}", kind
    for k in range(projections):
        number = str(k + 1) if projections > 1 else ""
        yield f"places_{k}/affine", f"img_proj{number}", "dense"
        yield f"points_{k}/affine", f"aud_proj{number}", "dense"
