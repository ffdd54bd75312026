"""Visual teachers by name: frames -> log-probabilities of objects and scenes, by networks with published weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from mmjax.errors import OptionError, UserError
from mmjax.known import recogniser
from mmjax.known.network import Network
from mmjax.models.vision.efficientnet import SIZES, EfficientNetLite
from mmjax.models.vision.resnet import ResNet
from mmjax.weights import efficientnet_lite, resnet

PLACES = 365  # classes of Places365
NAMES = ("recogniser", *(f"efficientnet_{size}" for size in efficientnet_lite.BLOCKS))

Heads = dict[str, Float[Array, "b f c"]]
Names = tuple[tuple[str, tuple[str, ...]], ...]  # of the classes: ((head, (name, ...)), ...)


@dataclasses.dataclass(frozen=True)
class Part:
    """One network of a teacher.

    Attributes:
      name: of its weights among the teacher's.
      network: takes pictures [b h w 3] of 0..255 and returns a dict of logits; frozen.
      heads: ((head of the teacher, name of the logits), ...).
    """

    name: str
    network: Network
    heads: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Teacher:
    """Pretrained recognition networks as one function of the frames; hashable, and equal by value.

    Attributes:
      parts: its networks.
      classes: names of the classes of each head that is there.
    """

    parts: tuple[Part, ...]
    classes: Names

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """{head: the names of its classes}."""
        return dict(self.classes)

    def check(self) -> None:
        """Raises UserError where something is missing that `load` cannot do without."""
        for part in self.parts:
            part.network.check()

    def init(self, frames: UInt8[Array, "b f h w 3"]) -> dict[str, Any]:
        """The tree of the weights, for a task's `frozen`, before `load` brings their values."""
        key = jax.random.key(0)  # nothing is drawn
        return {part.name: part.network.init(key, frames[:, 0])["frozen"] for part in self.parts}

    def load(self, fresh: Mapping[str, Any]) -> dict[str, Any]:
        """The weights in the tree of `init`, NumPy arrays. Raises UserError for a file that is missing or no such."""
        return {part.name: part.network.fill(_frozen(fresh[part.name]))["frozen"] for part in self.parts}

    def __call__(self, variables: Mapping[str, Any], frames: UInt8[Array, "b f h w 3"]) -> Heads:
        """Asks each network for its heads, each picture at the network's own size.

        Args:
          variables: of `load`.
          frames: [b f h w 3], 0..255.

        Returns:
          {"object": [b f c], "scene": [b f d]}, log-probabilities, float32; a head that no network has is absent.
        """
        flat = frames.reshape(-1, *frames.shape[2:])  # b f h w 3 -> n h w 3
        out = {}
        for part in self.parts:
            logits: Any = part.network(_frozen(variables[part.name]), flat)[0]
            for head, key in part.heads:
                log_probs = jax.nn.log_softmax(logits[key].astype(jnp.float32))
                out[head] = log_probs.reshape(*frames.shape[:2], -1)  # n c -> b f c
        return out


def _frozen(variables: Any) -> dict[str, Any]:
    """A frozen network's variables as `Network` takes them."""
    return {"params": {}, "state": {}, "frozen": variables}


def make(name: str, scenes: str = "", dtype: str = "float32") -> Teacher:
    """A teacher; its weights are read by its `load`.

    Args:
      name: "recogniser", our small network for the default data, with an object and a scene head; or
        "efficientnet_lite0" (lite1, lite2), ImageNet's 1000 classes as objects, from the extra `pretrained`.
      scenes: path of `resnet18_places365.pth.tar` of the Places365 project, or of any torchvision ResNet-18 with 365
        classes: it becomes the scene head, with the names of `categories_places365.txt` where that lies beside it.
        Without it EfficientNet has no scene head.
      dtype: compute dtype of the published networks.

    Raises:
      OptionError: an unknown name.
      UserError: names of places that are none.
    """
    if name == "recogniser":
        trained = recogniser.load()
        network = Network(trained.model, size=112, load=recogniser.weights, trained=False)
        heads, names = {"object": "object", "scene": "scene"}, dict(trained.names)
    elif name in NAMES:
        size = name.removeprefix("efficientnet_")
        network = Network(
            EfficientNetLite(size, dtype=dtype),
            size=SIZES[size][2],
            load=efficientnet_lite.load,
            source=(size,),
            found=efficientnet_lite.package_file,
            trained=False,
        )
        heads, names = {"object": "logits"}, {"object": efficientnet_lite.classes()}
    else:
        raise OptionError("name", f"{name!r} is unknown: choose one of {', '.join(NAMES)}")
    if not scenes:
        return Teacher((Part(name, network, tuple(heads.items())),), tuple(names.items()))
    source = (scenes, 18, PLACES)
    places = Network(ResNet(18, PLACES, dtype=dtype), size=224, load=resnet.load, source=source, trained=False)
    parts = (Part(name, network, (("object", heads["object"]),)), Part("places", places, (("scene", "logits"),)))
    names["scene"] = place_names(Path(scenes).expanduser())
    return Teacher(parts, tuple(names.items()))


def place_names(weights: Path) -> tuple[str, ...]:
    """Names of the 365 classes, from the project's `categories_places365.txt` beside the weights; else numbers."""
    listing = weights.with_name("categories_places365.txt")
    if not listing.is_file():
        return tuple(f"place {i}" for i in range(PLACES))
    rows = [line.split() for line in listing.read_text().splitlines() if line.strip()]  # "/a/airfield 0"
    if [row[-1] for row in rows] != [str(i) for i in range(PLACES)]:
        raise UserError(f"{listing}: its lines should be a name and a number, 0 to {PLACES - 1} in order")
    return tuple(row[0].split("/", 2)[-1].replace("_", " ") for row in rows)
