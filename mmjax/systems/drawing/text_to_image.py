"""Text to image: a generator and a discriminator that are told a sentence, as the vector of a text encoder.

Reed et al. 2016, "Generative Adversarial Text to Image Synthesis". The text encoder learns first in each step, beside
a network for pictures and by itself: no gradient of the game reaches it. A trained joint embedding may stand in its
place.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from ml_collections import ConfigDict

from mmjax.errors import UserError
from mmjax.judges import drawn_pictures
from mmjax.known import joint_run, minilm
from mmjax.losses import contrastive, metric
from mmjax.metrics import generation, localisation
from mmjax.models.text.char_cnn_rnn import PRESETS, CharCnnRnn, WordEncoder
from mmjax.models.vision.picture_side import PictureSide
from mmjax.ops import captions, collective
from mmjax.ops.vectors import unit
from mmjax.systems.drawing import adversarial
from mmjax.task import Fit, Task, Update
from mmjax.text import vocabulary

KINDS = ("words", "char_cnn_rnn")
LOSSES = ("contrastive", "triplet")
CODES, STEPS = 4, 6  # pictures of one caption, and of one interpolation, in the report
HEADS = {"object": "class", "colour": "colour"}  # of config.names, and what their figures are called


@dataclasses.dataclass(frozen=True)
class Encoders:
    """Both sides of the joint embedding.

    Attributes:
      kind: of KINDS, of the text encoder that is trained here.
      features: d.
      picture: the picture's side, which always is: retrieval is measured by it.
      trained: a run of configs/joint_embedding.py or MiniLM in place of the text encoder, or None.
      preset: of `char_cnn_rnn`.
      dtype: compute dtype.
    """

    kind: str
    features: int
    picture: PictureSide
    trained: Any
    preset: str
    dtype: str

    def network(self, words: int) -> Any:
        """The text encoder for a vocabulary of so many words."""
        if self.kind == "words":
            return WordEncoder(words, self.features, dtype=self.dtype)
        return CharCnnRnn(words, self.features, PRESETS[self.preset], dtype=self.dtype)

    def texts(self, variables: Any, tokens: Any, length: Any) -> Any:
        """Sentences as vectors [b d]; those of a workdir have the length 1."""
        frozen = variables["frozen"]
        if self.trained is not None:
            return self.trained.sentences(frozen["text"], frozen["words"], tokens, length)
        own = {"params": variables["params"]["text"]["text"]}
        return self.network(len(frozen["caption_vocabulary"])).apply(own, tokens, length)

    def pictures(self, variables: Any, image: Any, train: bool = False) -> tuple[Any, Any]:
        """Pictures of 0..255 as vectors [b d], and the statistics after them."""
        own = {"params": variables["params"]["text"]["picture"], "state": variables["state"]["picture"]}
        if not train:
            return self.picture.apply(own, image), own["state"]
        found, updated = self.picture.apply(own, image, train=True, mutable=["state"])
        return found, updated["state"]


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, embedding, generator, discriminator, loss and names, and `code`."""
    encoders = _encoders(**config.model)
    if config.embedding.name not in LOSSES:
        raise UserError(f"config.embedding.name is {config.embedding.name!r}: choose {' or '.join(map(repr, LOSSES))}")
    strange = [head for head in config.names if head not in HEADS]
    if strange:
        raise UserError(f"config.names.{strange[0]}: figures are known of {', '.join(HEADS)}")
    if encoders.trained is not None and encoders.trained.tokens["kind"] != config.data.tokens.kind:
        raise UserError(
            f"config.data.tokens.kind is {config.data.tokens.kind!r}, and {config.model.text} was trained on "
            f"{encoders.trained.tokens['kind']!r}: sentences must be cut alike"
        )
    tell = functools.partial(told, encoders)
    many, exchange = _exchanges(config)
    foil = functools.partial(foils, encoders, many) if many else None
    game = adversarial.make(config, tell, config.size, encoders.features, foil)
    looks = drawn_pictures.eyes(config.get("inception", ""))  # runs from before there was a field go on without it
    judge = looks.judge
    names = {head: tuple(classes) for head, classes in config.names.items() if classes}
    if "object" in names and names["object"] != judge.names["object"]:
        raise UserError("config.names.object must be the classes of our recognition network, in its order, or ()")
    tools = (game, encoders, judge)
    more = [field for field, wanted in (("colours", "colour" in names), ("boxes", game.placed)) if wanted]
    return Task(
        fields=("image", "caption_tokens", "caption_tokens_length", *more),
        init=functools.partial(init, game, encoders, looks, names, exchange, config.size),
        updates=(
            Update("text", functools.partial(embedding_loss, encoders, foil, **config.embedding)),
            *(Update("disc", functools.partial(adversarial.discriminator_loss, game)),) * config.critic_steps,
            Update("gen", functools.partial(adversarial.generator_loss, game)),
        ),
        metrics=functools.partial(metrics, *tools),
        predict=functools.partial(predict, game, encoders, looks),
        predicts_from=("caption_tokens", "caption_tokens_length"),
        score=score,
        fit=Fit(functools.partial(observe, looks), functools.partial(solve, len(names.get("colour", ())))),
        warn=adversarial.warn,
    )


