"""Networks of sound localisation by path: released ones, what they begin with, and what Senocak looks at."""

from __future__ import annotations

from typing import Any

from mmjax.errors import OptionError
from mmjax.known import encoders, soundnet_run
from mmjax.known.network import Network
from mmjax.models.joint.localiser import Localiser
from mmjax.models.sound.soundnet import scale
from mmjax.models.vision import vgg
from mmjax.weights import localisers, resnet
from mmjax.weights import vgg as published

PICTURES = {"recogniser": "map", "vgg16": ""}  # what Senocak's attention may look at, and the layer
PRIORS = {"recogniser": "map", "efficientnet_lite0": "head", "resnet18": "stage4"}  # whose features stand for objects

prepared = scale  # what a SoundNet is given


def released(path: str, model: Localiser) -> dict[str, Any]:
    """The released weights of LVS, EZ-VSL or SLAVC, see `weights.localisers.load`."""
    return localisers.load(path, model)


def imagenet(path: str) -> dict[str, Any]:
    """ResNet-18's trunk {"params", "state"} of torchvision's weights: with what EZ-VSL and SLAVC see at first."""
    found = resnet.load(path)
    return {kind: {k: v for k, v in found[kind].items() if k != "classifier"} for kind in ("params", "state")}


def looked_at(picture: str, weights: str, size: int) -> Network:
    """The frozen picture network under Senocak's attention.

    Args:
      picture: "vgg16", its last map before the ReLU (20 x 20 of 320 pixels), or "recogniser", our own of the scenes.
      weights: path of torchvision's VGG-16.
      size: pictures are resized to this square; 0 takes them as they come.

    Raises:
      OptionError: another name, or no weights.
    """
    if picture not in PICTURES:
        raise OptionError("picture", f"is {picture!r}: choose {' or '.join(map(repr, PICTURES))}")
    if picture == "recogniser":
        return encoders.make(picture, "map")
    if not weights:
        raise OptionError("weights", "is empty: give the path of torchvision's weights of vgg16")
    return Network(vgg.Trunk(16), "", size, published.load, (weights, 16), trained=False)


def listened_to(soundnet: str) -> Network:
    """The frozen SoundNet under Senocak's attention: logits of its object head, time step by time step.

    Args:
      soundnet: the workdir of a run of configs/soundnet.py, or a file of the published weights.

    Raises:
      OptionError: none, or one without an object head.
    """
    if not soundnet:
        raise OptionError("soundnet", "is empty: give the workdir of configs/soundnet.py or soundnet8_final.t7")
    model = soundnet_run.load(soundnet).model
    if not model.objects:
        raise OptionError("soundnet", f"={soundnet!r} has no object head")
    return Network(model, "object", load=soundnet_run.weights, source=(soundnet,), trained=False)


def object_prior(name: str, weights: str = "") -> Network | None:
    """The frozen picture network whose features are larger where there are things; None for "".

    Args:
      name: "recogniser", "efficientnet_lite0" (extra `pretrained`) or "resnet18" (EZ-VSL's).
      weights: path of torchvision's weights of resnet18.
    """
    if not name:
        return None
    if name not in PRIORS:
        raise OptionError("name", f"is {name!r}: choose {', '.join(map(repr, PRIORS))}, or '' for none")
    return encoders.make(name, PRIORS[name], weights)
