"""Reads the arrays of a network of MatConvNet's (.mat)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmjax.errors import UserError, printable
from mmjax.weights import matlab_file


def read(path: str | Path) -> dict[str, list[np.ndarray]]:
    """The arrays of every layer that has some, of a "simple" network, `net` or its fields at the top of the file.

    Returns:
      {layer: [kernel, bias]}: [out in h w], also of fully connected layers, which are convolutions there; biases as
      they are, [out 1] or [1 out].

    Raises:
      UserError: no such file, not one of this format, or no such network in it.
    """
    file = matlab_file.read(path, ("net", "layers"))
    network = file.get("net", file)
    layers = network.get("layers") if isinstance(network, dict) else None
    found: dict[str, list[np.ndarray]] = {}
    for layer in layers if isinstance(layers, list) else ():
        arrays = _arrays(layer)
        name = layer.get("name") if arrays else None
        if arrays and (not isinstance(name, str) or name in found):
            raise UserError(f"{path}: two layers are called {printable(str(name))}, or one has no name")
        if arrays:
            found[str(name)] = arrays
    if not found:
        raise UserError(f"{path}: no network of MatConvNet's: no list `layers` with weights in it")
    return found


def _arrays(layer: Any) -> list[np.ndarray]:
    if not isinstance(layer, dict):
        return []
    weights = layer.get("weights", [layer.get("filters"), layer.get("biases")])  # the latter in older files
    found = [x for x in weights if isinstance(x, np.ndarray)] if isinstance(weights, list) else []
    if not found or found[0].ndim > 4:
        return found
    kernel = found[0].reshape(*found[0].shape, *[1] * (4 - found[0].ndim))  # MATLAB drops axes of 1 at the end
    return [kernel.transpose(3, 2, 0, 1), *found[1:]]
