"""Visual teachers by name, with their published weights."""

from __future__ import annotations

import functools
from pathlib import Path

from mmjax.errors import UserError
from mmjax.known import recogniser
from mmjax.known.teacher import Network, Teacher, look
from mmjax.models.vision.efficientnet import SIZES, EfficientNetLite
from mmjax.models.vision.resnet import ResNet
from mmjax.weights import efficientnet_lite, resnet

PLACES = 365  # classes of Places365
NAMES = ("recogniser", *(f"efficientnet_{size}" for size in efficientnet_lite.BLOCKS))


def make(name: str, scenes: str = "", dtype: str = "float32") -> Teacher:
    """A teacher with its weights.

    Args:
      name: "recogniser", our small network for the default data, with an object and a scene head; or
        "efficientnet_lite0" (lite1, lite2), ImageNet's 1000 classes as objects, from the extra `pretrained`.
      scenes: path of `resnet18_places365.pth.tar` of the Places365 project, or of any torchvision ResNet-18 with 365
        classes: it becomes the scene head, with the names of `categories_places365.txt` where that lies beside it.
        Without it EfficientNet has no scene head.
      dtype: compute dtype of the published networks.

    Raises:
      UserError: an unknown name, missing weights, or weights that do not fit.
    """
    notes: tuple[str, ...] = ()
    if name == "recogniser":
        trained = recogniser.load()
        networks = {name: Network(trained.model, 112, {"object": "object", "scene": "scene"})}
        variables, names = {name: trained.variables}, dict(trained.names)
    elif name in NAMES:
        size = name.removeprefix("efficientnet_")
        networks = {name: Network(EfficientNetLite(size, dtype=dtype), SIZES[size][2], {"object": "logits"})}
        variables, names = {name: efficientnet_lite.load(size)}, {"object": efficientnet_lite.classes()}
        notes = (
            "no scene teacher: give the path of resnet18_places365.pth.tar (http://places2.csail.mit.edu) as "
            "config.teacher.scenes to have one",
        )
    else:
        raise UserError(f"config.teacher.name {name!r} is unknown: choose one of {', '.join(NAMES)}")
    if scenes:
        networks = {key: _only_objects(network) for key, network in networks.items()}
        networks["places"] = Network(ResNet(18, PLACES, dtype=dtype), 224, {"scene": "logits"})
        variables["places"] = resnet.load(scenes, 18, PLACES)
        names["scene"], notes = place_names(Path(scenes).expanduser()), ()
    return Teacher(variables, functools.partial(look, networks), names, notes)


def place_names(weights: Path) -> tuple[str, ...]:
    """Names of the 365 classes, from the project's `categories_places365.txt` beside the weights; else numbers."""
    listing = weights.with_name("categories_places365.txt")
    if not listing.is_file():
        return tuple(f"place {i}" for i in range(PLACES))
    rows = [line.split() for line in listing.read_text().splitlines() if line.strip()]  # "/a/airfield 0"
    if [row[-1] for row in rows] != [str(i) for i in range(PLACES)]:
        raise UserError(f"{listing}: its lines should be a name and a number, 0 to {PLACES - 1} in order")
    return tuple(row[0].split("/", 2)[-1].replace("_", " ") for row in rows)


def _only_objects(network: Network) -> Network:
    return Network(network.model, network.size, {"object": network.heads["object"]})
