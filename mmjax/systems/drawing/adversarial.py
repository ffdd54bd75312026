"""What the systems of two networks share: the game, its two updates, the generator's average, signs of collapse."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax import numpy as jnp

from mmjax.errors import UserError
from mmjax.losses import adversarial, contrastive
from mmjax.models.drawing.layered import LayeredDiscriminator, LayeredGenerator, doublings
from mmjax.models.drawing.placed import PlacedDiscriminator, PlacedGenerator, glimpse
from mmjax.models.drawing.reed import ReedDiscriminator, ReedGenerator
from mmjax.ops import collective
from mmjax.ops.vectors import unit

GENERATORS: dict[str, Any] = {"reed": ReedGenerator, "layered": LayeredGenerator, "placed": PlacedGenerator}
DISCRIMINATORS: dict[str, Any] = {
    "reed": ReedDiscriminator,
    "layered": LayeredDiscriminator,
    "placed": PlacedDiscriminator,
}
# Texts made wrong: (variables, batch, key) -> (vectors [b k d], whether each is wrong at all [b k]).
Foil = Callable[[Mapping[str, Any], Mapping[str, Any], Any], tuple[Any, Any]]
# What is told: (variables, batch) -> a vector [b d] for each picture, a sentence's or a class's; without a gradient.
Tell = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]

SURE = 30.0  # a logit that costs nothing


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
    """Two networks, what they are told, and the rules.

    Which batches feed the BatchNorm statistics: each network normalises every batch that it is given in training by
    that batch alone, real and drawn apart. The discriminator's running statistics follow the real and the drawn batch
    of its own update; the generator's, with which pictures are drawn for a user, the batch of its own update.
    """

    generator: Any
    discriminator: Any
    code: int
    rules: Rules
    tell: Tell
    foil: Foil | None = None

    @property
    def placed(self) -> bool:
        """Whether the generator is told the boxes of the objects while it learns."""
        return isinstance(self.generator, PlacedGenerator)

    def boxes(self, batch: Any) -> Any:
        """The objects' boxes [b 4], or None."""
        return batch["boxes"][:, 0] if self.placed else None

    def draw(self, params: Any, state: Any, code: Any, told: Any, train: bool = False, boxes: Any = None) -> Any:
        """(pictures [b s s 3] in -1..1, the generator's statistics after them); into `boxes` where they are given."""
        own = {"params": params, "state": state}
        where = {} if boxes is None else {"boxes": boxes}
        if not train:
            return self.generator.apply(own, code, told, train=False, **where), state
        picture, updated = self.generator.apply(own, code, told, train=True, mutable=["state"], **where)
        return picture, updated.get("state", {})

    def judge(self, params: Any, state: Any, picture: Any, told: Any, train: bool = False, boxes: Any = None) -> Any:
        """((logits of each output, ...) of each text, the pictures' embeddings, the statistics after them)."""
        own = {"params": params, "state": state}
        looks = boxes is not None and isinstance(self.discriminator, PlacedDiscriminator)
        where = {"boxes": boxes} if looks else {}
        if not train:
            return *self.discriminator.apply(own, picture, told, train=False, **where), state
        found, updated = self.discriminator.apply(own, picture, told, train=True, mutable=["state"], **where)
        return *found, updated.get("state", {})

    def sample(self, variables: Any, code: Any, told: Any) -> Any:
        """Pictures by the average of the generator's weights."""
        weights = variables["state"]["average"] if self.rules.average else variables["params"]["gen"]
        return self.draw(weights, variables["state"]["gen"], code, told)[0]


def make(config: Any, tell: Tell, size: int, width: int, foil: Foil | None = None) -> Game:
    """The game of a config with sections generator, discriminator and loss, and the field `code`.

    `width` of what is told: the discriminator's embedding, where it has one, is compared with that.
    """
    rules = Rules(**config.loss)
    doublings(size)  # a size that cannot be is told before any data is read
    chosen = []
    for name, known in (("generator", GENERATORS), ("discriminator", DISCRIMINATORS)):
        options = dict(config[name])
        kind = options.pop("kind")
        if kind not in known:
            raise UserError(f"config.{name}.kind is {kind!r}: choose {' or '.join(map(repr, known))}")
        if name == "generator" and kind != "reed":
            options["size"] = size
        if options.get("embed"):
            options["embed"] = width
        strange = [option for option in options if option not in known[kind].__dataclass_fields__]
        if strange:
            raise UserError(f"config.{name}.{strange[0]} is no option of {kind!r}: start from a variant that has it")
        chosen.append(known[kind](**options))
    if "reed" in (config.generator.kind, config.discriminator.kind) and size != 64:
        raise UserError(f"the networks of the paper draw 64 x 64 pixels, not {size}: set the data's picture size to 64")
    if config.discriminator.kind == "placed" and config.generator.kind != "placed":
        raise UserError("config.discriminator.kind 'placed' looks into boxes: it needs config.generator.kind 'placed'")
    if rules.paired and config.generator.kind != "placed":
        raise UserError("config.loss.paired compares what is in a box: it needs config.generator.kind 'placed'")
    if rules.contrast and not getattr(chosen[1], "embed", 0):
        raise UserError("config.loss.contrast needs a discriminator with an embedding: config.discriminator.embed")
    adversarial.judged(jnp.zeros(1), True, rules.kind)
    if not 0 <= rules.average < 1:
        raise UserError(f"config.loss.average is {rules.average}: it must lie in 0..1, 1 excluded")
    return Game(chosen[0], chosen[1], config.code, rules, tell, foil)


