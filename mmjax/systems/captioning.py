"""Captioning: a picture in words, by Show and Tell or by Show, Attend and Tell.

Vinyals et al. 2015, "Show and Tell: A Neural Image Caption Generator". Xu et al. 2015, "Show, Attend and Tell: Neural
Image Caption Generation with Visual Attention". Captions of the held-out pictures are written by beam search and
scored as coco-caption does, beside three ways of captioning without a captioner, see `metrics.caption_baselines`.

Longer than other systems, for it is two: what differs between the papers is chosen in `Networks`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key
from ml_collections import ConfigDict

from mmjax import decode
from mmjax.errors import OptionError, UserError, section
from mmjax.known import encoders, word_table
from mmjax.known.network import Network
from mmjax.losses import sequence
from mmjax.losses.captions import caption_loss
from mmjax.metrics import caption_baselines, caption_java
from mmjax.metrics.localisation import attention
from mmjax.models.text.show_and_tell import ShowAndTell
from mmjax.models.text.show_attend_tell import Memory, ShowAttendTell
from mmjax.ops import collective
from mmjax.task import Batch, Constants, Features, Figures, Fit, Task, Update, Variables, Writing, bind
from mmjax.text import vocabulary

NETWORKS = {"show_and_tell": ShowAndTell, "show_attend_tell": ShowAttendTell}
NEVER = (vocabulary.PAD, vocabulary.START, vocabulary.UNK)  # no caption says these
GROUP = "captioner"
STATE = ("hidden", "cell")  # of the LSTM
Words = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Networks:
    """An encoder of pictures and a writer of captions, whose vocabulary and features `sized` gives it."""

    encoder: Network
    writer: ShowAndTell | ShowAttendTell

    def look(
        self, variables: Variables, batch: Batch, train: bool = False
    ) -> tuple[Float[Array, "b ..."], dict[str, Any]]:
        """The encoder's map [b i j d] or vector [b d], and what it adds to the state after this batch."""
        if "image_features" in batch:  # computed once, see `Task.features`
            return batch["image_features"], {}
        layer, state = self.encoder(encoders.parts(variables, GROUP), batch["image"], train=train)
        return layer, encoders.beside(state)

    def prepare(self, layer: Float[Array, "b ..."]) -> Float[Array, "b ..."]:
        """What the captioning network reads: all places of a map [b p d], or one vector [b d]."""
        if isinstance(self.writer, ShowAndTell):
            return jnp.mean(layer, (1, 2)) if layer.ndim == 4 else layer
        if layer.ndim != 4:
            raise OptionError("layer", f"{self.encoder.layer!r} has no places to attend to: choose a map")
        return layer.reshape(layer.shape[0], -1, layer.shape[-1])  # b i j d -> b p d

    def sized(self, frozen: Mapping[str, Any], features: int) -> Any:
        """The captioning network for this vocabulary and features of this size."""
        return self.writer.clone(vocabulary=len(frozen["caption_vocabulary"]), features=features)

    def writing(self, variables: Variables, layer: Float[Array, "b ..."]) -> tuple[Array, Callable[..., Any]]:
        """What the captioning network reads of a layer, and its `apply` on its parameters."""
        features = self.prepare(layer)
        return features, self.applied(variables, features.shape[-1])

    def applied(self, variables: Variables, features: int) -> Callable[..., Any]:
        """The captioning network's `apply` on its parameters."""
        own = {"params": variables["params"][GROUP]["writer"]}
        return functools.partial(self.sized(variables["frozen"], features).apply, own)


def build(config: ConfigDict) -> Task:
    """The task of a config with sections encoder, model, loss and decode, and the fields network, train_encoder,
    encoder_statistics, objects and metrics; captions are as long as config.data.tokens.length."""
    options, java, objects = dict(config.model), tuple(config.metrics), tuple(config.objects)
    words = options.pop("words")
    caption_java.known(java)
    if config.network not in NETWORKS:
        raise UserError(f"config.network is {config.network!r}: choose {' or '.join(map(repr, NETWORKS))}")
    with section("config.encoder", statistics="config.encoder_statistics"):
        more = {"trained": config.train_encoder, "statistics": config.encoder_statistics}
        encoder = encoders.make(**config.encoder, **more)
    with section("config.model"):
        networks = Networks(encoder, _writer(config.network, options))
    if objects and config.network == "show_and_tell":
        raise UserError("config.objects are looked for by attention, which Show and Tell has not: set it to ()")
    search = {"max_length": config.data.tokens.length, **config.decode}
    seen_once = Features("image", bind(encoders.parts, group=GROUP), bind(encoders.features, encoder))
    return Task(
        fields=("image", "caption_tokens", "caption_tokens_length", *(("objects", "boxes") if objects else ())),
        modalities={"picture": ("image",)},
        init=bind(init, networks, len(objects)),
        fill=bind(fill, networks, words, objects),
        needs=(bind(caption_java.available, java), bind(Network.check, encoder)),
        updates=(Update(GROUP, bind(loss, networks, **config.loss)),),
        metrics=bind(metrics, networks),
        predict=bind(predict, networks, **search),
        predicts_from=("image",),
        answers=("text/caption",),
        score=bind(caption_baselines.score, java, rules=config.data.tokens.get("rules", "unicode")),
        references=("captions",),
        features=None if encoder.trained else seen_once,
        fit=Fit(bind(observe, networks), caption_baselines.solve),
        headline=("cider_d", "bleu4", "rouge_l"),
        writing=written(networks, search),
    )


