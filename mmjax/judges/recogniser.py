"""Our recognition network as a judge: what is in a picture, and features that pictures are compared by."""

from __future__ import annotations

import functools
from typing import Any

from jaxtyping import Array, Float, Num

from mmjax.judges.measuring import FeatureJudge
from mmjax.known import recogniser
from mmjax.ops.pictures import resize

SEEN = 112  # the side of the pictures that the network was trained on


@functools.cache
def _shipped() -> recogniser.TrainedRecogniser:
    return recogniser.load()


def classes() -> tuple[str, ...]:
    """The names of its classes of objects, in the order of the logits."""
    return _shipped().names["object"]


def load() -> dict[str, Any]:
    """Its weights, float32 NumPy arrays."""
    return _shipped().variables


def layers(weights: Any, picture: Num[Array, "b h w 3"]) -> dict[str, Array]:
    """Its layers, see `models.vision.recogniser`, for pictures of 0..255 of any size, at the size that it knows."""
    found: Any = _shipped().model.apply(weights, resize(picture, SEEN))
    return dict(found)


def features(weights: Any, picture: Num[Array, "b h w 3"]) -> Float[Array, "b d"]:
    """What both of its heads read."""
    return layers(weights, picture)["features"]


def judge() -> FeatureJudge:
    """The judge "recogniser"."""
    return FeatureJudge("recogniser", load, features)