def init(game: Game, key: Any, image: Any, told: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(params, state) of both networks, and the average, which starts at the weights."""
    of_gen, of_disc = jax.random.split(key)
    made = {
        "gen": game.generator.init(of_gen, jnp.zeros((len(image), game.code)), told, train=False),
        "disc": game.discriminator.init(of_disc, scaled(image), [told], train=False),
    }
    params = {name: own["params"] for name, own in made.items()}
    state = {name: own.get("state", {}) for name, own in made.items()}
    if game.rules.average:
        state["average"] = jax.tree.map(jnp.array, params["gen"])
    return params, state


def scaled(image: Any) -> Any:
    """0..255 to -1..1."""
    return image.astype(jnp.float32) / 127.5 - 1.0


def shown(picture: Any) -> Any:
    """-1..1 to uint8."""
    return jnp.clip(jnp.round((picture + 1.0) * 127.5), 0, 255).astype(jnp.uint8)


def _mean(values):
    """The mean over a batch, and over the outputs of a discriminator that has several: each counts the same."""
    return sum(jnp.mean(value) for value in values) / len(values)


def discriminator_loss(game: Game, variables: Any, batch: Any, key: Any) -> Any:
    """The game's loss with a batch of real pictures, and one drawn for the same texts; see `Rules`."""
    rules, state = game.rules, variables["state"]
    params = variables["params"]["disc"]
    told, boxes = jax.lax.stop_gradient(game.tell(variables, batch)), game.boxes(batch)
    code = jax.random.normal(collective.local_key(key), (len(told), game.code))
    drawn, _ = game.draw(variables["params"]["gen"], state["gen"], code, told, train=True, boxes=boxes)
    drawn = jax.lax.stop_gradient(drawn)
    others = jnp.roll(told, 1, 0)
    foils = _foils(game, variables, batch, key)
    # A neighbour may be told the same: then there is nothing wrong, and nothing to pay.
    wrong = {"mismatched": (others, jnp.any(told != others, -1))} if rules.match else {}
    if rules.match and foils is not None:
        wrong["foils"] = (foils[0][:, 0], foils[1][:, 0])
    texts = [told, *(text for text, _ in wrong.values())]
    image = scaled(batch["image"])
    (real, *refused), seen, after = game.judge(params, state["disc"], image, texts, train=True, boxes=boxes)
    (fake,), _, after = game.judge(params, after, drawn, [told], train=True, boxes=boxes)
    logs = {"disc_right/real": jnp.mean(real[0] > 0), "disc_right/drawn": jnp.mean(fake[0] < 0)}
    each: list[Any] = [] if wrong else [(None,) * len(real)]
    for (name, (_, apart)), outputs in zip(wrong.items(), refused, strict=True):
        each.append([jnp.where(apart[:, None], logits, -SURE) for logits in outputs])
        logs[f"disc_right/{name}"] = jnp.mean(each[-1][0] < 0)
    value = sum(_judged(rules, real, fake, own) for own in each) / len(each)
    if rules.contrast:
        logs["contrast/real"] = _contrast(rules, seen, told, foils)
        value = value + rules.contrast * logs["contrast/real"]
    value = value + _penalties(game, params, state["disc"], image, told, boxes)
    return value, ({**state, "disc": after}, {name: jnp.float32(log) for name, log in logs.items()})


def _judged(rules, real, fake, wrong):
    """The game's loss with one kind of wrong text."""
    return _mean(
        [
            adversarial.discriminator(
                a.reshape(-1), b.reshape(-1), None if c is None else c.reshape(-1), rules.kind, rules.wrong_share
            )
            for a, b, c in zip(real, fake, wrong, strict=True)
        ]
    )


def _foils(game, variables, batch, key):
    """See `Foil`; without a gradient."""
    if game.foil is None:
        return None
    return jax.lax.stop_gradient(game.foil(variables, batch, collective.local_key(jax.random.fold_in(key, 1))))


def _contrast(rules, seen, told, foils):
    """XMC-GAN's contrastive loss of picture and sentence (Zhang et al. 2021, eq. 3), on the judge's embeddings."""
    # Pictures that were told the same are not each other's negatives.
    same = jnp.all(told[:, None] == collective.everywhere(told)[None], -1)
    group, scale = jnp.argmax(same, 1), jnp.float32(rules.scale)
    more = {} if foils is None else {"foils": unit(foils[0]), "foiled": foils[1]}
    each = [jnp.mean(contrastive.clip(unit(x), unit(told), scale, group, **more)) for x in jax.tree.leaves(seen)]
    return sum(each) / len(each)


def _penalties(game, params, state, image, told, boxes):
    """Of the first output, at the pictures and texts of this batch."""
    rules = game.rules

    def score(picture, text):
        return game.judge(params, state, picture, [text], train=True, boxes=boxes)[0][0][0][:, 0]

    value = jnp.float32(0)
    if rules.r1:
        value = rules.r1 * jnp.mean(adversarial.r1(lambda picture: score(picture, told), image))
    if rules.matching_aware:
        found = adversarial.matching_aware_penalty(score, image, told, rules.matching_aware)
        value = value + jnp.mean(found)
    return value


def generator_loss(game: Game, variables: Any, batch: Any, key: Any) -> Any:
    """What the discriminator thinks of pictures drawn for the batch's texts and, with INT, for texts between them."""
    rules, state = game.rules, variables["state"]
    told, boxes = jax.lax.stop_gradient(game.tell(variables, batch)), game.boxes(batch)
    texts, weight, where = told, jnp.ones(len(told)), boxes
    if rules.interpolate:
        between = adversarial.midpoints(told)
        texts = jnp.concatenate([told, between])
        weight = jnp.concatenate([weight, jnp.full(len(between), rules.interpolate)])
        where = None if boxes is None else jnp.concatenate([boxes, boxes[: len(between)]])
    code = jax.random.normal(collective.local_key(key), (len(texts), game.code))
    params = variables["params"]
    drawn, after = game.draw(params["gen"], state["gen"], code, texts, train=True, boxes=where)
    (fake,), seen, _ = game.judge(params["disc"], state["disc"], drawn, [texts], train=True, boxes=where)
    # Divided by all rows, as the official criterion does, whatever their weights.
    value = _mean([weight[:, None] * adversarial.generator(x, rules.kind) for x in fake])
    own = drawn[: len(told)]
    logs = {"diversity": spread(own) / jnp.maximum(spread(scaled(batch["image"])), 1e-6)}
    if rules.contrast:
        own_look = jax.tree.map(lambda x: x[: len(told)], seen)
        logs["contrast/drawn"] = _contrast(rules, own_look, told, _foils(game, variables, batch, key))
        value = value + rules.contrast * logs["contrast/drawn"]
    if boxes is not None:
        value = value + _placing(game, params["gen"], batch, told, boxes, own, logs)
    new = {**state, "gen": after}
    if rules.average:
        # Of the weights that this update starts from: a step behind, and the same for every optimiser.
        kept, now = state["average"], params["gen"]
        new["average"] = jax.lax.stop_gradient(
            jax.tree.map(lambda a, b: a + (1.0 - rules.average) * (b - a), kept, now)
        )
    return value, (new, logs)


def _placing(game, params, batch, told, boxes, drawn, logs):
    """What is learned of the boxes themselves, and of the objects that are in them."""
    surprise = game.generator.apply({"params": params}, told, boxes, method="surprise")
    logs["boxes/nats"] = jnp.mean(surprise)
    if not game.rules.paired:
        return logs["boxes/nats"]
    side, room = drawn.shape[1] // 2, game.generator.room
    apart = glimpse(drawn, boxes, side, room) - glimpse(scaled(batch["image"]), boxes, side, room)
    logs["paired"] = jnp.mean(jnp.abs(apart))
    return logs["boxes/nats"] + game.rules.paired * logs["paired"]


def check_boxes(game: Game, batch: Any) -> None:
    """Raises UserError where the data's examples have several objects and the generator draws one."""
    if game.placed and batch["boxes"].shape[1] != 1:
        raise UserError(
            f"config.generator.kind 'placed' draws one object, and the data has {batch['boxes'].shape[1]} in a "
            "picture: set config.data.objects to (1, 1), or choose 'layered'"
        )


def spread(picture: Any) -> Any:
    """The mean deviation of a batch's pictures from their mean picture, pixel by pixel."""
    return jnp.mean(jnp.std(picture, axis=0))


def warn(logs: Mapping[str, float]) -> tuple[str, ...]:
    """Lines on a game that is being lost: see `Task.warn`."""
    lines = []
    right = {name: logs.get(f"disc_right/{name}", 0.5) for name in ("real", "drawn")}
    if min(right.values()) > 0.995:
        lines.append(
            "the discriminator tells every drawn picture from a real one: the generator learns little from it; "
            "a smaller config.optim.disc.learning_rate, or config.loss.r1, may help"
        )
    if right["drawn"] < 0.02 and right["real"] > 0.98:
        lines.append("the discriminator takes every picture for a real one: it has stopped to learn")
    if logs.get("diversity", 1.0) < 0.1:
        share = f"{logs['diversity']:.2f}"
        lines.append(f"the drawn pictures of a batch differ by {share} of what real ones do: the generator collapses")
    if logs.get("grad_norm/gen", 1.0) < 1e-6:
        lines.append("no gradient reaches the generator")
    return tuple(lines)
