"""A trained SoundNet by path: the workdir of a run of ours, or a file of the published weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmjax.errors import OptionError
from mmjax.known import runs
from mmjax.models.sound.soundnet import SoundNet
from mmjax.weights import soundnet as published

OPTION = "soundnet"  # what the path is called in a config, wherever a section has one


@dataclasses.dataclass(frozen=True)
class TrainedSoundNet:
    """A SoundNet with its weights; hashable, and equal by value, for they are read when they are asked for.

    Attributes:
      model: the network, with the heads that it was trained with.
      path: where its weights are.
    """

    model: SoundNet
    path: str

    @property
    def variables(self) -> dict[str, Any]:
        """{"params": tree, "state": tree} of float32 NumPy arrays, read from the disk each time."""
        return weights(self.path)


def load(path: str | Path, dtype: str = "float32") -> TrainedSoundNet:
    """Finds a trained SoundNet; its weights are not read yet.

    Args:
      path: the workdir of a run of configs/soundnet.py, whose newest checkpoint is taken; or the published weights,
        `soundnet8_final.t7`, `sound8.npy` or a .pth, see `weights.soundnet.load`.
      dtype: that the network is to compute in.

    Raises:
      OptionError: of "soundnet": nothing there, a run of another system, or a run that saved nothing yet.
    """
    place = Path(path).expanduser()
    if place.is_file():
        return TrainedSoundNet(SoundNet(dtype=dtype), str(path))
    if not (place / "config.json").is_file():
        raise OptionError(
            OPTION,
            f"={str(path)!r} is no workdir and no file of weights: train a SoundNet with "
            "python train.py --config=configs/soundnet.py, give the path of soundnet8_final.t7, sound8.npy or a .pth, "
            "or '' for none",
        )
    config = runs.config_of(path, "soundnet", OPTION)
    params = runs.shapes(path, _network, OPTION)["params"]["sound"]
    heads = {f"{head}s": params[head]["kernel"].shape[-1] if head in params else 0 for head in ("object", "scene")}
    return TrainedSoundNet(SoundNet(**{**config["model"], **heads, "dtype": dtype}), str(path))


def make(*, soundnet: str, depth: int, width: float, dtype: str) -> tuple[SoundNet, TrainedSoundNet | None]:
    """The SoundNet of a config section, and where its trained weights are.

    Args:
      soundnet: path of `load`; "" for a fresh network.
      depth, width: of a fresh one.
      dtype: that it is to compute in.

    Raises:
      OptionError: as `load`; of "depth", for a network that there is not.
    """
    if not soundnet:
        return SoundNet(depth=depth, width=width, dtype=dtype).checked(), None
    trained = load(soundnet, dtype)
    return trained.model, trained


def weights(path: str | Path) -> dict[str, Any]:
    """The weights of what `load` found: {"params": tree, "state": tree} of float32 NumPy arrays.

    Raises:
      UserError: as `load`, or a file that does not fit.
    """
    place = Path(path).expanduser()
    if place.is_file():
        return published.load(place, SoundNet())
    found = runs.newest(path, _network, OPTION)
    return {"params": found["params"]["sound"], "state": found["state"]["net"]}


def _network(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The network of a checkpoint, without optimiser and baselines."""
    return {"params": {"sound": saved["params"]["sound"]}, "state": {"net": saved["state"]["net"]}}
