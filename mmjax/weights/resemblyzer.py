"""The weights of Resemblyzer's speaker encoder (Apache-2.0): the file pretrained.pt of the PyPI package.

pip install --no-deps Resemblyzer      its other requirements are those of its own loader
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.models.sound.speaker_encoder import BANDS, LAYERS, UNITS
from mmjax.weights import tensors, torch_layout

CONTAINER = "model_state."  # of the checkpoint; beside it lies the optimiser's
ONLY_TRAINING = ("similarity_weight", "similarity_bias")  # scale and offset of its loss


def load(path: str | Path) -> dict[str, Any]:
    """The weights of `SpeakerEncoder()`.

    Args:
      path: of pretrained.pt, or of another checkpoint of that form.

    Returns:
      {"params": tree} of float32 NumPy arrays.

    Raises:
      UserError: as `tensors.read`, or the weights of another network, with what does not fit.
    """
    found = tensors.read(path)
    own = {name.removeprefix(CONTAINER): x for name, x in found.items() if name.startswith(CONTAINER)} or found
    return convert({name: x for name, x in own.items() if name not in ONLY_TRAINING}, str(path))


def convert(state_dict: Mapping[str, np.ndarray], source: str) -> dict[str, Any]:
    """A state dict as our variables; `source` is named where it does not fit."""
    wanted: dict[str, tuple[int, ...]] = {"linear.weight": (UNITS, UNITS), "linear.bias": (UNITS,)}
    for i in range(LAYERS):
        wanted |= {f"lstm.weight_ih_l{i}": (4 * UNITS, UNITS if i else BANDS)}
        wanted |= {f"lstm.weight_hh_l{i}": (4 * UNITS, UNITS)}
        wanted |= {f"lstm.bias_{kind}_l{i}": (4 * UNITS,) for kind in ("ih", "hh")}
    torch_layout.compare({name: x.shape for name, x in state_dict.items()}, wanted, source)
    given = {name: np.asarray(x, np.float32) for name, x in state_dict.items()}
    params: dict[str, Any] = {"linear": {"kernel": given["linear.weight"].T, "bias": given["linear.bias"]}}
    for i in range(LAYERS):
        params[f"lstm{i}_input"] = _ordered(given[f"lstm.weight_ih_l{i}"]).T
        params[f"lstm{i}_hidden"] = _ordered(given[f"lstm.weight_hh_l{i}"]).T
        params[f"lstm{i}_bias"] = _ordered(given[f"lstm.bias_ih_l{i}"] + given[f"lstm.bias_hh_l{i}"])
    return {"params": params}


def _ordered(gates: np.ndarray) -> np.ndarray:
    """PyTorch's input, forget, candidate, output as our input, forget, output, candidate."""
    i, f, g, o = np.split(gates, 4)
    return np.concatenate([i, f, o, g])
