"""Captioning: a picture in words, by Show and Tell or by Show, Attend and Tell.

Vinyals et al. 2015, "Show and Tell: A Neural Image Caption Generator". Xu et al. 2015, "Show, Attend and Tell: Neural
Image Caption Generation with Visual Attention". Captions of the held-out pictures are written by beam search and
scored as coco-caption does, beside three ways of captioning without a captioner: the most frequent caption of the
training split, one drawn at random, and that of the training picture whose features are nearest.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from ml_collections import ConfigDict

from mmjax import decode
from mmjax.errors import UserError
from mmjax.known import encoders, word_table
from mmjax.losses import sequence
from mmjax.metrics import caption, caption_java, localisation
from mmjax.models.text.show_and_tell import ShowAndTell
from mmjax.models.text.show_attend_tell import ShowAttendTell
from mmjax.ops import collective
from mmjax.ops.vectors import unit
from mmjax.task import Fit, Task, Update
from mmjax.text import vocabulary

NETWORKS = {"show_and_tell": ShowAndTell, "show_attend_tell": ShowAttendTell}
NEVER = (vocabulary.PAD, vocabulary.START, vocabulary.UNK)  # no caption says these
BASELINES = ("most_frequent", "random", "nearest_picture")


@dataclasses.dataclass(frozen=True)
class Networks:
    """An encoder of pictures and a writer of captions, which the vocabulary in `frozen` and the features size.

    Attributes:
      encoder: of the pictures.
      trained: whether its parameters are.
      statistics: of its BatchNorm while it is trained: "batch", or "running", as they came with the weights.
      network: a key of NETWORKS.
      options: of that network.
    """

    encoder: encoders.Encoder
    trained: bool
    statistics: str
    network: str
    options: Mapping[str, Any]

    @property
    def follows(self) -> bool:
        """Whether the encoder has statistics that follow the batches."""
        return self.trained and self.statistics == "batch"

    def writer(self, frozen: Mapping[str, Any], features: Any) -> Any:
        """The captioning network for these features and this vocabulary."""
        return NETWORKS[self.network](len(frozen["caption_vocabulary"]), features.shape[-1], **self.options)

    def look(self, variables: Mapping[str, Any], image: Any, train: bool = False) -> tuple[Any, Any]:
        """The encoder's map [b i j d] or vector [b d], and its statistics after this batch."""
        weights, state = variables["frozen"]["encoder"], variables["state"].get("encoder", {})
        if self.trained:
            weights = {**weights, **state, "params": variables["params"]["captioner"]["encoder"]}
        if not (train and state):
            return self.encoder(weights, image), state
        return self.encoder.train(weights, image)

    def prepare(self, layer: Any) -> Any:
        """What the captioning network reads: all places of a map [b p d], or one vector [b d]."""
        if self.network == "show_and_tell":
            return jnp.mean(layer, (1, 2)) if layer.ndim == 4 else layer
        if layer.ndim != 4:
            raise UserError(f"config.encoder.layer {self.encoder.layer!r} has no places to attend to: choose a map")
        return layer.reshape(len(layer), -1, layer.shape[-1])  # b i j d -> b p d


