"""What a joint embedding is made of: the sides of an example, their towers and heads, and the names of classes."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from mmjax.known.towers import Side, Tower
from mmjax.ops import alike
from mmjax.ops.vectors import unit
from mmjax.task import Batch, Features, Variables, bind

FIELDS = {
    "image": ("image",),
    "caption": ("captions_tokens", "captions_tokens_length"),
    "waveform": ("waveform", "waveform_length"),
}
MODALITIES = {"image": "picture", "caption": "words", "waveform": "sound"}
Embedded = tuple[Float[Array, "n d"], Float[Array, "n d"] | None, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Networks:
    """The towers and heads of all sides; hashable, and equal by value.

    Attributes:
      sides: (name, tower and head), in the order of the config.
      label: the field of classes, "" for none.
      tags: the field of tags, "" for none.
      prompts: sentences with {} in the place of a class or a tag.
      among_names: whether the loss is among the points of the classes' names (DeViSE).
    """

    sides: tuple[tuple[str, Side], ...]
    label: str
    tags: str
    prompts: tuple[str, ...]
    among_names: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.sides)

    @property
    def roles(self) -> dict[str, str]:
        """{"label": its field, "tags": its field}, of those that there are."""
        return {role: field for role, field in (("label", self.label), ("tags", self.tags)) if field}

    def embed(self, variables: Variables, side: str, *fields: Array, train: bool = False) -> Embedded:
        """(points, log-variances or None, the tower's state) of a side."""
        return dict(self.sides)[side](own(variables, side), *fields, train=train)

    def lead(self, variables: Variables, side: str, features: Float[Array, "b f"]) -> Embedded:
        """As `embed`, of what a frozen tower gave."""
        parts = own(variables, side)
        return *dict(self.sides)[side].lead(parts, features), parts["tower"]["state"]

    def named(self, variables: Variables, field: str) -> Float[Array, "c d"]:
        """The points of the names of a field's classes: the mean over the prompts, of length 1."""
        tokens, length = variables["frozen"]["prompts"][field]  # c p t, c p
        points, _, _ = self.embed(variables, "caption", tokens.reshape(-1, tokens.shape[-1]), length.reshape(-1))
        return unit(jnp.mean(unit(points).reshape(*length.shape, -1), 1))


def own(variables: Variables, side: str) -> dict[str, Any]:
    """What a `Side` is a function of."""
    params = variables["params"]["embedding"][side]
    parts = {
        "params": params["tower"],
        "state": variables["state"]["towers"][side],
        "frozen": variables["frozen"]["towers"][side],
    }
    return {"tower": parts, "head": {"params": params["head"]}}


def once(networks: Networks) -> Features | None:
    """What a frozen tower of pictures makes of them, and which of them are the same."""
    tower = dict(networks.sides)["image"].tower if "image" in networks.names else None
    if not isinstance(tower, Tower) or tower.network.trained:
        return None
    return Features("image", bind(_weights, "image"), bind(_features, tower))


def _weights(side: str, variables: Variables) -> dict[str, Any]:
    return own(variables, side)["tower"]


def _features(tower: Tower, parts: Any, image: UInt8[Array, "b h w 3"]) -> dict[str, Array]:
    return {"features": tower(parts, image)[0], "number": alike.number_of(image)}


def fields_of(batch: Batch, side: str) -> list[Array]:
    """The fields of a side, [b ...], of captions all [b c ...]."""
    return [batch[name] for name in FIELDS[side]]


def first(classes: Int[Array, "b ..."]) -> Int[Array, " b"]:
    """The class of a field of one class, or the first of several."""
    return classes if classes.ndim == 1 else classes[:, 0]


def many_hot(classes: Int[Array, "b ..."], count: int) -> Float[Array, "b c"]:
    """Which classes an example has; a negative one is none."""
    several = classes if classes.ndim == 2 else classes[:, None]
    return jnp.max(jax.nn.one_hot(several, count), 1)


def captioned(batch: Batch) -> Bool[Array, " b"]:
    """Which examples have a caption."""
    return batch["captions_tokens_length"][:, 0] > 0
