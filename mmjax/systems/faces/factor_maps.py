"""Between hidden factors and features of faces: the maps that price what a voice could say of a face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmjax.metrics import regression

DEGREE = 4  # of the polynomials from factors to features


def fit(factors: tuple[str, ...], feature: np.ndarray, speaker: np.ndarray) -> dict[str, Any]:
    """Linear maps, fitted on true faces.

    Args:
      factors: names of the columns of `speaker`.
      feature: [n d]; speaker: [n k].

    Returns:
      "probe", from a feature to the factors; "oracle", from `monomials` of the factors to the mean feature that goes
      with them; "alone", {factor: the same from it alone}.
    """
    alone = [regression.ridge(monomials(speaker[:, [i]]), feature) for i in range(len(factors))]
    return {
        "probe": regression.ridge(feature, speaker),
        "oracle": regression.ridge(monomials(speaker), feature),
        "alone": dict(zip(factors, alone, strict=True)),
    }


def monomials(x: Any) -> Any:
    """Products of powers of the columns, of degree 1 to DEGREE, [b k] -> [b m]; JAX's of JAX's, else NumPy's."""
    columns = [x[:, i] for i in range(x.shape[1])]
    found = []
    for exponents in regression.powers(len(columns), DEGREE)[1:]:
        product = 1.0
        for column, exponent in zip(columns, exponents, strict=True):
            product = product * column**exponent if exponent else product
        found.append(product)
    return (jnp if isinstance(x, jax.Array) else np).stack(found, -1)


def mapped(map_: Mapping[str, Array], x: Float[Array, "b k"]) -> Float[Array, "b d"]:
    """What a map of `fit` makes of rows."""
    return x @ map_["weights"] + map_["offset"][None]


def features(map_: Mapping[str, Array], factors: Float[Array, "b k"]) -> Float[Array, "b d"]:
    """The mean features of the faces that go with factors, by the "oracle" or one of "alone"."""
    return mapped(map_, monomials(factors))