def written(networks: Networks, search: Mapping[str, Any]) -> Writing:
    """How a caption is written token by token; `search` is what `predict` has of the beam."""
    own = {"start": vocabulary.START, "end": vocabulary.END, "forbidden": NEVER, **search}
    return Writing("text/caption", "caption_vocabulary", bind(begin, networks), bind(go_on, networks), own)


def _writer(network: str, options: Mapping[str, Any]) -> Any:
    kind = NETWORKS[network]
    strange = next((name for name in options if name not in {field.name for field in dataclasses.fields(kind)}), None)
    if strange is not None:
        raise OptionError(strange, f"is no option of {network}: start from a variant of that network")
    return kind(0, 0, **options)


def init(networks: Networks, objects: int, key: Key[Array, ""], batch: Batch) -> Variables:
    """Fresh networks as large as the data's vocabulary, which stays beside them, and uniform word frequencies."""
    of_encoder, of_writer = jax.random.split(key)
    frozen = {name: jnp.asarray(batch[name]) for name in ("caption_vocabulary", "caption_model") if name in batch}
    with section("config.encoder"):
        encoder = networks.encoder.init(of_encoder, batch["image"])
        features = networks.prepare(networks.encoder(encoder, batch["image"])[0])
    writer = networks.sized(frozen, features.shape[-1])
    params = {"writer": writer.init(of_writer, features, batch["caption_tokens"])["params"]}
    state = {"word_counts": jnp.ones(len(frozen["caption_vocabulary"]), jnp.float32), "baseline": jnp.float32(0)}
    if objects:
        frozen["object_words"] = jnp.full(objects, -1, jnp.int32)
    return encoders.placed({"params": {GROUP: params}, "state": state, "frozen": frozen}, GROUP, encoder)


def fill(networks: Networks, words: str, objects: Words, variables: Variables, constants: Constants) -> Variables:
    """Published weights, trained vectors of words and the objects' words."""
    spelled = np.asarray(constants["caption_vocabulary"])
    with section("config.encoder"):
        encoder = networks.encoder.fill(encoders.parts(variables, GROUP))
    filled = encoders.placed(variables, GROUP, encoder)
    if words:
        own = filled["params"][GROUP]
        with section("config.model"):
            writer = {**own["writer"], "words": word_table.fill(own["writer"]["words"], spelled, words)}
        filled = {**filled, "params": {GROUP: {**own, "writer": writer}}}
    if objects:
        numbers = np.asarray(attention.object_words(objects, spelled))
        if np.all(numbers < 0):
            raise UserError(f"no name of config.objects, such as {objects[0]!r}, is a token of the captions: use ()")
        filled = {**filled, "frozen": {**filled["frozen"], "object_words": numbers}}
    return filled


def _where(batch: Batch) -> Bool[Array, "b t"]:
    """The tokens that count."""
    return jnp.arange(batch["caption_tokens"].shape[1])[None] < batch["caption_tokens_length"][:, None]


def loss(
    networks: Networks, variables: Variables, batch: Batch, key: Key[Array, ""], **options: Any
) -> tuple[Float[Array, ""], tuple[dict[str, Any], Figures]]:
    """See `caption_loss`, whose options these are; and how often each word was seen."""
    tokens, where, state = batch["caption_tokens"], _where(batch), variables["state"]
    drop, sample = jax.random.split(collective.local_key(key))
    layer, encoder = networks.look(variables, batch, train=True)
    features, write = networks.writing(variables, layer)
    out = write(features, tokens, train=True, rngs={"dropout": drop, "sample": sample})
    with section("config.loss"):
        value, baseline, logs = caption_loss(out, tokens, where, state["baseline"], **options)
    seen = jnp.zeros_like(state["word_counts"]).at[tokens.reshape(-1)].add(where.reshape(-1).astype(jnp.float32))
    counts = state["word_counts"] + collective.total(seen)
    return value, ({"word_counts": counts, "baseline": baseline, **encoder}, logs)


