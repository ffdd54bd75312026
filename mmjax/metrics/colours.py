"""Which colour a picture's object has, told by the picture's histogram and planes that are fitted to real pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from mmjax.ops import linear_svm

BINS = 6  # of each of red, green and blue


def histogram(picture: UInt8[Array, "b h w 3"]) -> Float[Array, "b 216"]:
    """The roots of the shares of each of 6 x 6 x 6 colours: of unit length."""
    level = picture.astype(jnp.int32) * BINS // 256
    place = (level[..., 0] * BINS + level[..., 1]) * BINS + level[..., 2]
    place = place.reshape(len(place), -1)
    counts = jax.vmap(lambda row: jnp.zeros(BINS**3).at[row].add(1.0))(place)
    return jnp.sqrt(counts / place.shape[1])


def fit(histograms: Float[np.ndarray, "n 216"], colours: Int[np.ndarray, "n k"], classes: int) -> dict[str, np.ndarray]:
    """Planes that tell the colour of a picture's only object by `histogram`: "weights" [216 c] and "bias" [c].

    Args:
      histograms: of pictures.
      colours: of each object of theirs, -1 where there is none. Pictures of several objects teach nothing: which of
        them has the colour is not known.
      classes: c.
    """
    single = np.sum(colours >= 0, 1) == 1
    label = np.maximum(np.max(colours, 1), 0)
    planes = linear_svm.fit(jnp.asarray(histograms), jnp.asarray(label), classes, 100.0, where=jnp.asarray(single))
    return {"weights": np.asarray(planes.weights), "bias": np.asarray(planes.bias)}


def scores(planes: Mapping[str, Any], picture: UInt8[Array, "b h w 3"]) -> Float[Array, "b c"]:
    """The score of each colour."""
    return linear_svm.LinearSVM(planes["weights"], planes["bias"]).scores(histogram(picture))
