"""The released weights of Sound of Pixels (Zhao et al. 2018): three files of PyTorch, one for each network.

`sound_best.pth` is the U-Net, `frame_best.pth` the dilated ResNet-18 with its last convolution, `synthesizer_best.pth`
the scales and the bias. Nothing of PyTorch is needed to read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.models.joint.sound_of_pixels import FrameHead
from mmjax.models.sound.unet import UNet
from mmjax.models.vision.resnet import ResNet
from mmjax.weights import resnet, tensors, torch_layout
from mmjax.weights.torch_layout import Layer

NETWORKS = ("sound", "frame", "synthesizer")
SUFFIXES = ("_best.pth", "_latest.pth", ".pth")
DEEP = 512  # channels of ResNet-18's last map


def find(folder: str | Path) -> dict[str, Path]:
    """{network: its file} in a folder. Raises UserError where one is missing."""
    place = Path(folder).expanduser()
    found = {}
    for name in NETWORKS:
        files = [place / f"{name}{suffix}" for suffix in SUFFIXES if (place / f"{name}{suffix}").is_file()]
        if not files:
            raise UserError(f"{folder} has no weights of Sound of Pixels: there is no {name}{SUFFIXES[0]}")
        found[name] = files[0]
    return found


def load(folder: str | Path, levels: int = 7, width: int = 64, maps: int = 32) -> dict[str, Any]:
    """Loads all three networks; the licence of each file is told.

    Args:
      folder: of the files.
      levels, width, maps: of the U-Net, see `UNet`; the released one has the defaults.

    Returns:
      {"sound", "encoder", "head", "synthesiser": {"params": tree, "state": tree}} of float32 NumPy arrays; the last
      two have no state.

    Raises:
      UserError: a file is missing or damaged, or of another network, with what does not fit.
    """
    files = find(folder)
    read = {name: tensors.read(path) for name, path in files.items()}
    unet = UNet(maps, levels, width)
    of_sound = _shapes(unet, jnp.zeros((1, 2**levels, 2**levels)))
    pixels = {k: v for k, v in read["frame"].items() if not k.startswith("fc.")}
    last = {k: v for k, v in read["frame"].items() if k.startswith("fc.")}
    of_head = _shapes(FrameHead(maps), jnp.zeros((1, 1, 1, 1, DEEP)))
    said = {name: str(path) for name, path in files.items()}
    return {
        "sound": torch_layout.assemble(read["sound"], sound_layers(levels), unet, said["sound"], of_sound),
        "encoder": torch_layout.assemble(pixels, frame_layers(), ResNet(18, 0, dilated=True), said["frame"]),
        "head": torch_layout.assemble(last, [("fc", "fc", "biased_conv")], FrameHead(maps), said["frame"], of_head),
        "synthesiser": {"params": _synthesiser(read["synthesizer"], maps, said["synthesizer"])},
    }


def _shapes(model: Any, example: Any) -> Any:
    return jax.eval_shape(model.init, jax.random.key(0), example)


def sound_layers(levels: int) -> Iterator[Layer]:
    """Yields (ours, theirs, kind): a block of theirs holds the next deeper one."""
    yield "norm", "bn0", "norm"
    within = "unet_block.model"
    for i in range(levels):
        at = {"down": 1, "down_norm": 2, "next": 3, "up": 6, "up_norm": 7}
        if i == 0:
            at = {"down": 0, "next": 1, "up": 4}
        elif i == levels - 1:
            at = {"down": 1, "up": 4, "up_norm": 5}
        yield f"down{i}", f"{within}.{at['down']}", "conv"
        if "down_norm" in at:
            yield f"down{i}_norm", f"{within}.{at['down_norm']}", "norm"
        yield f"up{i}", f"{within}.{at['up']}", "conv" if i else "biased_conv"
        if i:
            yield f"up{i}_norm", f"{within}.{at['up_norm']}", "norm"
        within = f"{within}.{at.get('next', 0)}.model"


def frame_layers() -> Iterator[Layer]:
    """Yields (ours, theirs, kind): ResNet-18's layers by their place in a sequence."""
    for ours, theirs, kind in resnet.layers(18):
        if theirs == "fc":
            continue
        first, _, rest = theirs.partition(".")
        place = {"conv1": 0, "bn1": 1}.get(first)
        place = int(first.removeprefix("layer")) + 3 if place is None else place
        yield ours, ".".join(filter(None, ("features", str(place), rest))), kind


def _synthesiser(given: Mapping[str, np.ndarray], maps: int, source: str) -> dict[str, np.ndarray]:
    torch_layout.compare({k: v.shape for k, v in given.items()}, {"scale": (maps,), "bias": (1,)}, source)
    return {name: np.asarray(given[name], np.float32) for name in ("scale", "bias")}
