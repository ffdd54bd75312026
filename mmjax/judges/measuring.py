"""A judge whose features pictures are compared by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float

from mmjax.task import Judge


@dataclasses.dataclass(frozen=True)
class FeatureJudge(Judge):
    """A `Judge` of pictures.

    Attributes:
      features: (weights, pictures [b h w 3] of 0..255, of any size) -> float32 [b d].
    """

    features: Callable[[Any, Any], Float[Array, "b d"]]
