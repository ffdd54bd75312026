"""What each player of the game pays, and the signs that the game is being lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.losses import adversarial, contrastive
from mmjax.models.drawing.placed import glimpse
from mmjax.ops import alike, collective
from mmjax.ops.vectors import unit
from mmjax.systems.drawing.game import Game, Logits, Rules, scaled
from mmjax.task import Batch, Figures, Update, Variables, bind

SURE = 30.0  # a logit that costs nothing
Loss = tuple[Float[Array, ""], tuple[Any, Figures]]
Wrong = tuple[Float[Array, "b k d"], Bool[Array, "b k"]]  # see `game.Negatives`


def updates(game: Game, critic_steps: int, discriminator: Any = None) -> tuple[Update, ...]:
    """So many of the discriminator, by its loss or a system's own form of it, and one of the generator."""
    own = bind(discriminator or discriminator_loss, game)
    return (*(Update("disc", own),) * critic_steps, Update("gen", bind(generator_loss, game)))


def discriminator_loss(game: Game, variables: Variables, batch: Batch, key: Array) -> Loss:
    """The game's loss with a batch of real pictures, and one drawn for the same texts; see `Rules`."""
    rules, state = game.rules, variables["state"]
    params = variables["params"]["disc"]
    condition, boxes = jax.lax.stop_gradient(game.condition(variables, batch)), game.boxes(batch)
    code = jax.random.normal(collective.local_key(key), (len(condition), game.code))
    drawn, _ = game.draw(variables["params"]["gen"], state["gen"], code, condition, train=True, boxes=boxes)
    drawn = jax.lax.stop_gradient(drawn)
    others = jnp.roll(condition, 1, 0)
    negatives = _negatives(game, variables, batch, key)
    # A neighbour may have the same text, or be the same picture: then there is nothing wrong, and nothing to pay.
    pictures = alike.number_of(batch["image"])
    apart = jnp.any(condition != others, -1) & (pictures != jnp.roll(pictures, 1))
    wrong = {"mismatched": (others, apart)} if rules.match else {}
    if rules.match and negatives is not None:
        wrong["foils"] = (negatives[0][:, 0], negatives[1][:, 0])
    texts = [condition, *(text for text, _ in wrong.values())]
    image = scaled(batch["image"])
    (real, *refused), seen, after = game.discriminate(params, state["disc"], image, texts, train=True, boxes=boxes)
    (fake,), _, after = game.discriminate(params, after, drawn, [condition], train=True, boxes=boxes)
    logs = {"disc_right/real": jnp.mean(real[0] > 0), "disc_right/drawn": jnp.mean(fake[0] < 0)}
    each: list[Any] = [] if wrong else [(None,) * len(real)]
    for (name, (_, apart)), outputs in zip(wrong.items(), refused, strict=True):
        each.append([jnp.where(apart[:, None], logits, -SURE) for logits in outputs])
        logs[f"disc_right/{name}"] = jnp.mean(each[-1][0] < 0)
    value = sum(_of_one_kind(rules, real, fake, own) for own in each) / len(each)
    if rules.contrast:
        logs["contrast/real"] = _contrast(rules, seen, condition, pictures, negatives)
        value = value + rules.contrast * logs["contrast/real"]
    value = value + _penalties(game, params, state["disc"], image, condition, boxes)
    return value, ({**state, "disc": after}, {name: jnp.float32(log) for name, log in logs.items()})


def _of_one_kind(rules: Rules, real: Logits, fake: Logits, wrong: Sequence[Any]) -> Float[Array, ""]:
    """The game's loss with one kind of wrong text."""
    return _mean(
        [
            adversarial.discriminator(
                a.reshape(-1), b.reshape(-1), None if c is None else c.reshape(-1), rules.kind, rules.wrong_share
            )
            for a, b, c in zip(real, fake, wrong, strict=True)
        ]
    )


def _mean(values: Sequence[Array]) -> Array:
    """The mean over a batch, and over the outputs of a discriminator that has several: each counts the same."""
    return sum((jnp.mean(value) for value in values), start=jnp.float32(0)) / len(values)


def _negatives(game: Game, variables: Variables, batch: Batch, key: Array) -> Wrong | None:
    """Wrong texts, without a gradient."""
    if game.negatives is None:
        return None
    return jax.lax.stop_gradient(game.negatives(variables, batch, collective.local_key(jax.random.fold_in(key, 1))))


