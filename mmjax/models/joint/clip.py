"""CLIP's networks by their published names: OpenAI's (Radford et al. 2021, tables 19 and 20), open_clip's larger ones.

A preset is {"image": {"kind": "vit" or "resnet", options}, "text": {options}, "embed": n}: what `towers` makes of it
has, with one number for the temperature, as many parameters as the published model, 151,277,313 for "ViT-B/32".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from mmjax.errors import OptionError
from mmjax.models.text.text_transformer import TextTransformer
from mmjax.models.vision.modified_resnet import ModifiedResNet
from mmjax.models.vision.vision_transformer import VisionTransformer

VOCABULARY = 49_408  # tokens of the published models; ours have <pad> and <unk> more
IMAGE_NETWORKS: dict[str, type[nn.Module]] = {"vit": VisionTransformer, "resnet": ModifiedResNet}


def _vit(width: int, layers: int, patch: int, size: int, text: int, embed: int) -> dict[str, Any]:
    image = {"kind": "vit", "width": width, "layers": layers, "heads": width // 64, "patch": patch, "image_size": size}
    return {"image": image, "text": _text(text), "embed": embed}


def _large(width: int, layers: int, inside: int, text: int, text_layers: int, embed: int) -> dict[str, Any]:
    """Sixteen heads, whatever the width: 80, 88 or 104 wide each."""
    image = {"kind": "vit", "width": width, "layers": layers, "heads": 16, "patch": 14, "image_size": 224}
    return {"image": {**image, "inside": inside}, "text": _text(text, text_layers), "embed": embed}


def _resnet(layers: tuple[int, ...], width: int, size: int, text: int, embed: int) -> dict[str, Any]:
    image = {"kind": "resnet", "layers": layers, "width": width, "heads": width // 2, "image_size": size}
    return {"image": image, "text": _text(text), "embed": embed}


def _text(width: int, layers: int = 12) -> dict[str, Any]:
    return {"width": width, "layers": layers, "heads": width // 64, "context": 77}


PRESETS: dict[str, dict[str, Any]] = {
    "ViT-B/32": _vit(768, 12, 32, 224, 512, 512),
    "ViT-B/16": _vit(768, 12, 16, 224, 512, 512),
    "ViT-L/14": _vit(1024, 24, 14, 224, 768, 768),
    "ViT-L/14@336px": _vit(1024, 24, 14, 336, 768, 768),
    "RN50": _resnet((3, 4, 6, 3), 64, 224, 512, 1024),
    "RN101": _resnet((3, 4, 23, 3), 64, 224, 512, 512),
    "RN50x4": _resnet((4, 6, 10, 6), 80, 288, 640, 640),
    "RN50x16": _resnet((6, 8, 18, 8), 96, 384, 768, 768),
    "RN50x64": _resnet((3, 15, 36, 10), 128, 448, 1024, 1024),
    "ViT-H-14": _large(1280, 32, 0, 1024, 24, 1024),
    "ViT-g-14": _large(1408, 40, 6144, 1024, 24, 1024),
    "ViT-bigG-14": _large(1664, 48, 8192, 1280, 32, 1280),
}
# (width, layers) -> heads of every network that was published as CLIP's tower of pictures or of texts: no file of
# weights tells, and any other number would compute nonsense. Those without a preset are open_clip's S, M, plus and e.
HEADS: dict[str, dict[tuple[int, Any], int]] = {
    "image": {(384, 12): 6, (512, 12): 8, (896, 12): 14, (1792, 56): 16},
    "text": {(256, 10): 4, (384, 12): 6, (1280, 36): 20},
}
for _preset in PRESETS.values():
    for _side, _published in HEADS.items():
        _published[_preset[_side]["width"], _preset[_side]["layers"]] = _preset[_side]["heads"]


def towers(
    image: Mapping[str, Any], text: Mapping[str, Any], embed: int, vocabulary: int = VOCABULARY, **both: Any
) -> tuple[nn.Module, TextTransformer]:
    """The image tower and the text tower of a preset, or of other sizes in its form.

    Args:
      image: "kind", a key of IMAGE_NETWORKS, and the options of that network.
      text: the options of the text tower.
      embed: width of the space that they share.
      vocabulary: rows of the text tower's embedding.
      both: what both towers are given: `activation` (a ResNet has none), `dtype`, `remat`.

    Raises:
      OptionError: an unknown kind of image tower, or an option that it does not have.
    """
    options = dict(image)
    kind = options.pop("kind")
    if kind not in IMAGE_NETWORKS:
        raise OptionError("kind", f"{kind!r} is unknown: choose one of {', '.join(IMAGE_NETWORKS)}")
    shared = {name: value for name, value in both.items() if name in IMAGE_NETWORKS[kind].__dataclass_fields__}
    strange = [name for name in options if name not in IMAGE_NETWORKS[kind].__dataclass_fields__]
    if strange:
        raise OptionError(strange[0], f"is no option of {kind!r}: start from a variant of that kind")
    return IMAGE_NETWORKS[kind](**options, embed=embed, **shared), TextTransformer(
        vocabulary, **text, embed=embed, **both
    )