def _exchanges(config):
    """(config.foils, {group: lists of words} of config.exchange); both are missing in runs from before there were."""
    exchange = {name: tuple(map(tuple, lists)) for name, lists in config.get("exchange", {}).items()}
    for name, lists in exchange.items():
        if len({len(words) for words in lists}) != 1 or len(lists[0]) < 2:
            raise UserError(f"config.exchange.{name}: lists of words, equally long, of two words at least")
    if config.get("foils", 0) and not exchange:
        raise UserError("config.foils: which words make a caption wrong? Name groups of them in config.exchange, or 0")
    return config.get("foils", 0), exchange


def _encoders(text, kind, features, widths, depths, preset, dtype):
    """See `Encoders`; `text` is "minilm", a workdir of configs/joint_embedding.py or configs/clip.py, or ""."""
    if kind not in KINDS:
        raise UserError(f"config.model.kind is {kind!r}: choose {' or '.join(map(repr, KINDS))}")
    trained: Any = None
    if text == "minilm":
        trained = minilm.load()
    elif text:
        trained = joint_run.load(text, "config.model.text", ("caption",))
    if trained is not None:
        features = _width(trained)
    return Encoders(kind, features, PictureSide(features, tuple(widths), tuple(depths), dtype), trained, preset, dtype)


def _width(trained):
    table = trained.table(vocabulary.spell(vocabulary.SPECIAL))
    tokens, length = jnp.zeros((1, trained.tokens["length"]), jnp.int32), jnp.ones(1, jnp.int32)
    found = jax.eval_shape(
        lambda parts, table: trained.sentences(parts, table, tokens, length), dict(trained.variables), table
    )
    return found.shape[1]


def init(game, encoders, looks, names, exchange, size, key, batch):
    """Fresh networks; what measures them and the words of what can be named are frozen."""
    if batch["image"].shape[1:3] != (size, size):
        raise UserError(f"config.size is {size}, but the data's pictures are {batch['image'].shape[1]} pixels wide")
    adversarial.check_boxes(game, batch)
    of_text, of_picture, of_game = jax.random.split(key, 3)
    spelled = batch["caption_vocabulary"]
    frozen = {"caption_vocabulary": jnp.asarray(spelled), **looks.frozen()}
    frozen["named"] = {head: localisation.numbers_of(classes, spelled) for head, classes in names.items()}
    if exchange:
        frozen["exchange"] = {
            name: jnp.stack([localisation.numbers_of(words, spelled) for words in lists])
            for name, lists in exchange.items()
        }
    if "caption_model" in batch:
        frozen["caption_model"] = jnp.asarray(batch["caption_model"])
    made = encoders.picture.init(of_picture, batch["image"])
    params = {"picture": made["params"]}
    if encoders.trained is None:
        network = encoders.network(len(spelled))
        args = (batch["caption_tokens"], batch["caption_tokens_length"])
        params["text"] = network.init(of_text, *args)["params"]
    else:
        frozen["text"] = jax.tree.map(jnp.asarray, dict(encoders.trained.variables))
        frozen["words"] = _table(encoders.trained, spelled)
    variables = {"params": {"text": params}, "state": {"picture": made["state"]}, "frozen": frozen}
    players, state = adversarial.init(game, of_game, batch["image"], game.tell(variables, batch))
    mean = jnp.full((size, size, 3), 127.5, jnp.float32)
    state |= {**variables["state"], "mean": mean}
    if exchange:
        count = sum(lists.size for lists in frozen["exchange"].values())
        state["together"] = jnp.zeros((count, count))
    return {
        "params": {"text": params, **players},
        "state": state,
        "frozen": frozen,
    }


def _table(trained, spelled):
    """See `Trained.table`; zeros of its shape where the vocabulary comes from a checkpoint later on."""
    if isinstance(spelled, jax.core.Tracer):
        row = trained.table(vocabulary.spell(vocabulary.SPECIAL)).shape[1:]
        return jnp.zeros((len(spelled), *row), jnp.int32)
    return jnp.asarray(trained.table(np.asarray(spelled)))