def _contrast(
    rules: Rules, seen: Any, condition: Float[Array, "b d"], pictures: Int[Array, " b"], negatives: Wrong | None
) -> Float[Array, ""]:
    """XMC-GAN's contrastive loss of picture and sentence (Zhang et al. 2021, eq. 3), on `seen`, the embeddings."""
    # Pictures of the same text are not each other's negatives, nor are texts of the same picture.
    same = jnp.all(condition[:, None] == collective.everywhere(condition)[None], -1)
    group, scale = jnp.stack([jnp.argmax(same, 1).astype(jnp.int32), pictures], 1), jnp.float32(rules.scale)
    more: dict[str, Any] = {} if negatives is None else {"foils": unit(negatives[0]), "foiled": negatives[1]}
    each = [jnp.mean(contrastive.clip(unit(x), unit(condition), scale, group, **more)) for x in jax.tree.leaves(seen)]
    return sum(each, start=jnp.float32(0)) / len(each)


def _penalties(
    game: Game,
    params: Any,
    state: Any,
    image: Float[Array, "b s s 3"],
    condition: Float[Array, "b d"],
    boxes: Float[Array, "b 4"] | None,
) -> Float[Array, ""]:
    """Of the first output, at the pictures and texts of this batch."""
    rules = game.rules

    def score(picture: Array, text: Array) -> Float[Array, " b"]:
        return game.discriminate(params, state, picture, [text], train=True, boxes=boxes)[0][0][0][:, 0]

    value = jnp.float32(0)
    if rules.r1:
        value = rules.r1 * jnp.mean(adversarial.r1(lambda picture: score(picture, condition), image))
    if rules.matching_aware:
        found = adversarial.matching_aware_penalty(score, image, condition, rules.matching_aware)
        value = value + jnp.mean(found)
    return value


def generator_loss(game: Game, variables: Variables, batch: Batch, key: Array) -> Loss:
    """What the discriminator thinks of pictures drawn for the batch's texts and, with INT, for texts between them."""
    rules, state = game.rules, variables["state"]
    condition, boxes = jax.lax.stop_gradient(game.condition(variables, batch)), game.boxes(batch)
    texts, weight, where = condition, jnp.ones(len(condition)), boxes
    if rules.interpolate:
        between = adversarial.midpoints(condition)
        texts = jnp.concatenate([condition, between])
        weight = jnp.concatenate([weight, jnp.full(len(between), rules.interpolate)])
        where = None if boxes is None else jnp.concatenate([boxes, boxes[: len(between)]])
    code = jax.random.normal(collective.local_key(key), (len(texts), game.code))
    params = variables["params"]
    drawn, after = game.draw(params["gen"], state["gen"], code, texts, train=True, boxes=where)
    (fake,), seen, _ = game.discriminate(params["disc"], state["disc"], drawn, [texts], train=True, boxes=where)
    # Divided by all rows, as the official criterion does, whatever their weights.
    value = _mean([weight[:, None] * adversarial.generator(x, rules.kind) for x in fake])
    own = drawn[: len(condition)]
    logs = {"diversity": spread(own) / jnp.maximum(spread(scaled(batch["image"])), 1e-6)}
    if rules.contrast:
        embeddings = jax.tree.map(lambda x: x[: len(condition)], seen)
        logs["contrast/drawn"] = _contrast(
            rules, embeddings, condition, alike.number_of(batch["image"]), _negatives(game, variables, batch, key)
        )
        value = value + rules.contrast * logs["contrast/drawn"]
    if boxes is not None:
        more, placing = _placing(game, params["gen"], batch, condition, boxes, own)
        value, logs = value + more, logs | placing
    new = {**state, "gen": after}
    if rules.average:
        # Of the weights that this update starts from: a step behind, and the same for every optimiser.
        kept, now = state["average"], params["gen"]
        new["average"] = jax.lax.stop_gradient(
            jax.tree.map(lambda a, b: a + (1.0 - rules.average) * (b - a), kept, now)
        )
    return value, (new, logs)


def _placing(
    game: Game,
    params: Any,
    batch: Batch,
    condition: Float[Array, "b d"],
    boxes: Float[Array, "b 4"],
    drawn: Float[Array, "b s s 3"],
) -> tuple[Float[Array, ""], Figures]:
    """What is learned of the boxes themselves, and of the objects that are in them: (loss, logs)."""
    surprise: Any = game.generator.apply({"params": params}, condition, boxes, method="surprise")
    logs = {"boxes/nats": jnp.mean(surprise)}
    if not game.rules.paired:
        return logs["boxes/nats"], logs
    side, room = drawn.shape[1] // 2, getattr(game.generator, "room")  # noqa: B009  (of placed ones)
    apart = glimpse(drawn, boxes, side, room) - glimpse(scaled(batch["image"]), boxes, side, room)
    logs["paired"] = jnp.mean(jnp.abs(apart))
    return logs["boxes/nats"] + game.rules.paired * logs["paired"], logs


def spread(picture: Float[Array, "b h w 3"]) -> Float[Array, ""]:
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
