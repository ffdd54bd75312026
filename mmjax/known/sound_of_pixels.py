"""The released networks of Sound of Pixels in the place of fresh ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from mmjax.errors import UserError
from mmjax.models.sound.unet import UNet
from mmjax.weights import sound_of_pixels


def check(folder: str) -> None:
    """Raises UserError where a file is missing."""
    sound_of_pixels.find(folder)


def placed(variables: Mapping[str, Any], group: str, folder: str, unet: UNet) -> dict[str, Any]:
    """A system's variables with all three networks of a folder, see `weights.sound_of_pixels.load`.

    Raises:
      UserError: they are not there, or are of other networks than the system's.
    """
    found = sound_of_pixels.load(folder, unet.levels, unet.width, unet.maps)
    old, state = variables["params"][group], variables["state"]
    if set(old) != set(found) or "encoder" not in state:
        raise UserError(f"{folder}: the released networks are for the encoder resnet18_dilated, trained by the batch")
    new = {name: found[name]["params"] for name in old}
    statistics = {"sound": found["sound"]["state"], "encoder": {"state": found["encoder"]["state"]}}
    for there, here in ((old, new), (state, statistics)):
        shapes = [jax.tree.map(np.shape, tree) for tree in (dict(there), here)]
        if shapes[0] != shapes[1]:
            raise UserError(f"{folder}: the released networks are for the encoder resnet18_dilated")
    return {**variables, "params": {**variables["params"], group: new}, "state": statistics}
