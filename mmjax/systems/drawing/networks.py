"""The two players of the game by their names in a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from mmjax.errors import UserError
from mmjax.models.drawing.layered import LayeredDiscriminator, LayeredGenerator, doublings
from mmjax.models.drawing.placed import PlacedDiscriminator, PlacedGenerator
from mmjax.models.drawing.reed import ReedDiscriminator, ReedGenerator

GENERATORS: dict[str, Any] = {"reed": ReedGenerator, "layered": LayeredGenerator, "placed": PlacedGenerator}
DISCRIMINATORS: dict[str, Any] = {
    "reed": ReedDiscriminator,
    "layered": LayeredDiscriminator,
    "placed": PlacedDiscriminator,
}


def pair(
    generator: Mapping[str, Any], discriminator: Mapping[str, Any], size: int, width: int
) -> tuple[nn.Module, nn.Module]:
    """The networks of config.generator and config.discriminator.

    Args:
      generator, discriminator: "kind" and the options of the network of that kind.
      size: of the pictures.
      width: of the condition, with which the discriminator's embedding is compared, where it has one.

    Raises:
      UserError: an unknown kind or option, or kinds and a size that do not go together.
    """
    doublings(size)  # a size that cannot be is told before any data is read
    made = (
        _network("generator", GENERATORS, {"size": size}, **generator),
        _network(
            "discriminator", DISCRIMINATORS, {"embed": width} if discriminator.get("embed") else {}, **discriminator
        ),
    )
    kinds = (generator["kind"], discriminator["kind"])
    if "reed" in kinds and size != 64:
        raise UserError(f"the networks of the paper draw 64 x 64 pixels, not {size}: set the data's picture size to 64")
    if kinds[1] == "placed" and kinds[0] != "placed":
        raise UserError("config.discriminator.kind 'placed' looks into boxes: it needs config.generator.kind 'placed'")
    return made


def _network(name: str, known: Mapping[str, Any], more: Mapping[str, Any], kind: str, **options: Any) -> nn.Module:
    """The network of config.<name>; `more` options of all kinds but the paper's, which have one size."""
    if kind not in known:
        raise UserError(f"config.{name}.kind is {kind!r}: choose {' or '.join(map(repr, known))}")
    options |= {} if kind == "reed" else more
    strange = [option for option in options if option not in known[kind].__dataclass_fields__]
    if strange:
        raise UserError(f"config.{name}.{strange[0]} is no option of {kind!r}: start from a variant that has it")
    return known[kind](**options)