def build(config: ConfigDict) -> Task:
    """The task of a config with sections encoder, model, loss and decode, and the fields network, train_encoder,
    encoder_statistics, objects and metrics; captions are as long as config.data.tokens.length."""
    options, java = dict(config.model), tuple(config.metrics)
    words = options.pop("words")
    caption_java.known(java)
    for field, known in (("network", tuple(NETWORKS)), ("encoder_statistics", ("batch", "running"))):
        if config[field] not in known:
            raise UserError(f"config.{field} is {config[field]!r}: choose {' or '.join(map(repr, known))}")
    offered = {field.name for field in dataclasses.fields(NETWORKS[config.network])}
    strange = next((name for name in options if name not in offered), None)
    if strange is not None:
        raise UserError(
            f"config.model.{strange} is no option of {config.network}: start from a variant of that network"
        )
    encoder = encoders.make(**config.encoder)
    if encoder.variables is None and not config.train_encoder:
        raise UserError(f"config.encoder.name {config.encoder.name!r} has no weights: set config.train_encoder")
    networks = Networks(encoder, config.train_encoder, config.encoder_statistics, config.network, options)
    if config.objects and config.network == "show_and_tell":
        raise UserError("config.objects are looked for by attention, which Show and Tell has not: set it to ()")
    return Task(
        fields=("image", "caption_tokens", "caption_tokens_length", *(("objects", "boxes") if config.objects else ())),
        init=functools.partial(init, networks, words, tuple(config.objects), java),
        updates=(Update("captioner", functools.partial(loss, networks, **config.loss)),),
        metrics=functools.partial(metrics, networks),
        predict=functools.partial(predict, networks, {"max_length": config.data.tokens.length, **config.decode}),
        predicts_from=("image",),
        score=functools.partial(score, java),
        references=("captions",),
        fit=Fit(functools.partial(observe, networks), solve),
    )


def init(networks, words, objects, java, key, batch):
    """Fresh networks as large as the data's vocabulary, which stays beside them, and uniform word frequencies."""
    of_encoder, of_writer = jax.random.split(key)
    spelled = batch["caption_vocabulary"]
    if not isinstance(spelled, jax.core.Tracer):  # a run starts, and must not end for want of Java; a restored one may
        caption_java.available(java)
    made = networks.encoder.variables or networks.encoder.model.init(of_encoder, batch["image"])
    made = jax.tree.map(jnp.asarray, dict(made))
    frozen = {"caption_vocabulary": jnp.asarray(spelled)}
    if "caption_model" in batch:
        frozen["caption_model"] = jnp.asarray(batch["caption_model"])
    features = networks.prepare(networks.encoder(made, batch["image"]))
    writer = networks.writer(frozen, features)
    params = {"writer": writer.init(of_writer, features, batch["caption_tokens"])["params"]}
    if words:
        params["writer"]["words"] = word_table.fill(params["writer"]["words"], spelled, words)
    state = {"word_counts": jnp.ones(len(spelled), jnp.float32), "baseline": jnp.float32(0)}
    if networks.trained:
        params["encoder"] = made.pop("params")
    if networks.follows and "state" in made:
        state["encoder"] = {"state": made.pop("state")}
    frozen["encoder"] = made
    if objects:
        frozen["object_words"] = _object_words(objects, spelled)
    return {"params": {"captioner": params}, "state": state, "frozen": frozen}


def _object_words(objects, spelled):
    """The number of each object's word, or of the one SentencePiece piece that is that word; -1 for the others."""
    pieces = tuple(vocabulary.SPACE + name for name in objects)
    numbers = jnp.maximum(localisation.numbers_of(objects, spelled), localisation.numbers_of(pieces, spelled))
    if not isinstance(spelled, jax.core.Tracer) and not set(vocabulary.words_of(spelled)) & {*objects, *pieces}:
        raise UserError(f"no name of config.objects, such as {objects[0]!r}, is a token of the captions: set it to ()")
    return numbers


def _where(batch):
    """The tokens that count, [b t]."""
    return jnp.arange(batch["caption_tokens"].shape[1])[None] < batch["caption_tokens_length"][:, None]


