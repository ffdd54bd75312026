"""A picture in units of speech: captioning without text (Hsu et al. 2021, "Text-Free Image-to-Speech Synthesis").

Captioning's networks, whose words are units: those that the data knows, or those that a run of configs/units.py hears
in the spoken caption, runs of equal ones as one each. Everything but the sentences and their figures is captioning's.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Key
from ml_collections import ConfigDict

from mmjax import decode
from mmjax.errors import OptionError, UserError, section
from mmjax.known import encoders, units_run
from mmjax.known.network import Network
from mmjax.known.units_run import UnitsRun
from mmjax.metrics import caption, caption_baselines
from mmjax.systems import captioning
from mmjax.systems.captioning import GROUP, NETWORKS, NEVER, Networks
from mmjax.task import Batch, Constants, Figures, Fit, Task, Update, Variables, bind
from mmjax.text import vocabulary

FIRST = len(vocabulary.SPECIAL)  # the number of the first unit among the words


@dataclasses.dataclass(frozen=True)
class Spoken:
    """The units of a spoken caption as a caption's words; hashable, and equal by value.

    Attributes:
      run: whose units; None for the data's own.
      samples: of an utterance that are heard.
      length: words, <end> among them; what is longer is cut.
    """

    run: UnitsRun | None
    samples: int
    length: int

    @property
    def fields(self) -> tuple[str, ...]:
        """What a batch must have of the spoken caption."""
        return ("speech", "speech_length") if self.run else ("units", "units_length")

    def captioned(self, frozen: Mapping[str, Any], batch: Batch) -> Batch:
        """The batch as captioning reads it, where it has a spoken caption."""
        if self.fields[0] not in batch:
            return batch
        units, length = self._units(frozen, batch)
        places = jnp.arange(self.length)[None]
        length = jnp.minimum(length, self.length - 1)[:, None]
        words = jnp.where(places < length, units + FIRST, vocabulary.PAD)
        words = jnp.where(places == length, vocabulary.END, words)
        return {**batch, "caption_tokens": words, "caption_tokens_length": length[:, 0] + 1}

    def _units(self, frozen: Mapping[str, Any], batch: Batch) -> tuple[Int[Array, "b n"], Int[Array, " b"]]:
        if self.run:
            speech = batch["speech"][:, : self.samples]
            return self.run.units(
                frozen["hearing"], speech, jnp.clip(batch["speech_length"], 1, speech.shape[1]), self.length
            )
        units = batch["units"][:, : self.length]
        return jnp.pad(units, ((0, 0), (0, self.length - units.shape[1]))), batch["units_length"]


def build(config: ConfigDict) -> Task:
    """The task of a config with sections encoder, model, loss, decode and sample, and fields units, seconds, length,
    network, train_encoder and encoder_statistics."""
    if config.network not in NETWORKS:
        raise UserError(f"config.network is {config.network!r}: choose {' or '.join(map(repr, NETWORKS))}")
    if config.length < 2 or config.seconds <= 0:
        raise OptionError("config.length", f"is {config.length}, config.seconds {config.seconds}: too short to speak")
    with section("config.encoder", statistics="config.encoder_statistics"):
        more = {"trained": config.train_encoder, "statistics": config.encoder_statistics}
        encoder = encoders.make(**config.encoder, **more)
    run = units_run.load(config.units, "config.units") if config.units else None
    spoken = Spoken(run, round(config.seconds * 22_050), config.length)
    networks = Networks(encoder, NETWORKS[config.network](0, 0, **config.model))
    own = (networks, spoken)
    return Task(
        fields=("image", *spoken.fields),
        modalities={"picture": ("image",)},
        init=bind(init, *own),
        fill=bind(fill, *own),
        needs=(bind(Network.check, encoder),),
        updates=(Update(GROUP, bind(loss, *own, **config.loss)),),
        metrics=bind(metrics, *own),
        predict=bind(predict, *own, tuple(sorted(config.sample.items())), **config.decode),
        predicts_from=("image",),
        answers=("text/caption",),  # what is drawn is another thing each time
        score=score,
        headline=("cider_d", "bleu4", "rouge_l", "nll"),
        fit=Fit(bind(observe, *own), caption_baselines.solve),
        writing=captioning.written(networks, {"max_length": spoken.length, **config.decode}),
    )


def init(networks: Networks, spoken: Spoken, key: Key[Array, ""], batch: Batch) -> Variables:
    """Captioning's, with the names of the units as its words; of a run's units also what hears them."""
    names = units_run.names(spoken.run.encoder.codes) if spoken.run else batch["units_names"]
    known: dict[str, Any] = {"caption_vocabulary": _words(np.shape(names), names)}
    tokens = {"caption_tokens": jnp.zeros((len(batch["image"]), spoken.length), jnp.int32)}
    made = captioning.init(networks, 0, key, {**batch, **tokens, **known})
    if spoken.run:
        kept = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), spoken.run.shapes)
        made = {**made, "frozen": {**made["frozen"], "hearing": kept}}
    return made


def _words(shape: tuple[int, ...], names: Any) -> Array:
    """The special words and the units' names, spelled."""
    special = vocabulary.spell(vocabulary.SPECIAL)
    wide = max(special.shape[1], shape[1])
    both = [jnp.pad(jnp.asarray(x), ((0, 0), (0, wide - x.shape[1]))) for x in (special, names)]
    return jnp.concatenate(both)