def _forced(
    networks: Networks, variables: Variables, batch: Batch, layer: Float[Array, "b ..."]
) -> tuple[Float[Array, "b t"], Float[Array, "b t"], Bool[Array, "b t"], Float[Array, "b t i j"] | None]:
    """Given captions word by word: nats of each, nats by word frequency alone, which count, and the attention."""
    features, write = networks.writing(variables, layer)
    out = write(features, batch["caption_tokens"])
    where = _where(batch) & batch["valid"][:, None]
    frequency = jnp.log(variables["state"]["word_counts"] / jnp.sum(variables["state"]["word_counts"]))
    unigram = jnp.where(where, -frequency[batch["caption_tokens"]], 0.0)
    maps = out["attention"].reshape(*where.shape, *layer.shape[1:3]) if "attention" in out else None
    return sequence.cross_entropy(out["logits"], batch["caption_tokens"], where), unigram, where, maps


def metrics(networks: Networks, variables: Variables, batch: Batch) -> dict[str, tuple[Array, Array]]:
    """Nats a word of given captions beside those of word frequencies; where the network looks as it names an object."""
    layer, _ = networks.look(variables, batch)
    words, unigram, where, maps = _forced(networks, variables, batch, layer)
    count = jnp.sum(where, dtype=jnp.float32)
    figures = {"nll": (jnp.sum(words), count), "nll/unigram": (jnp.sum(unigram), count)}
    if "object_words" in variables["frozen"] and maps is not None:
        boxes, named = attention.named_boxes(
            batch["caption_tokens"], variables["frozen"]["object_words"], batch["objects"], batch["boxes"]
        )
        figures |= attention.attention_in_box(maps, boxes, named & where)
    return figures


def predict(
    networks: Networks, variables: Variables, batch: Batch, key: Key[Array, ""], **options: Any
) -> dict[str, Array]:
    """The picture, its caption by beam search, where the network looked at each word, and the baselines' captions.

    Where the batch has a caption, as in all but notebooks, also that caption and its nats. `options` are of the search.
    """
    layer, _ = networks.look(variables, batch)
    spelled = variables["frozen"]["caption_vocabulary"]
    features, write = networks.writing(variables, layer)
    memory, carry = write(features, method="start")
    step = functools.partial(write, memory, method="step")
    with section("config.decode"):
        found = decode.beam(step, carry, vocabulary.START, vocabulary.END, forbidden=NEVER, **options)
    out = {"image/picture": batch["image"], "text/caption": spelled[found.tokens[:, 0]]}
    if "caption_tokens" in batch:
        words, unigram, where, _ = _forced(networks, variables, batch, layer)
        sums = [jnp.sum(words, 1), jnp.sum(unigram, 1), jnp.sum(where, 1, dtype=jnp.float32)]
        out |= {"text/caption_target": spelled[batch["caption_tokens"]], "number/nats": jnp.stack(sums, 1)}
    if "attention" in found.emitted:
        maps = found.emitted["attention"][:, 0]
        out["attention/caption"] = maps.reshape(*maps.shape[:2], *layer.shape[1:3])  # b t p -> b t i j
    if "fitted" in variables:
        said = caption_baselines.captions(variables["fitted"], caption_baselines.direction(layer), key)
        out |= {f"text/{name}": spelled[tokens] for name, tokens in said.items()}
    return out


def begin(networks: Networks, variables: Variables, batch: Batch) -> tuple[dict[str, Array], dict[str, Array]]:
    """What stays of a picture while its caption is written, and the LSTM's first state; see `task.Writing`."""
    features, write = networks.writing(variables, networks.look(variables, batch)[0])
    memory, carry = write(features, method="start")
    kept = memory._asdict() if memory else {}
    return _wide(kept), _wide(dict(zip(STATE, carry, strict=True)))


def go_on(
    networks: Networks, variables: Variables, memory: dict[str, Array], state: dict[str, Array], token: Int[Array, " b"]
) -> tuple[dict[str, Array], Float[Array, "b v"]]:
    """The LSTM's state after one more word, and the logits of the next; see `task.Writing`."""
    own = variables["params"][GROUP]["writer"]
    write = networks.applied(variables, own["attend_features" if memory else "picture"].shape[0])
    memory, state = (jax.tree.map(lambda x: x.astype(networks.writer.dtype), tree) for tree in (memory, state))
    kept = Memory(**memory) if memory else ()
    carry, logits, _ = write(kept, tuple(state[name] for name in STATE), token, method="step")
    return _wide(dict(zip(STATE, carry, strict=True))), logits


def _wide(tree: dict[str, Array]) -> dict[str, Array]:
    """Nobody's interface has halves of floats."""
    return {name: value.astype(jnp.float32) for name, value in tree.items()}


def observe(networks: Networks, variables: Variables, batch: Batch) -> dict[str, Array]:
    """What the baselines need of the training split: each picture's features and a caption of it."""
    layer, _ = networks.look(variables, batch)
    return {"features": caption_baselines.direction(layer), "tokens": batch["caption_tokens"]}
