"""Picture encoders by name: a network, the layer that is read from it, and its weights where it has some."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float, UInt8

from mmjax.errors import UserError
from mmjax.known import recogniser
from mmjax.models.vision.efficientnet import SIZES, EfficientNetLite
from mmjax.models.vision.resnet import STAGES, ResNet
from mmjax.models.vision.scene_encoder import SceneEncoder
from mmjax.models.vision.vgg import STAGES as VGG_STAGES
from mmjax.models.vision.vgg import VGG
from mmjax.ops.pictures import resize
from mmjax.weights import efficientnet_lite, resnet, vgg

NAMES = (
    "scene",
    "recogniser",
    *(f"efficientnet_{size}" for size in efficientnet_lite.BLOCKS),
    *(f"resnet{depth}" for depth in STAGES),
    *(f"vgg{depth}" for depth in VGG_STAGES),
)


@dataclasses.dataclass(frozen=True)
class Encoder:
    """A picture network as a function of pictures.

    Attributes:
      model: takes pictures [b h w 3] of 0..255 and returns a dict of layers.
      layer: the one that is read.
      size: the side of the square that it was trained on; 0 takes pictures as they are.
      variables: its weights, {"params": tree} and perhaps {"state": tree}, NumPy arrays; None for a network that has
        to be trained from scratch.
    """

    model: nn.Module
    layer: str
    size: int
    variables: Mapping[str, Any] | None

    def __call__(self, variables: Mapping[str, Any], image: UInt8[Array, "b h w 3"]) -> Float[Array, "b ..."]:
        """The layer [b d] or [b i j d], with the statistics of BatchNorm as they are."""
        return self._read(self.model.apply(variables, self._sized(image)))

    def train(
        self, variables: Mapping[str, Any], image: UInt8[Array, "b h w 3"]
    ) -> tuple[Float[Array, "b ..."], dict[str, Any]]:
        """The layer with the statistics of the batch, and {"state": the running ones after it}."""
        layers, updated = self.model.apply(variables, self._sized(image), train=True, mutable=["state"])
        return self._read(layers), dict(updated)

    def _sized(self, image):
        return resize(image, self.size) if self.size else image

    def _read(self, layers):
        if self.layer not in layers:
            raise UserError(f"config.encoder.layer {self.layer!r} is unknown: choose one of {', '.join(layers)}")
        return layers[self.layer]


def make(
    name: str, layer: str = "", weights: str = "", widths: tuple[int, ...] = (32, 64, 96), dtype: str = "float32"
) -> Encoder:
    """An encoder with its weights.

    Args:
      name: "scene", a small network without weights; "recogniser", our network of the default data;
        "efficientnet_lite0" (lite1, lite2), ImageNet's weights from the extra `pretrained`; "resnet18" (34, 50, 101,
        152) or "vgg16" (19) with the path of torchvision's weights.
      layer: of the network; "" is the map of the first two ("where" is in it), fc7 of a VGG and the mean of the
        others' last map.
      weights: path of a weight file, for a ResNet or a VGG.
      widths: of "scene".
      dtype: compute dtype.

    Raises:
      UserError: an unknown name, missing weights, or weights that do not fit.
    """
    if name not in NAMES:
        raise UserError(f"config.encoder.name {name!r} is unknown: choose one of {', '.join(NAMES)}")
    if name == "scene":
        return Encoder(SceneEncoder(tuple(widths), dtype=dtype), layer or "map", 0, None)
    if name == "recogniser":
        trained = recogniser.load()
        return Encoder(trained.model, layer or "map", 112, trained.variables)
    if name.startswith("efficientnet_"):
        size = name.removeprefix("efficientnet_")
        model = EfficientNetLite(size, dtype=dtype)
        return Encoder(model, layer or "pooled", SIZES[size][2], efficientnet_lite.load(size))
    if not weights:
        raise UserError(f"config.encoder.weights is empty: give the path of torchvision's weights of {name}")
    if name.startswith("vgg"):
        depth = int(name.removeprefix("vgg"))
        return Encoder(VGG(depth, dtype=dtype), layer or "fc7", 224, vgg.load(weights, depth))
    depth = int(name.removeprefix("resnet"))
    return Encoder(ResNet(depth, dtype=dtype), layer or "pooled", 224, resnet.load(weights, depth))
