"""The released networks of VisualVoice in the place of fresh ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmjax.models.joint.visual_voice import Attributes, VisualVoiceUNet
from mmjax.models.vision.lip_motion import LipMotion
from mmjax.weights import visual_voice


def check(folder: str) -> None:
    """Raises UserError where a folder has none of the networks' files."""
    visual_voice.find(folder)


def placed(
    variables: Mapping[str, Any], group: str, folder: str, mask: VisualVoiceUNet, lips: LipMotion, of_each: Attributes
) -> dict[str, Any]:
    """A system's variables with those networks that a folder has; the others stay as they are.

    Args:
      variables: parts "mask", "lips", "face" and "voice" in a group of "params", and in "state".
      group: its name.
      folder: of the files, see `weights.visual_voice.find`.
      mask, lips, of_each: what the weights are for.

    Raises:
      UserError: there is none, or one is of another network than the system's, with what does not fit.
    """
    seen = lips.features + of_each.features
    loaders: dict[str, Callable[[Path], Any]] = {
        "mask": lambda path: visual_voice.load(path, mask, seen),
        "lips": lambda path: visual_voice.load_lips(path, lips),
        "face": lambda path: visual_voice.load_attributes(path, of_each, 3),
        "voice": lambda path: visual_voice.load_attributes(path, of_each, 2),
    }
    found = {part: loaders[part](path) for part, path in visual_voice.find(folder).items()}
    params = {**variables["params"][group], **{part: own["params"] for part, own in found.items()}}
    state = {**variables["state"], **{part: own["state"] for part, own in found.items()}}
    return {**variables, "params": {**variables["params"], group: params}, "state": state}
