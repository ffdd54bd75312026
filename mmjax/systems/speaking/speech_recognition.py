"""Speech recognition: units and words that are heard in speech, by connectionist temporal classification.

Graves et al. 2006. The network is ours, small, and after no paper; what it is for is to judge speech that others make:
trained on true recordings alone, it hears no habit of a synthesiser's. The words are those of the data set's lexicon, a
path through which is found from the scores of all units (`decode.lexicon`), without a language model; without a
lexicon, as of recordings that somebody read aloud, units are letters, and words what stands between spaces.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Key
from ml_collections import ConfigDict

from mmjax import errors
from mmjax.decode import lexicon, transcript
from mmjax.errors import OptionError, UserError
from mmjax.losses import sequence
from mmjax.metrics import prior, recognised, running_mean
from mmjax.models.sound.speech_recogniser import SpeechRecogniser
from mmjax.ops import collective
from mmjax.ops.sound.speech_mel import SpeechMel
from mmjax.task import Batch, Constants, Figures, Task, Update, Variables, bind
from mmjax.text import symbols, vocabulary

LEXICON = ("lexicon_units", "lexicon_names")  # constants of a data set whose words are made of units


@dataclasses.dataclass(frozen=True)
class Network:
    """The network and the frames that it hears.

    Attributes:
      model: see `SpeechRecogniser`.
      spec: of the frames.
    """

    model: SpeechRecogniser
    spec: SpeechMel

    def hear(
        self, own: Variables, speech: Array, length: Int[Array, " b"], key: Key[Array, ""] | None = None
    ) -> tuple[dict[str, Array], Any, Int[Array, " b"]]:
        """What the network says of int16 sound, the state after it, and how many of its steps are real; with a key as
        in training."""
        frames = jnp.where(length > 0, self.spec.frames(length), 0)
        log_mel = self.spec(speech.astype(jnp.float32) / 32768)
        if key is None:
            out: Any = self.model.apply(own, log_mel, frames)
            return out, own["state"], self.model.steps(frames)
        rngs = {"dropout": collective.local_key(key)}
        out, new = self.model.apply(own, log_mel, frames, train=True, mutable=["state"], rngs=rngs)
        return out, new["state"], self.model.steps(frames)


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, frames and loss."""
    with errors.section("config.model"):
        network = Network(SpeechRecogniser(**config.model).checked(), SpeechMel(**config.frames))
    if config.loss.seconds <= 0:
        raise OptionError("config.loss.seconds", f"is {config.loss.seconds}: it must be above 0")
    who = ("speaker",) if network.model.speaker else ()
    return Task(
        fields=("speech", "speech_length", "units", "units_length", *who),
        init=bind(init, network),
        fill=fill,
        updates=(Update("listener", bind(loss, network, **config.loss)),),
        metrics=bind(metrics, network),
        predict=bind(predict, network),
        score=score,
        references=("caption",),
        modalities={"speech": ("speech",)},
        sample_rate=network.spec.sample_rate,
        predicts_from=("speech", "speech_length"),
        whole=True,
        answers=("text/transcript", "text/units"),
        headline=("word_error", "unit_error", "nll"),
    )


def init(network: Network, key: Key[Array, ""], batch: Batch) -> Variables:
    """A fresh network, what a listener without ears would guess, and the data set's words and units."""
    if "units_names" not in batch or any((name in batch) != (LEXICON[0] in batch) for name in LEXICON):
        raise UserError("the data set does not say what its units are: it lacks units_names, or half of a lexicon")
    log_mel = jnp.zeros((1, network.model.frames, network.spec.n_mels))
    made = network.model.init(key, log_mel, jnp.ones(1, jnp.int32))
    state = {"net": made["state"], "shares": prior.fresh(network.model.units + 1)}
    if network.model.speaker:
        state["speaker"] = running_mean.fresh(jnp.zeros(network.model.speaker))
    frozen = {name: jnp.asarray(batch[name]) for name in ("units_names", *LEXICON) if name in batch}
    return {"params": {"listener": made["params"]}, "state": state, "frozen": frozen}


def fill(variables: Variables, constants: Constants) -> Variables:
    """As it is, of a data set whose units are those of the config, and letters where there is no lexicon of them."""
    count, given = len(variables["state"]["shares"]["mean"]) - 1, len(constants["units_names"])
    if count != given:
        raise OptionError("config.model.units", f"is {count}, and the data set has {given}")
    if LEXICON[0] not in constants and any(len(name) != 1 for name in symbols.names(constants["units_names"])):
        raise UserError(
            "the data set does not say how words are spoken: its units are no letters, and it has no lexicon"
        )
    return variables