def loss(networks, variables, batch, key, *, per, attention, reduction, reinforce, entropy, reward):
    """Cross-entropy of the captions, and what attention is trained with beside it.

    Args:
      per: "caption", the mean over captions of the sum over their words (Show, Attend and Tell); or "word", the mean
        over all words (Show and Tell's code, popular ports).
      attention: weight of the doubly stochastic term (soft: the paper's lambda, the code's alpha_c).
      reduction: of that term over places: "sum" or "mean".
      reinforce: weight of the score-function term of hard attention (lambda_r).
      entropy: weight of the attention's entropy in hard attention (lambda_e).
      reward: of hard attention: "caption" or "mean", see `losses.sequence.rewards`.
    """
    tokens, where, state = batch["caption_tokens"], _where(batch), variables["state"]
    drop, sample = jax.random.split(collective.local_key(key))
    layer, encoder = networks.look(variables, batch["image"], train=True)
    features = networks.prepare(layer)
    writer = networks.writer(variables["frozen"], features)
    own = {"params": variables["params"]["captioner"]["writer"]}
    out = writer.apply(own, features, tokens, train=True, rngs={"dropout": drop, "sample": sample})
    words = sequence.cross_entropy(out["logits"], tokens, where)
    by_word = collective.mean_where(words, where)
    value, logs = by_word if per == "word" else jnp.mean(jnp.sum(words, 1)), {"nll": by_word}
    if "attention" in out:
        spread = jnp.mean(sequence.doubly_stochastic(out["attention"], where, reduction))
        value, logs["doubly_stochastic"] = value + attention * spread, spread
    baseline = state["baseline"]
    if "drawn" in out:
        gains, mean = sequence.rewards(-words, where, reward)
        drawn = where & out["drawn"][:, None]
        chosen = jnp.mean(sequence.reinforce(out["log_place"], gains, baseline, drawn))
        certainty = jnp.mean(jnp.sum(sequence.entropy(out["attention"], where), 1))
        value = value + reinforce * chosen - entropy * certainty
        baseline = 0.9 * baseline + 0.1 * mean  # Xu et al. 2015, section 4.1
        logs |= {
            "reward": mean,
            "attention_entropy": collective.mean_where(sequence.entropy(out["attention"], where), where),
        }
    seen = jnp.zeros_like(state["word_counts"]).at[tokens.reshape(-1)].add(where.reshape(-1).astype(jnp.float32))
    counts = state["word_counts"] + collective.total(seen)
    new = {"word_counts": counts, "baseline": baseline, **({"encoder": encoder} if encoder else {})}
    return value, (new, logs)


def _forced(networks, variables, batch):
    """Given captions word by word: nats of each, nats by word frequency alone, which count, and the attention."""
    layer, _ = networks.look(variables, batch["image"])
    features = networks.prepare(layer)
    own = {"params": variables["params"]["captioner"]["writer"]}
    out = networks.writer(variables["frozen"], features).apply(own, features, batch["caption_tokens"])
    where = _where(batch) & batch["valid"][:, None]
    frequency = jnp.log(variables["state"]["word_counts"] / jnp.sum(variables["state"]["word_counts"]))
    unigram = jnp.where(where, -frequency[batch["caption_tokens"]], 0.0)
    maps = out["attention"].reshape(*where.shape, *layer.shape[1:3]) if "attention" in out else None
    return sequence.cross_entropy(out["logits"], batch["caption_tokens"], where), unigram, where, maps


def metrics(networks, variables, batch):
    """Nats a word of given captions beside those of word frequencies; where the network looks as it names an object."""
    words, unigram, where, maps = _forced(networks, variables, batch)
    count = jnp.sum(where, dtype=jnp.float32)
    figures = {"nll": (jnp.sum(words), count), "nll/unigram": (jnp.sum(unigram), count)}
    if "object_words" in variables["frozen"]:
        boxes, named = localisation.named_boxes(
            batch["caption_tokens"], variables["frozen"]["object_words"], batch["objects"], batch["boxes"]
        )
        inside, named = localisation.overlap(boxes, maps.shape[-2:]), named & where
        count = jnp.sum(named, dtype=jnp.float32)
        centre = localisation.centre_prior(maps.shape[-2:])[None, None]
        shares = {"": maps, "/area": jnp.full_like(maps, 1 / math.prod(maps.shape[-2:])), "/centre": centre}
        for name, share in shares.items():
            mass = jnp.sum(share * inside, (-2, -1))
            figures[f"attention_in_box{name}"] = jnp.sum(mass, where=named), count
    return figures