def told(encoders, variables, batch):
    """The sentences' vectors [b d], of length sqrt(d), so that their entries are about 1."""
    found = encoders.texts(variables, batch["caption_tokens"], batch["caption_tokens_length"])
    return unit(found) * jnp.float32(found.shape[1] ** 0.5)


def foils(encoders, many, variables, batch, key):
    """`many` wrong captions of each picture as `told` tells right ones [b k d], and whether they count [b k].

    They do where they differ from the right one and their words were seen together in other captions of this run.
    """
    groups = list(variables["frozen"]["exchange"].values())
    made = [captions.foiled(batch["caption_tokens"], groups, own) for own in jax.random.split(key, many)]
    tokens, wrong = (jnp.stack(parts, 1) for parts in zip(*made, strict=True))
    flat = {
        "caption_tokens": tokens.reshape(-1, tokens.shape[-1]),
        "caption_tokens_length": jnp.repeat(batch["caption_tokens_length"], many),
    }
    wrong &= captions.all_known(tokens, _words(groups), variables["state"]["together"])
    return told(encoders, variables, flat).reshape(*tokens.shape[:2], -1), wrong


def _words(groups):
    """All words that can be exchanged [n]."""
    return jnp.concatenate([lists.reshape(-1) for lists in groups])


def embedding_loss(encoders, foil, variables, batch, key, *, name, scale, margin):
    """The joint embedding's: which sentence belongs to which picture of the batch.

    Args:
      name: "contrastive", CLIP's loss at cosines times `scale`; or "triplet", the symmetric structured joint embedding
        of Reed et al. 2016 (CVPR), eq. 3: hinges over the batch on inner products, and their mean; it has no foils.
      foil: see `foils`, or None.
      scale, margin: see there; a margin of 1 in the official code.
    """
    seen, after = encoders.pictures(variables, batch["image"], train=True)
    texts = encoders.texts(variables, batch["caption_tokens"], batch["caption_tokens_length"])
    group = captions.number_of(batch["caption_tokens"], collective.numbers(len(seen)))  # equal captions match
    if name == "contrastive":
        more = {}
        if foil is not None:
            made, more["foiled"] = foil(variables, batch, collective.local_key(key))
            more["foils"] = unit(made)
        value = contrastive.clip(unit(seen), unit(texts), jnp.float32(scale), group, **more)
    else:
        value = metric.triplet(seen, texts, margin, "sum", group) / (len(seen) * collective.total(1))
    mean = jnp.mean(batch["image"].astype(jnp.float32), 0)
    old = variables["state"]
    new = {**old, "picture": after, "mean": old["mean"] + 0.01 * (mean - old["mean"])}
    if foil is not None:
        words = _words(list(variables["frozen"]["exchange"].values()))
        seen = collective.total(captions.together(batch["caption_tokens"], words))
        new["together"] = jnp.maximum(old["together"], jnp.minimum(seen, 1.0))
    return jnp.mean(value), (new, {})


def _draw(game, variables, batch, key):
    """A picture for each caption, uint8."""
    words = game.tell(variables, batch)
    return adversarial.shown(game.sample(variables, jax.random.normal(key, (len(words), game.code)), words))


def metrics(game, encoders, judge, variables, batch):
    """What the recognition network sees of what the caption names, and the joint embedding's cosines."""
    frozen, valid = variables["frozen"], batch["valid"]
    drawn, real = _draw(game, variables, batch, jax.random.key(0)), batch["image"]
    texts = unit(encoders.texts(variables, batch["caption_tokens"], batch["caption_tokens_length"]))
    own, theirs = (unit(encoders.pictures(variables, x)[0]) for x in (drawn, real))
    both = valid & jnp.roll(valid, 1, 0)
    cosines = {
        "similarity": (jnp.sum(own * texts, -1), valid),
        "similarity/shuffled_captions": (jnp.sum(own * jnp.roll(texts, 1, 0), -1), both),
        "similarity/real_pictures": (jnp.sum(theirs * texts, -1), valid),
    }
    figures = {k: (jnp.sum(v, where=w), jnp.sum(w, dtype=jnp.float32)) for k, (v, w) in cosines.items()}
    scores = {}
    if "object" in frozen["named"]:
        looked = {k: drawn_pictures.see(judge, frozen["recogniser"], x) for k, x in (("drawn", drawn), ("real", real))}
        scores["object"] = {which: layers["object"] for which, layers in looked.items()}
    if "colour" in frozen["named"] and "fitted" in variables:
        planes = variables["fitted"]["colour"]
        scores["colour"] = {k: drawn_pictures.colours_of(planes, x) for k, x in (("drawn", drawn), ("real", real))}
    tokens = (batch["caption_tokens"], batch["caption_tokens_length"])
    wanted = {head: drawn_pictures.named(*tokens, frozen["named"][head]) for head in scores}
    for head in scores:
        where = jnp.any(wanted[head], 1)
        figures |= drawn_pictures.beside(
            f"{HEADS[head]}_right", {head: scores[head]}, {head: wanted[head]}, where, valid
        )
    if len(scores) == 2:
        where = jnp.any(wanted["object"], 1) & jnp.any(wanted["colour"], 1)
        figures |= drawn_pictures.beside("both_right", scores, wanted, where, valid)
    return figures