def loss(
    network: Network, variables: Variables, batch: Batch, key: Key[Array, ""], *, seconds: float, speaker: float
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """Nats of the units, a unit, and `speaker` x the squared error of who speaks; sentences above `seconds` are left
    out, so that no step is long for a few's sake."""
    samples = round(seconds * network.spec.sample_rate)
    fits = batch["speech_length"] <= samples
    speech, length = batch["speech"][:, :samples], jnp.minimum(batch["speech_length"], samples)
    out, state, steps = network.hear(_own(variables), speech, length, key)
    units, count = batch["units"], jnp.maximum(batch["units_length"], 1)
    nats = sequence.ctc(out["units"], steps, units, batch["units_length"]) / count.astype(jnp.float32)
    terms = {"ctc": collective.mean_where(nats, fits)}
    new = {"net": state, "shares": prior.follow(variables["state"]["shares"], _shares(network, batch, steps), fits)}
    if network.model.speaker:
        apart = jnp.mean(jnp.square(out["speaker"] - batch["speaker"]), -1)
        terms["speaker"] = speaker * collective.mean_where(apart, fits)
        new["speaker"] = running_mean.follow(variables["state"]["speaker"], batch["speaker"], fits)
    value: Any = sum(terms.values())
    return value, (new, terms)


def _own(variables: Variables) -> Variables:
    return {"params": variables["params"]["listener"], "state": variables["state"]["net"]}


def _shares(network: Network, batch: Batch, steps: Int[Array, " b"]) -> Float[Array, "b v"]:
    """How many of the steps begin each unit, and how many none."""
    where = jnp.arange(batch["units"].shape[1])[None] < batch["units_length"][:, None]
    counts = jnp.sum(jax.nn.one_hot(batch["units"], network.model.units), 1, where=where[..., None])
    steps = jnp.maximum(steps.astype(jnp.float32), 1.0)[:, None]
    blank = jnp.maximum(steps - jnp.sum(counts, 1, keepdims=True), 1.0)
    return jnp.concatenate([counts, blank], 1) / jnp.maximum(steps, jnp.sum(counts, 1, keepdims=True) + blank)


def metrics(network: Network, variables: Variables, batch: Batch) -> dict[str, tuple[Array, Array]]:
    """Nats a unit beside those of how often each unit is said; how far off who speaks is, beside the mean speaker."""
    out, _, steps = network.hear(_own(variables), batch["speech"], batch["speech_length"])
    units, length, valid = batch["units"], batch["units_length"], batch["valid"]
    shares = jnp.log(jnp.maximum(variables["state"]["shares"]["mean"], 1e-6))
    nats = {
        "nll": sequence.ctc(out["units"], steps, units, length),
        "nll/frequencies": sequence.ctc(jnp.broadcast_to(shares, out["units"].shape), steps, units, length),
    }
    count = jnp.sum(length, where=valid).astype(jnp.float32)
    figures = {name: (jnp.sum(value, where=valid), count) for name, value in nats.items()}
    if network.model.speaker:
        guesses = {"": out["speaker"], "/mean_speaker": variables["state"]["speaker"]["mean"][None]}
        for name, guess in guesses.items():
            apart = jnp.mean(jnp.abs(guess - batch["speaker"]), -1)
            figures[f"speaker_error{name}"] = (jnp.sum(apart, where=valid), jnp.sum(valid, dtype=jnp.float32))
    return figures


def predict(network: Network, variables: Variables, batch: Batch, key: Key[Array, ""]) -> dict[str, Array]:
    """The sound, the units and the words that are heard in it; and the units that were said, where that is known."""
    del key
    frozen = variables["frozen"]
    out, _, steps = network.hear(_own(variables), batch["speech"], batch["speech_length"])
    log_probs = jax.nn.log_softmax(out["units"])
    predicted = {
        "audio/speech": batch["speech"],
        "text/transcript": transcript.of(frozen, log_probs, steps),
        "text/units": transcript.spelled(frozen["units_names"], lexicon.greedy(log_probs, steps)[0]),
    }
    if "units" in batch:
        where = jnp.arange(batch["units"].shape[1])[None] < batch["units_length"][:, None]
        predicted["text/units_target"] = transcript.spelled(frozen["units_names"], jnp.where(where, batch["units"], -1))
    return predicted


def score(predictions: Mapping[str, np.ndarray], references: Mapping[str, Any]) -> Figures:
    """Errors of units and of words, beside those of silence and of another sentence."""
    heard, true = ([list(filter(None, row)) for row in predictions[key]] for key in ("text/units", "text/units_target"))
    said, wanted = map(recognised.words, (map(vocabulary.join, predictions["text/transcript"]), references["caption"]))
    return recognised.figures("unit_error", heard, true) | recognised.figures("word_error", said, wanted)
