"""How far a student's answers are from its teacher's."""

from __future__ import annotations

from collections.abc import Mapping

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float

from mmjax.losses import divergence
from mmjax.ops import collective
from mmjax.ops.vectors import unit


def at_temperature(
    teacher: Float[Array, "b c"], student: Float[Array, "b c"], temperature: float
) -> Float[Array, " b"]:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) in nats (Hinton et al. 2015, section 2).

    The factor keeps the gradient's size whatever T is. Log-probabilities are logits, too.
    """
    t = jnp.float32(temperature)
    return t * t * divergence.kl(jax.nn.log_softmax(teacher.astype(jnp.float32) / t), student.astype(jnp.float32) / t)


def of_similarities(
    teacher: Mapping[str, Float[Array, "b d"]], student: Mapping[str, Float[Array, "b e"]]
) -> dict[str, Float[Array, ""]]:
    """The mean squared difference between two spaces' cosines among the examples of a batch, of all devices.

    Of one kind of points their cosines with each other; of several, those of each pair of kinds. The two spaces need
    not have one dimension (Tung and Mori 2019, "Similarity-Preserving Knowledge Distillation").

    Args:
      teacher: {kind: points}.
      student: the same kinds.

    Returns:
      {"<kind>" or "<kind>_<kind>": difference}.
    """
    kinds = sorted(student)
    pairs = [(a, b) for i, a in enumerate(kinds) for b in kinds[i + 1 :]] or [(kinds[0], kinds[0])]

    def cosines(points: Mapping[str, Array], a: str, b: str) -> Float[Array, "b n"]:
        return unit(points[a].astype(jnp.float32)) @ collective.gather(unit(points[b].astype(jnp.float32))).T

    return {
        a if a == b else f"{a}_{b}": jnp.mean(jnp.square(cosines(teacher, a, b) - cosines(student, a, b)))
        for a, b in pairs
    }


def of_maps(teacher: Float[Array, "b i j"], student: Float[Array, "b i j"]) -> Float[Array, ""]:
    """The mean squared difference of maps."""
    return jnp.mean(jnp.square(teacher.astype(jnp.float32) - student.astype(jnp.float32)))
