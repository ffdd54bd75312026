"""Reads the arrays of a network of MatConvNet's (.mat of MATLAB 5 to 7.2, which SciPy reads)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io

from mmjax.errors import UserError


def read(path: str | Path) -> dict[str, list[np.ndarray]]:
    """The arrays of every layer that has some, of a "simple" network, `net` or its fields at the top of the file.

    Returns:
      {layer: [kernel, bias]}: [out in h w], also of fully connected layers, which are convolutions there; biases as
      they are, [out 1] or [1 out].

    Raises:
      UserError: no such file, not one of this format, or no such network in it.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a .mat")
    try:
        file = scipy.io.loadmat(path)
        network = file["net"][0, 0] if "net" in file else file
        layers = [cell[0, 0] for cell in network["layers"].ravel()]
        return {str(layer["name"].item()): arrays for layer in layers if (arrays := _arrays(layer))}
    # A damaged file can say anything of sizes and types: all of it is one mistake here.
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a network of MatConvNet's ({type(error).__name__}: {said})") from None


def _arrays(layer: np.void) -> list[np.ndarray]:
    names = layer.dtype.names or ()
    if "weights" in names:
        found = list(layer["weights"].ravel())
    else:  # older files
        found = [layer[name] for name in ("filters", "biases") if name in names]
    if not found:
        return []
    kernel = found[0].reshape(*found[0].shape, *[1] * (4 - found[0].ndim))  # MATLAB drops axes of 1 at the end
    return [kernel.transpose(3, 2, 0, 1), *found[1:]]