def fill(networks: Networks, spoken: Spoken, variables: Variables, constants: Constants) -> Variables:
    """Published weights of the pictures' network, and the run's."""
    filled = captioning.fill(networks, "", (), variables, {"caption_vocabulary": np.zeros((1, 1)), **constants})
    if spoken.run:
        filled = {**filled, "frozen": {**filled["frozen"], "hearing": spoken.run.variables}}
    return filled


def loss(
    networks: Networks, spoken: Spoken, variables: Variables, batch: Batch, key: Key[Array, ""], **options: Any
) -> tuple[Float[Array, ""], tuple[dict[str, Any], Figures]]:
    """Captioning's."""
    return captioning.loss(networks, variables, spoken.captioned(variables["frozen"], batch), key, **options)


def metrics(networks: Networks, spoken: Spoken, variables: Variables, batch: Batch) -> dict[str, tuple[Array, Array]]:
    """Captioning's: nats a unit, beside those of the units' frequencies."""
    return captioning.metrics(networks, variables, spoken.captioned(variables["frozen"], batch))


def observe(networks: Networks, spoken: Spoken, variables: Variables, batch: Batch) -> dict[str, Array]:
    """Captioning's."""
    return captioning.observe(networks, variables, spoken.captioned(variables["frozen"], batch))


def predict(
    networks: Networks,
    spoken: Spoken,
    sampling: tuple[tuple[str, Any], ...],
    variables: Variables,
    batch: Batch,
    key: Key[Array, ""],
    **options: Any,
) -> dict[str, Array]:
    """Captioning's, by beam search, and beside it a caption that is drawn: Hsu et al. draw from the three likeliest
    units at a temperature of 0.4."""
    batch = spoken.captioned(variables["frozen"], batch)
    of_others, of_sample = jax.random.split(key)
    out = captioning.predict(networks, variables, batch, of_others, max_length=spoken.length, **options)
    layer, _ = networks.look(variables, batch)
    features, write = networks.writing(variables, layer)
    memory, carry = write(features, method="start")
    step = functools.partial(write, memory, method="step")
    with section("config.sample"):
        drawn = decode.sample(
            step,
            carry,
            vocabulary.START,
            vocabulary.END,
            spoken.length,
            key=of_sample,
            forbidden=NEVER,
            **dict(sampling),
        )
    return {**out, "text/sampled": variables["frozen"]["caption_vocabulary"][drawn.tokens[:, 0]]}


def score(predictions: Mapping[str, Any], references: Mapping[str, Any]) -> Figures:
    """BLEU-4, ROUGE-L and CIDEr-D over units, of beam search and of what is drawn, beside captioning's baselines.

    Each picture has one reference, the units of its spoken caption. Figures over the units of one run are not to be
    compared with those of another: the fewer units, the more is alike.
    """
    del references
    if "text/nearest_picture" not in predictions:  # nothing to compare with before training's pictures were seen
        return {}
    said = {
        name: _sentences(predictions[f"text/{name}"]) for name in ("caption", "sampled", *caption_baselines.BASELINES)
    }
    true = [[sentence] for sentence in _sentences(predictions["text/caption_target"])]
    found = {name: _rated(sentences, true) for name, sentences in said.items()}
    figures: Figures = {}
    for name, end in (("caption", ""), ("sampled", "_sampled")):
        for figure, value in found[name].items():
            figures[f"{figure}{end}"] = value
            figures |= {f"{figure}{end}/{who}": found[who][figure] for who in caption_baselines.BASELINES}
    return figures


def _rated(said: list[list[str]], true: list[list[list[str]]]) -> dict[str, float]:
    return {
        "bleu4": caption.bleu(said, true)[3],
        "rouge_l": float(np.mean(caption.rouge_l(said, true))),
        "cider_d": float(np.mean(caption.cider_d(said, true))),
    }


def _sentences(rows: Any) -> list[list[str]]:
    """The names of units of each row, without special words."""
    return [[word for word in map(_text, row) if word and word not in vocabulary.SPECIAL] for row in rows]


def _text(word: Any) -> str:
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
