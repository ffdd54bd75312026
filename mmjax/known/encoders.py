"""Picture encoders by name: a network, the layer that is read from it, and its weights where it has some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, UInt8

from mmjax.errors import OptionError
from mmjax.known import recogniser
from mmjax.known.network import Network, Parts
from mmjax.models.vision.efficientnet import SIZES, EfficientNetLite
from mmjax.models.vision.resnet import STAGES, ResNet
from mmjax.models.vision.scene_encoder import SceneEncoder
from mmjax.models.vision.vgg import STAGES as VGG_STAGES
from mmjax.models.vision.vgg import VGG
from mmjax.weights import efficientnet_lite, resnet, vgg

NAMES = (
    "scene",
    "recogniser",
    *(f"efficientnet_{size}" for size in efficientnet_lite.BLOCKS),
    *(f"resnet{depth}" for depth in STAGES),
    *(f"vgg{depth}" for depth in VGG_STAGES),
    "resnet18_dilated",
)


def make(
    name: str,
    layer: str = "",
    weights: str = "",
    widths: tuple[int, ...] = (32, 64, 96),
    dtype: str = "float32",
    trained: bool = False,
    statistics: str = "batch",
    separable: bool = False,
) -> Network:
    """An encoder of pictures [b h w 3] of 0..255, whose layer is a map [b i j d] or a vector [b d].

    Args:
      name: "scene", a small network without weights; "recogniser", our network of the default data;
        "efficientnet_lite0" (lite1, lite2), ImageNet's weights from the extra `pretrained`; "resnet18" (34, 50, 101,
        152) or "vgg16" (19) with the path of torchvision's weights; "resnet18_dilated", whose last map is a sixteenth
        of the picture, with or without them.
      layer: of the network; "" is the map of the first two ("where" is in it), fc7 of a VGG and the mean of the
        others' last map.
      weights: path of a weight file, for a ResNet or a VGG.
      widths: of "scene".
      dtype: compute dtype.
      trained, statistics: see `Network`.
      separable: of "scene": whether its blocks after the first convolve each channel alone and then each pixel.

    Raises:
      OptionError: an unknown name, missing weights; see `Network`. UserError, where they are filled in: weights that
        are not there or do not fit.
    """
    if name not in NAMES:
        raise OptionError("name", f"{name!r} is unknown: choose one of {', '.join(NAMES)}")
    how: dict[str, Any] = {"trained": trained, "statistics": statistics}
    if name == "scene":
        if not trained:
            raise OptionError("name", f"{name!r} has no weights: it has to be trained")
        return Network(SceneEncoder(tuple(widths), dtype=dtype, separable=separable), layer or "map", **how)
    if separable:
        raise OptionError("separable", f"is True, and {name!r} is a network with weights: 'scene' can be separable")
    if name == "recogniser":
        return Network(recogniser.load().model, layer or "map", 112, recogniser.weights, **how)
    if name.startswith("efficientnet_"):
        size = name.removeprefix("efficientnet_")
        model = EfficientNetLite(size, dtype=dtype)
        how["found"] = efficientnet_lite.package_file
        return Network(model, layer or "pooled", SIZES[size][2], efficientnet_lite.load, (size,), **how)
    if name == "resnet18_dilated" and (weights or trained):
        how |= {"load": resnet.load, "source": (weights, 18)} if weights else {}
        return Network(ResNet(18, 0, dtype, dilated=True), layer or "stage4", **how)
    if not weights:
        raise OptionError("weights", f"is empty: give the path of torchvision's weights of {name}")
    if name.startswith("vgg"):
        depth = int(name.removeprefix("vgg"))
        return Network(VGG(depth, dtype=dtype), layer or "fc7", 224, vgg.load, (weights, depth), **how)
    depth = int(name.removeprefix("resnet"))
    return Network(ResNet(depth, dtype=dtype), layer or "pooled", 224, resnet.load, (weights, depth), **how)


def parts(variables: Mapping[str, Any], group: str) -> dict[str, Any]:
    """The parts of an encoder that stands in a system's variables beside what reads it, as `placed` puts them there."""
    return {
        "params": variables["params"][group].get("encoder", {}),
        "state": variables["state"].get("encoder", {}).get("state", {}),
        "frozen": variables["frozen"]["encoder"],
    }


def features(encoder: Network, own: Parts, image: UInt8[Array, "b h w 3"]) -> dict[str, Array]:
    """What there is to know of pictures for whoever reads a frozen encoder: its layer."""
    return {"features": encoder(own, image)[0]}


def placed(variables: Mapping[str, Any], group: str, parts: Parts) -> dict[str, Any]:
    """The variables with an encoder: its parameters in a group, where they are trained, and the rest beside it."""
    own = {"encoder": parts["params"]} if parts["params"] else {}
    return {
        "params": {**variables["params"], group: {**variables["params"][group], **own}},
        "state": {**variables["state"], **beside(parts["state"])},
        "frozen": {**variables["frozen"], "encoder": parts["frozen"]},
    }


def beside(state: Any) -> dict[str, Any]:
    """An encoder's state as a part of a system's, {} where there is none."""
    return {"encoder": {"state": state}} if state else {}
