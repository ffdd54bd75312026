"""A trained SoundNet by path: the workdir of a run of ours, or a file of the published weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmjax.errors import UserError
from mmjax.known import runs
from mmjax.models.sound.soundnet import SoundNet
from mmjax.weights import soundnet


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
        return Trained(model, soundnet.load(place, model))
    if not (place / "config.json").is_file():
        raise UserError(
            f"config.model.soundnet={str(path)!r} is no workdir and no file of weights: train a SoundNet with "
            "python train.py --config=configs/soundnet.py, give the path of sound8.npy or a .pth, or '' for none"
        )
    config = runs.config_of(path, "soundnet", "config.model.soundnet")
    found = runs.newest(path, _network, "config.model.soundnet")
    variables = {"params": found["params"]["sound"], "state": found["state"]["net"]}
    heads = {f"{head}s": _classes(variables["params"], head) for head in ("object", "scene")}
    return Trained(SoundNet(**{**config["model"], **heads, "dtype": dtype}), variables)


def _classes(params: dict[str, Any], head: str) -> int:
    return params[head]["kernel"].shape[-1] if head in params else 0


def _network(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The network of a checkpoint, without optimiser and baselines."""
    return {"params": {"sound": saved["params"]["sound"]}, "state": {"net": saved["state"]["net"]}}