def predict(networks, options, variables, batch, key):
    """The picture, its caption by beam search, where the network looked at each word, and the baselines' captions.

    Where the batch has a caption, as in all but notebooks, also that caption and its nats.
    """
    layer, _ = networks.look(variables, batch["image"])
    features = networks.prepare(layer)
    spelled = variables["frozen"]["caption_vocabulary"]
    own = {"params": variables["params"]["captioner"]["writer"]}
    apply = functools.partial(networks.writer(variables["frozen"], features).apply, own)
    memory, carry = apply(features, method="start")
    step = functools.partial(apply, memory, method="step")
    found = decode.beam(step, carry, vocabulary.START, vocabulary.END, forbidden=NEVER, **options)
    out = {"image/picture": batch["image"], "text/caption": spelled[found.tokens[:, 0]]}
    if "caption_tokens" in batch:
        words, unigram, where, _ = _forced(networks, variables, batch)
        sums = [jnp.sum(words, 1), jnp.sum(unigram, 1), jnp.sum(where, 1, dtype=jnp.float32)]
        out |= {"text/caption_target": spelled[batch["caption_tokens"]], "number/nats": jnp.stack(sums, 1)}
    if "attention" in found.emitted:
        maps = found.emitted["attention"][:, 0]
        out["attention/caption"] = maps.reshape(*maps.shape[:2], *layer.shape[1:3])  # b t p -> b t i j
    if "fitted" not in variables:
        return out
    known = variables["fitted"]
    nearest = jnp.argmax(_direction(layer) @ known["features"].T, -1)
    any_one = jax.random.randint(key, nearest.shape, 0, len(known["tokens"]))
    most = known["most_frequent"]
    chosen = (jnp.broadcast_to(most[None], (len(layer), len(most))), known["tokens"][any_one])
    beside = dict(zip(BASELINES, (*chosen, known["tokens"][nearest]), strict=True))
    return {**out, **{f"text/{name}": spelled[ids] for name, ids in beside.items()}}


def _direction(layer):
    """The mean over places of a picture's features, as a unit vector [b d]."""
    mean = jnp.mean(layer, (1, 2)) if layer.ndim == 4 else layer
    return unit(mean.astype(jnp.float32))


def observe(networks, variables, batch):
    """What the baselines need of the training split: each picture's features and a caption of it."""
    return {"features": _direction(networks.look(variables, batch["image"])[0]), "tokens": batch["caption_tokens"]}


def solve(variables, observed):
    """The baselines' knowledge: features, captions, and the caption that occurs most often."""
    del variables
    rows, counts = np.unique(observed["tokens"], axis=0, return_counts=True)
    return {**observed, "most_frequent": rows[np.argmax(counts)]}


def score(java, predictions, references):
    """Perplexity; and BLEU-1 to 4, ROUGE-L and CIDEr-D as coco-caption computes them, beside the baselines.

    `java` names those that need it, "meteor" and "spice".
    """
    nats, unigram, words = np.sum(predictions["number/nats"], 0, dtype=np.float64)
    words = max(words, 1.0)
    figures = {"perplexity": math.exp(nats / words), "perplexity/unigram": math.exp(unigram / words)}
    texts = {name: predictions[f"text/{name}"] for name in ("caption", *BASELINES) if f"text/{name}" in predictions}
    if len(texts) == 1:  # nothing to compare with before the baselines have seen the training split
        return figures
    people = [list(map(str, several)) for several in references["captions"]]
    found = {name: caption.scores([vocabulary.join(row) for row in rows], people, java) for name, rows in texts.items()}
    for figure, value in found["caption"].items():
        figures[figure] = value
        figures |= {f"{figure}/{name}": found[name][figure] for name in BASELINES}
    return figures
