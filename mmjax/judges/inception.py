"""FID's Inception network as a judge, from the file of its weights, which the user has."""

from __future__ import annotations

from typing import Any

from jaxtyping import Array, Float, Num

from mmjax.errors import section
from mmjax.judges.measuring import FeatureJudge
from mmjax.models.vision.inception import InceptionFid
from mmjax.task import bind
from mmjax.weights import inception


def load(path: str) -> dict[str, Any]:
    """Its weights, float32 NumPy arrays. Raises UserError where the file is missing or another network's."""
    with section("config.eval", path="config.eval.judges: inception"):
        return inception.load(path)


def features(weights: Any, picture: Num[Array, "b h w 3"]) -> Float[Array, "b 2048"]:
    """The features that FID is the distance of."""
    found: Any = InceptionFid().apply(weights, picture)
    return found


def judge(path: str) -> FeatureJudge:
    """The judge "inception"; the file is read when its weights are asked for."""
    return FeatureJudge("inception", bind(load, path), features)
