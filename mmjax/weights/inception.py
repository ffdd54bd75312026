"""The weights of FID's Inception network, from a file that the user gives (pt_inception-2015-12-05-6726825d.pth).

The file is pytorch-fid's port of the TensorFlow graph with which FIDs are published; torchvision's own inception_v3
has tensors of the same names and shapes but other weights, and gives other distances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.errors import OptionError, UserError
from mmjax.models.vision import inception
from mmjax.models.vision.inception import InceptionFid
from mmjax.weights import tensors, torch_layout

FILE = "pt_inception-2015-12-05-6726825d.pth"
PAGE = "https://github.com/mseitzer/pytorch-fid/releases"
CLASSES = 1008  # of the graph of 2015; torchvision's network has 1000
UNUSED = ("fc.", "AuxLogits.")  # heads: the distance reads the features below them


def load(path: str | Path) -> dict[str, Any]:
    """The weights: `InceptionFid().apply(variables, image)` gives the features.

    Args:
      path: what `tensors.read` reads, a state dict in torchvision's names; heads are left out.

    Returns:
      {"params": tree, "state": tree} of float32 NumPy arrays.

    Raises:
      OptionError: of `path`: no such file. UserError: another kind of file, or the weights of another network, with
        what does not fit.
    """
    if not Path(path).expanduser().exists():
        raise OptionError("path", f"={str(path)!r}: no such file; {FILE} is on pytorch-fid's release page, {PAGE}")
    return convert(tensors.read(path), str(path))


def convert(state_dict: Mapping[str, np.ndarray], source: str) -> dict[str, Any]:
    """A state dict as the variables of InceptionFid; `source` is named where they do not fit."""
    heads = state_dict.get("fc.weight")
    if heads is not None and len(heads) != CLASSES:
        raise UserError(
            f"{source}: tells {len(heads)} classes apart and not {CLASSES}: this is torchvision's Inception, whose "
            f"distances are no FID; take {FILE}"
        )
    body = {name: array for name, array in state_dict.items() if not name.startswith(UNUSED)}
    return torch_layout.assemble(body, layers(), InceptionFid(), source)


def layers() -> Iterator[torch_layout.Layer]:
    """Yields (ours, theirs, kind) for every layer."""
    for theirs in inception.names():
        ours = theirs.replace(".", "/")
        yield f"{ours}/conv", f"{theirs}.conv", "conv"
        yield f"{ours}/bn", f"{theirs}.bn", "norm"
