"""What no tensor of CLIP's published weights says: how many heads its attention has, and which GELU."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from mmjax.errors import OptionError
from mmjax.models.joint import clip as networks
from mmjax.weights import tensors

_TOWERS = {"image": "pictures", "text": "texts"}
# By open_clip's table of its weights; of LAION-400M's, some are for one and some for the other.
_NAMED = (
    (r"quick-?_?gelu|openai|(^|/)(ViT-[BL]-(32|16|14)(-336px)?|RN\d+(x\d+)?)\.pt$", "quick_gelu"),  # OpenAI's own files
    (r"laion-?_?[25]b|datacomp|commonpool", "gelu"),
)


def check(path: str | Path, model: Any, side: str) -> None:
    """Heads and activation of a tower, by what stands beside its weights, or by what is published of its sizes.

    A config.json (Hugging Face's) or open_clip_config.json in the same folder is believed. Without one, the heads are
    those of the published network of these sizes, and the name of the file says which GELU it may be for. What nothing
    says is the user's to know: a line on stderr then tells what was taken.

    Args:
      path: of the weights.
      model: a VisionTransformer or a TextTransformer, or a ModifiedResNet, which has no GELU.
      side: "image" or "text".

    Raises:
      OptionError: of `heads` or `activation`, where a file says, or the published network has, another.
    """
    said = _beside(tensors.locate(path).parent, model, side)
    heads = said.get("heads", networks.HEADS[side].get((model.width, model.layers)))
    if heads not in (None, model.heads):
        raise OptionError("heads", f"is {model.heads}, the weights' {heads} ({path})")
    gelu = getattr(model, "activation", None)
    if said and gelu and said["activation"] != gelu:
        raise OptionError("activation", f"is {gelu!r}, the weights' {said['activation']!r} ({path})")
    if heads is None:
        _tell(path, side, f"how many heads it has: heads={model.heads} is taken")
    if gelu and not said:
        # As far as models--OWNER--NAME/snapshots/COMMIT/FILE of a download.
        name = "/".join(tensors.locate(path).parts[-4:])
        guess = next((act for pattern, act in _NAMED if re.search(pattern, name, re.IGNORECASE)), None)
        if guess is None:
            known = "OpenAI's want quick_gelu, most of open_clip's gelu"
            _tell(path, side, f"with which GELU it was trained: activation={gelu!r} is taken; {known}")
        elif guess != gelu:
            line = f"by its name it was trained with activation={guess!r}, and {gelu!r} is taken"
            print(f"{path}: {line} for the tower of {_TOWERS[side]}", file=sys.stderr)


def _tell(path: str | Path, side: str, unsaid: str) -> None:
    print(f"{path}: nothing says of the tower of {_TOWERS[side]} {unsaid}", file=sys.stderr)


def _beside(folder: Path, model: Any, side: str) -> dict[str, Any]:
    """{"heads", "activation"} by the config in the weights' folder, {} where none is of a network of these sizes."""
    for name, read in (("open_clip_config.json", _of_open_clip), ("config.json", _of_hugging_face)):
        try:
            found = read(json.loads((folder / name).read_text(encoding="utf-8")), side)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):  # none, or of something else
            continue
        if (found.pop("width"), found.pop("layers")) == (model.width, model.layers):
            return found
    return {}


def _of_open_clip(config: Any, side: str) -> dict[str, Any]:
    own = config["model_cfg"][{"image": "vision_cfg", "text": "text_cfg"}[side]]
    layers = tuple(own["layers"]) if isinstance(own["layers"], list) else own["layers"]  # of a ResNet's stages
    inside = own["width"] * 32 if isinstance(layers, tuple) else own["width"]
    heads = inside // own.get("head_width", 64) if side == "image" else own.get("heads", 8)
    activation = "quick_gelu" if config["model_cfg"].get("quick_gelu") else "gelu"
    return {"width": own["width"], "layers": layers, "heads": heads, "activation": activation}


def _of_hugging_face(config: Any, side: str) -> dict[str, Any]:
    """What such a file leaves out has the defaults of its library."""
    kind, width, heads = {"image": ("vision", 768, 12), "text": ("text", 512, 8)}[side]
    own = {**config[f"{kind}_config"], **(config.get(f"{kind}_config_dict") or {})}
    return {
        "width": own.get("hidden_size", width),
        "layers": own.get("num_hidden_layers", 12),
        "heads": own.get("num_attention_heads", heads),
        "activation": own.get("hidden_act", "quick_gelu"),
    }
