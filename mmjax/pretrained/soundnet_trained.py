"""A trained SoundNet by path: the workdir of a run of ours, or a file of the published weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from mmjax.errors import UserError
from mmjax.models.soundnet import SoundNet
from mmjax.pretrained import soundnet_weights


class Trained(NamedTuple):
    """A SoundNet with its weights.

    Attributes:
      model: the network, with the heads that it was trained with.
      variables: {"params": tree, "state": tree} of float32 NumPy arrays.
    """

    model: SoundNet
    variables: dict[str, Any]


def load(path: str | Path, dtype: str = "float32") -> Trained:
    """Loads a trained SoundNet.

    Args:
      path: the workdir of a run of configs/soundnet.py, whose newest checkpoint is taken; or the published weights,
        `sound8.npy` or a .pth, see `soundnet_weights.load`.
      dtype: that the network is to compute in.

    Raises:
      UserError: nothing there, a run of another system, a run that saved nothing yet, or a file that does not fit.
    """
    place = Path(path).expanduser()
    if place.is_file():
        model = SoundNet(dtype=dtype)
        return Trained(model, soundnet_weights.load(place, model))
    if not (place / "config.json").is_file():
        raise UserError(
            f"config.model.soundnet={str(path)!r} is no workdir and no file of weights: train a SoundNet with "
            "python train.py --config=configs/soundnet.py, give the path of sound8.npy or a .pth, or '' for none"
        )
    config = json.loads((place / "config.json").read_text())
    if config.get("system") != "soundnet":
        raise UserError(f"config.model.soundnet={str(path)!r} is a run of {config.get('system')!r}, not of soundnet")
    variables = _newest(place)
    heads = {f"{head}s": _classes(variables["params"], head) for head in ("object", "scene")}
    return Trained(SoundNet(**{**config["model"], **heads, "dtype": dtype}), variables)


def _classes(params: dict[str, Any], head: str) -> int:
    return params[head]["kernel"].shape[-1] if head in params else 0


def _newest(workdir: Path) -> dict[str, Any]:
    """The network of the newest checkpoint and nothing else of it, as NumPy arrays."""
    steps = [folder for folder in workdir.glob("checkpoints/*/default") if folder.parent.name.isdigit()]
    if not steps:
        raise UserError(f"config.model.soundnet={str(workdir)!r} has no checkpoint: the run saved nothing yet")
    newest = max(steps, key=lambda folder: int(folder.parent.name)).absolute()
    with ocp.PyTreeCheckpointer() as reader:
        saved = reader.metadata(newest).item_metadata.tree
        wanted = {"params": {"sound": saved["params"]["sound"]}, "state": {"net": saved["state"]["net"]}}
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
        args = ocp.args.PyTreeRestore(item=wanted, restore_args=as_numpy, partial_restore=True)
        found = reader.restore(newest, args=args)
    return {"params": found["params"]["sound"], "state": found["state"]["net"]}
