"""The shipped weights of our small recogniser; `mmjax export-recogniser` makes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from mmjax.errors import UserError
from mmjax.models.vision.recogniser import Recogniser
from mmjax.weights import safetensors_file

SHIPPED = Path(__file__).with_name("recogniser.safetensors")
HEADS = ("object", "scene")


class TrainedRecogniser(NamedTuple):
    """A recogniser with its weights.

    Attributes:
      model: the network.
      variables: {"params": tree, "state": tree} of float32 NumPy arrays.
      names: {"object": class names, "scene": class names}, in the order of the logits.
      figures: what its run reached on the test split, beside the trivial baselines.
    """

    model: Recogniser
    variables: dict[str, Any]
    names: dict[str, tuple[str, ...]]
    figures: dict[str, float]


def load(path: Path = SHIPPED) -> TrainedRecogniser:
    """Loads the shipped recogniser, or another one that was exported. Raises UserError if it is none."""
    variables, metadata = safetensors_file.load(path)
    if "model" not in metadata:
        raise UserError(f"{path}: not a recogniser: export one with mmjax export-recogniser WORKDIR")
    names = {head: tuple(names) for head, names in json.loads(metadata["names"]).items()}
    options: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(metadata["model"]).items()
    }
    model = Recogniser(objects=len(names["object"]), scenes=len(names["scene"]), **options)
    return TrainedRecogniser(model, variables, names, json.loads(metadata["figures"]))


def weights(path: Path = SHIPPED) -> dict[str, Any]:
    """{"params": tree, "state": tree} of `load`."""
    return load(path).variables
