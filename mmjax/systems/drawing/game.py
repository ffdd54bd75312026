"""The game of two networks: which they are, what they are conditioned on, the rules, and fresh variables of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8
from ml_collections import ConfigDict

from mmjax.errors import UserError, section
from mmjax.losses import adversarial
from mmjax.models.drawing.placed import PlacedDiscriminator, PlacedGenerator
from mmjax.systems.drawing import networks
from mmjax.task import Batch, Variables

Logits = tuple[Float[Array, "b p"], ...]  # of each output of a discriminator
# (variables, batch) -> what each picture is to show, [b d]: a sentence's vector or a class's.
Condition = Callable[[Variables, Batch], Float[Array, "b d"]]
# (variables, batch, key) -> conditions made wrong [b k d], and whether each is wrong at all [b k].
Negatives = Callable[[Variables, Batch, Any], tuple[Float[Array, "b k d"], Bool[Array, "b k"]]]


@dataclasses.dataclass(frozen=True)
class Rules:
    """config.loss: the form of the game.

    Attributes:
      kind: "bce" (the paper) or "hinge".
      match: CLS, whether real pictures with wrong texts are among what the discriminator shall refuse.
      wrong_share: their weight in that negative side, 0.5 in the official code.
      interpolate: INT, the weight of texts half-way between two in the generator's loss; 0 = none.
      r1, matching_aware: weights of the gradient penalties on real pictures; 0 = none.
      contrast: weight of the contrastive loss on the discriminator's embeddings; 0 = none.
      scale: of that loss: cosines times this are its logits.
      paired: weight of the mean absolute difference of the drawn object and the real one in the same box, pix2pix's
        second term (Isola et al. 2017, eq. 3) where pictures have boxes; 0 = none.
      average: decay of the moving average of the generator's weights; 0 = the weights themselves.
    """

    kind: str = "bce"
    match: bool = True
    wrong_share: float = 0.5
    interpolate: float = 1.0
    r1: float = 0.0
    matching_aware: float = 0.0
    contrast: float = 0.0
    scale: float = 10.0
    paired: float = 0.0
    average: float = 0.0


@dataclasses.dataclass(frozen=True)
class Game:
    """Two networks, what they are conditioned on, and the rules; equal by value.

    Which batches feed the BatchNorm statistics: each network normalises every batch that it is given in training by
    that batch alone, real and drawn apart. The discriminator's running statistics follow the real and the drawn batch
    of its own update; the generator's, with which pictures are drawn for a user, the batch of its own update.
    """

    generator: nn.Module
    discriminator: nn.Module
    code: int
    rules: Rules
    condition: Condition
    negatives: Negatives | None = None

    @property
    def placed(self) -> bool:
        """Whether the generator is given the boxes of the objects while it learns."""
        return isinstance(self.generator, PlacedGenerator)

    def boxes(self, batch: Batch) -> Float[Array, "b 4"] | None:
        """The objects' boxes, or None."""
        return batch["boxes"][:, 0] if self.placed else None

    def draw(
        self,
        params: Any,
        state: Any,
        code: Float[Array, "b z"],
        condition: Float[Array, "b d"],
        train: bool = False,
        boxes: Float[Array, "b 4"] | None = None,
    ) -> tuple[Float[Array, "b s s 3"], Any]:
        """(pictures in -1..1, the generator's statistics after them); into `boxes` where they are given."""
        own = {"params": params, "state": state}
        where: dict[str, Any] = {} if boxes is None else {"boxes": boxes}
        if not train:
            picture: Any = self.generator.apply(own, code, condition, train=False, **where)
            return picture, state
        picture, updated = self.generator.apply(own, code, condition, train=True, mutable=["state"], **where)
        return picture, updated.get("state", {})

    def discriminate(
        self,
        params: Any,
        state: Any,
        picture: Float[Array, "b s s 3"],
        conditions: Sequence[Float[Array, "b d"]],
        train: bool = False,
        boxes: Float[Array, "b 4"] | None = None,
    ) -> tuple[list[Logits], Any, Any]:
        """(the logits by each condition, the pictures' embeddings, the statistics after them)."""
        own = {"params": params, "state": state}
        into_boxes = boxes is not None and isinstance(self.discriminator, PlacedDiscriminator)
        where: dict[str, Any] = {"boxes": boxes} if into_boxes else {}
        if not train:
            found: Any = self.discriminator.apply(own, picture, conditions, train=False, **where)
            return *found, state
        found, updated = self.discriminator.apply(own, picture, conditions, train=True, mutable=["state"], **where)
        return *found, updated.get("state", {})

    def sample(
        self, variables: Variables, code: Float[Array, "b z"], condition: Float[Array, "b d"]
    ) -> UInt8[Array, "b s s 3"]:
        """Pictures of 0..255 by the average of the generator's weights."""
        weights = variables["state"]["average"] if self.rules.average else variables["params"]["gen"]
        return pixels(self.draw(weights, variables["state"]["gen"], code, condition)[0])

    def init(
        self, key: Array, image: UInt8[Array, "b s s 3"], condition: Float[Array, "b d"]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """(params, state) of both networks, and the average, which starts at the weights."""
        of_gen, of_disc = jax.random.split(key)
        with section("config"):
            code = jnp.zeros((len(image), self.code))
            made = {"gen": self.generator.init(of_gen, code, condition, train=False)}
        made["disc"] = self.discriminator.init(of_disc, scaled(image), [condition], train=False)
        params = {name: own["params"] for name, own in made.items()}
        state: dict[str, Any] = {name: own.get("state", {}) for name, own in made.items()}
        if self.rules.average:
            state["average"] = jax.tree.map(jnp.array, params["gen"])
        return params, state

    def check(self, batch: Batch, size: int) -> None:
        """Raises UserError where the data's pictures, or the number of their objects, are not what can be drawn."""
        if batch["image"].shape[1:3] != (size, size):
            raise UserError(f"config.size is {size}, but the data's pictures are {batch['image'].shape[1]} pixels wide")
        if self.placed and batch["boxes"].shape[1] != 1:
            raise UserError(
                f"config.generator.kind 'placed' draws one object, and the data has {batch['boxes'].shape[1]} in a "
                "picture: set config.data.objects to (1, 1), or choose 'layered'"
            )


def make(config: ConfigDict, condition: Condition, size: int, width: int, negatives: Negatives | None = None) -> Game:
    """The game of a config with sections generator, discriminator and loss, and the field `code`; `width` of the
    condition."""
    rules = Rules(**config.loss)
    generator, discriminator = networks.pair(config.generator, config.discriminator, size, width)
    if rules.paired and config.generator.kind != "placed":
        raise UserError("config.loss.paired compares what is in a box: it needs config.generator.kind 'placed'")
    if rules.contrast and not getattr(discriminator, "embed", 0):
        raise UserError("config.loss.contrast needs a discriminator with an embedding: config.discriminator.embed")
    with section("config.loss"):
        adversarial.check(rules.kind, rules.wrong_share)
    if not 0 <= rules.average < 1:
        raise UserError(f"config.loss.average is {rules.average}: it must lie in 0..1, 1 excluded")
    return Game(generator, discriminator, config.code, rules, condition, negatives)


def scaled(image: UInt8[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """0..255 to -1..1."""
    return image.astype(jnp.float32) / 127.5 - 1.0


def pixels(picture: Float[Array, "b h w 3"]) -> UInt8[Array, "b h w 3"]:
    """-1..1 to 0..255."""
    return jnp.clip(jnp.round((picture + 1.0) * 127.5), 0, 255).astype(jnp.uint8)
