"""Published networks that speak, by the path of a file."""

from __future__ import annotations

from typing import Any

from mmjax.errors import UserError
from mmjax.models.sound.hifi_gan import HiFiGAN
from mmjax.models.sound.tacotron2 import Tacotron2
from mmjax.weights import hifi_gan as generators
from mmjax.weights import tacotron2 as networks


def tacotron2(path: str, model: Tacotron2) -> dict[str, Any]:
    """{"params", "state"} of config.weights, see `weights.tacotron2.load`. Raises UserError, naming the field."""
    return _named("config.weights", networks.load, path, model)


def hifi_gan(path: str, model: HiFiGAN) -> dict[str, Any]:
    """{"params"} of config.vocoder, see `weights.hifi_gan.load`. Raises UserError, naming the field."""
    return _named("config.vocoder", generators.load, path, model)


def _named(field: str, load: Any, path: str, model: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = load(path, model)
        return found
    except UserError as error:
        raise UserError(f"{field}: {error}") from None