def predict(game, encoders, looks, variables, batch, key):
    """A picture of each caption, several, and the ways between two captions and between two codes.

    Where the batch has pictures, as in all but notebooks, also those, and what the figures over the split are made of.
    """
    words, frozen = game.tell(variables, batch), variables["frozen"]
    rows = len(words)
    codes = jax.random.normal(key, (rows, CODES + 1, game.code))
    several = _several(game, variables, codes[:, :CODES], jnp.repeat(words[:, None], CODES, 1))
    share = jnp.linspace(0.0, 1.0, STEPS).reshape(1, -1, 1)
    between = words[:, None] * (1 - share) + jnp.roll(words, -1, 0)[:, None] * share
    steady = jnp.repeat(codes[:, :1], STEPS, 1)
    turned = _slerp(codes[:, :1], codes[:, CODES:], share)
    out = {
        "image/generated": several[:, 0],
        "image/codes": drawn_pictures.strip(several),
        "image/between_captions": drawn_pictures.strip(_several(game, variables, steady, between)),
        "image/between_codes": drawn_pictures.strip(
            _several(game, variables, turned, jnp.repeat(words[:, None], STEPS, 1))
        ),
        "text/caption_target": frozen["caption_vocabulary"][batch["caption_tokens"]],
    }
    if "image" not in batch:
        return out
    texts = encoders.texts(variables, batch["caption_tokens"], batch["caption_tokens_length"])
    out |= {
        "image/real": batch["image"],
        "number/tokens": batch["caption_tokens"],
        "number/text": texts,
        "number/joint_drawn": encoders.pictures(variables, several[:, 0])[0],
        "number/joint_real": encoders.pictures(variables, batch["image"])[0],
    }
    return out | looks.compared(variables, key, batch["image"], several[:, 0], several[:, 1])


def _several(game, variables, codes, words):
    """Pictures uint8 [b k h w 3] of codes [b k z] and texts [b k d]."""
    rows, many = codes.shape[:2]
    flat = (x.reshape(rows * many, -1) for x in (codes, words))
    drawn = adversarial.shown(game.sample(variables, *flat))
    return drawn.reshape(rows, many, *drawn.shape[1:])


def _slerp(first, last, share):
    """From one Gaussian code to another [b k z] along the sphere, whose lengths Gaussian codes have."""
    cosine = jnp.sum(unit(first) * unit(last), -1, keepdims=True)
    angle = jnp.arccos(jnp.clip(cosine, -0.9995, 0.9995))
    return (jnp.sin((1 - share) * angle) * first + jnp.sin(share * angle) * last) / jnp.sin(angle)


def observe(looks, variables, batch):
    """What is measured with: colours of real pictures where they are known, and features of them."""
    found = looks.features(variables["frozen"], batch["image"])
    if "colours" in batch:
        found |= {"histogram": drawn_pictures.histogram(batch["image"]), "colours": batch["colours"]}
    return found


def solve(colours, variables, observed):
    """The classifier of colours, and the features as they are."""
    del variables
    fitted = {kind: observed[kind] for kind in drawn_pictures.KINDS if kind in observed}
    if colours:
        fitted["colour"] = drawn_pictures.fit_colours(observed["histogram"], observed["colours"], colours)
    return fitted


def score(predictions, references):
    """R-precision by the joint embedding of this run, distances of recognition features, diversity over codes."""
    del references
    figures = drawn_pictures.distances(predictions)
    tokens, text = predictions["number/tokens"], predictions["number/text"]
    same = np.all(tokens[:, None] == tokens[None], -1)
    if len(tokens) > 1:
        precision = functools.partial(generation.retrieval_precision, text=text, same=same)
        figures["r_precision"] = precision(predictions["number/joint_drawn"])
        figures["r_precision/chance"] = generation.chance_precision(same)
        figures["r_precision/real_pictures"] = precision(predictions["number/joint_real"])
    return {**figures, **drawn_pictures.diversity(predictions)}
