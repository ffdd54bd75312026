"""Tacotron 2: units or letters are spoken (Shen et al. 2018), with a voice where the data set says who speaks.

Units are those that the data knows, or those that a run of configs/units.py hears in the speech, runs of equal ones as
one each: then no text is needed, and a recording goes in where else units do.

What is learned is log-mel frames, each step given the true frames before it; what is judged is what it says by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key
from ml_collections import ConfigDict

from mmjax import errors
from mmjax.errors import OptionError, UserError
from mmjax.known import speech as spoken
from mmjax.known import units_run
from mmjax.losses import speech
from mmjax.metrics import alignment
from mmjax.ops import collective
from mmjax.ops.partners import partners
from mmjax.systems.speaking import judged_speech, saying, step_by_step
from mmjax.systems.speaking.judged_speech import Judges
from mmjax.systems.speaking.saying import Network
from mmjax.task import Batch, Constants, Features, Figures, Task, Update, Variables, bind
from mmjax.text import symbols

ENDED = ("never ended: cut at the limit", "ended by itself")  # what the gate did
VOICES = ("", "/another_recording", "/mean_voice", "/true_frames")  # columns of number/voice_cosine
SPOKEN = ("monotone", "whole", "fired", "seconds", "true_seconds", "typical_seconds")  # columns of number/spoken


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, frames, sentences, loss, speak and fields units, voice, weights,
    vocoder."""
    units = config.get("units", "")  # absent in runs from before there were learned ones
    if not units and not config.model.symbols:
        raise OptionError("config.units", "='': give a workdir of configs/units.py, whose units are the symbols")
    network = saying.network_of(config, units_run.load(units, "config.units") if units else None)
    listeners = judged_speech.chosen(config, network.spec.sample_rate)
    who = network.who
    # The speech is what is asked for; where its units are not known without it, it goes in, too. That a voice which is
    # heard in it tells nothing of what is said is taken for granted: 256 numbers of it could.
    goes_in = {"speech": ("speech", *who)} if network.run else {"words": ("units",), **({"speech": who} if who else {})}
    return Task(
        fields=tuple(dict.fromkeys((*network.fields, "speech", "speech_length", *who))),
        init=bind(init, network),
        fill=bind(fill, network, config.weights, config.vocoder),
        needs=(network.voice.check,) if network.voice else (),
        features=Features("speech", frozen_voice, bind(voices, network), beside=True) if network.voice else None,
        updates=(Update("speech", bind(loss, network, **config.loss)),),
        metrics=bind(metrics, network),
        predict=bind(predict, network, listeners, **config.speak),
        score=score,
        on_host=judged_speech.on_host(listeners),
        references=("caption",) if listeners else (),
        judges=listeners,
        ask=None if network.run else bind(ask, network),
        modalities=goes_in,
        names={"ended": ENDED},
        sample_rate=network.spec.sample_rate,
        predicts_from=network.fields,
        answers=("label/ended", "audio/speech"),
        speaking=step_by_step.speaking(network, bind(judged, network, listeners), **config.speak),
        headline=("word_error", "attention_monotone", "gate_fired", "mel_error", "length_error"),
    )


def init(network: Network, key: Key[Array, ""], batch: Batch) -> Variables:
    """A fresh network; the mean frame and the pace of the training split, unknown yet; the names of the symbols, and
    of a run's units what hears them."""
    one, keys = np.ones(1, np.int32), jax.random.split(key)
    mel = jnp.zeros((1, network.model.reduction, network.model.mels))
    who = jnp.zeros((1, network.model.speaker)) if network.model.speaker else None
    made = network.model.init({"params": keys[0], "prenet": keys[1]}, one[None], one, mel, one, who)
    known = {"frame": jnp.zeros(network.model.mels), "pace": jnp.float32(0.1), "batches": jnp.float32(0)}
    names = batch.get("units_names", np.zeros((network.model.symbols, 1), np.uint8))
    frozen = {"units_names": jnp.asarray(units_run.names(network.model.symbols) if network.run else names)}
    if network.run:
        frozen["hearing"] = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), network.run.shapes)
    if network.vocoder:
        frozen["vocoder"] = network.vocoder.init(keys[0], mel)["params"]
    if network.voice:
        frozen["voice"] = network.voice.init(keys[0], jnp.zeros((1, network.samples)))["frozen"]
        known["voice"] = jnp.zeros(network.model.speaker)
    return {"params": {"speech": made["params"]}, "state": {"net": made["state"], "known": known}, "frozen": frozen}


def fill(network: Network, weights: str, vocoder: str, variables: Variables, constants: Constants) -> Variables:
    """The published weights, where paths of them are given, and the weights of the run whose units they are."""
    del constants
    if network.run:
        variables = {**variables, "frozen": {**variables["frozen"], "hearing": network.run.variables}}
    if weights:
        found = spoken.tacotron2(weights, network.model)
        state = {**variables["state"], "net": found["state"]}
        variables = {**variables, "params": {"speech": found["params"]}, "state": state}
    if network.vocoder:
        found = spoken.hifi_gan(vocoder, network.vocoder)
        variables = {**variables, "frozen": {**variables["frozen"], "vocoder": found["params"]}}
    if network.voice:
        with errors.file_of("config.voice"):
            found = network.voice.fill({"params": {}, "state": {}, "frozen": variables["frozen"]["voice"]})
        variables = {**variables, "frozen": {**variables["frozen"], "voice": found["frozen"]}}
    return variables


def frozen_voice(variables: Variables) -> Any:
    """What `voices` reads."""
    return variables["frozen"]["voice"]


def voices(network: Network, weights: Any, speech: Array) -> dict[str, Array]:
    """Whose voice each recording is, as `saying.voice_of` hears it where it counts: behind its end are zeros."""
    assert network.voice is not None
    own = {"params": {}, "state": {}, "frozen": weights}
    return {"voice": network.voice(own, speech[:, : network.samples])[0]}


# -- what is learned ---------------------------------------------------------------------------------------------------


def heard(network: Network, batch: Batch) -> tuple[Float[Array, "b t m"], Int[Array, " b"], Bool[Array, " b"]]:
    """The true frames as the network writes them, how many are real, and which sentences count."""
    length = jnp.minimum(batch["speech_length"], network.samples)
    fits = (batch["speech_length"] <= network.samples) & (batch["units_length"] <= network.units)
    short = max(0, network.samples - batch["speech"].shape[1])
    sound = jnp.pad(batch["speech"], ((0, 0), (0, short)))[:, : network.samples].astype(jnp.float32) / 32768
    log_mel = (network.spec(sound) - network.mean) / network.scale
    log_mel = jnp.pad(log_mel, ((0, 0), (0, network.frames - log_mel.shape[1]), (0, 0)))
    return log_mel, network.spec.frames(length), fits & batch["valid"]


def loss(
    network: Network,
    variables: Variables,
    batch: Batch,
    key: Key[Array, ""],
    *,
    gate: float,
    positive: float,
    guide: float,
    width: float,
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """Squared errors of frames before and after the postnet, `gate` x the gate's, `guide` x guided attention's."""
    batch = saying.listened(network, variables, batch, network.samples)
    mel, frames, counts = heard(network, batch)
    units, length = saying.said(network, batch)
    own, who = saying.own(variables), saying.who(network, variables, batch)
    keys = jax.random.split(collective.local_key(key))
    out, new = network.model.apply(
        own, units, length, mel, frames, who, train=True, mutable=["state"],
        rngs={"dropout": keys[0], "prenet": keys[1]},
    )  # fmt: skip
    where = jnp.arange(mel.shape[1])[None] < frames[:, None]
    steps = -(-frames // network.model.reduction)
    with errors.section("config.loss"):
        terms = {
            "before": speech.mel_error(out["before"], mel, where),
            "after": speech.mel_error(out["after"], mel, where),
            "gate": gate * speech.gate_error(out["gate"], steps, positive),
            "guide": guide * speech.off_diagonal(out["attention"], steps, length, width),
        }
    means = {name: collective.mean_where(values, counts) for name, values in terms.items()}
    known = follow(variables["state"]["known"], mel, where & counts[:, None], frames, length, counts, network, who)
    value: Any = sum(means.values())
    return value, ({"net": new["state"], "known": known}, means)


def follow(known, mel, where, frames, length, counts, network, who):
    """The mean frame, the seconds of a symbol, and the mean of voices that are heard, of the training split so far."""
    total = jnp.maximum(collective.total(jnp.sum(where, dtype=jnp.float32)), 1.0)
    frame = collective.total(jnp.sum(jnp.where(where[..., None], mel, 0.0), (0, 1))) / total
    symbols = collective.total(jnp.sum(jnp.where(counts, length, 0), dtype=jnp.float32))
    pace = total * (network.spec.hop / network.spec.sample_rate) / jnp.maximum(symbols, 1.0)
    share = 1.0 / (known["batches"] + 1.0)
    means = {"frame": frame, "pace": pace}
    if network.voice:
        count = jnp.maximum(collective.total(jnp.sum(counts, dtype=jnp.float32)), 1.0)
        means["voice"] = collective.total(jnp.sum(who, 0, where=counts[:, None])) / count
    moved = {name: known[name] + (new - known[name]) * share for name, new in means.items()}
    return {**moved, "batches": known["batches"] + 1.0}


def metrics(network: Network, variables: Variables, batch: Batch) -> dict[str, tuple[Array, Array]]:
    """Given the true frames: the squared error of log-mel values beside those of the mean frame and of the last frame
    once more, and the gate's error beside that of a gate which knows the usual length alone."""
    batch = saying.listened(network, variables, batch, network.samples)
    mel, frames, counts = heard(network, batch)
    units, length = saying.said(network, batch)
    who = saying.who(network, variables, batch)
    rngs = {"prenet": jax.random.key(0)}  # the same drops in each look, so that looks can be compared
    own = saying.own(variables)
    out: Any = network.model.apply(own, units, length, mel, frames, who, rngs=rngs)
    where = jnp.arange(mel.shape[1])[None] < frames[:, None]
    steps = -(-frames // network.model.reduction)
    known = variables["state"]["known"]
    r = network.model.reduction
    last = jnp.repeat(jnp.pad(mel, ((0, 0), (1, 0), (0, 0)))[:, :-1:r], r, 1)  # the frame before each step's first
    usual = known["pace"] * length.astype(jnp.float32) * network.spec.sample_rate / (network.spec.hop * r)
    chance = jnp.broadcast_to(-jnp.log(jnp.maximum(usual - 1.0, 1e-3))[:, None], out["gate"].shape)
    square = network.scale**2
    values = {
        "mel_error": square * speech.mel_error(out["after"], mel, where),
        "mel_error/mean_frame": square * speech.mel_error(jnp.broadcast_to(known["frame"], mel.shape), mel, where),
        "mel_error/last_frame": square * speech.mel_error(last, mel, where),
        "gate_error": speech.gate_error(out["gate"], steps),
        "gate_error/usual_length": speech.gate_error(chance, steps),
    }
    count = jnp.sum(counts, dtype=jnp.float32)
    return {name: (jnp.sum(value, where=counts), count) for name, value in values.items()}


# -- what it says ------------------------------------------------------------------------------------------------------


def predict(
    network: Network,
    listeners: Judges,
    variables: Variables,
    batch: Batch,
    key: Key[Array, ""],
    *,
    seconds: float,
    threshold: float,
    n_iter: int,
) -> dict[str, Array]:
    """Each sentence as the network says it: the sound, its frames, where it looked, how it ended.

    Where the batch has the speech, also that; else the columns of `number/spoken` that it gives are 0.
    """
    batch = saying.listened(network, variables, batch)
    units, length = saying.said(network, batch)
    speaking: dict[str, Any] = {"seconds": seconds, "threshold": threshold, "n_iter": n_iter}
    found = saying.speak(network, variables, units, length, saying.who(network, variables, batch), key, **speaking)
    out = {
        "label/ended": found["fired"].astype(jnp.int32),
        "audio/speech": found["sound"],
        "heatmap/mel": jnp.swapaxes(found["log_mel"], 1, 2),
        "heatmap/mel_before": jnp.swapaxes(saying.log_mel_of(network, found["before"], found["frames"]), 1, 2),
        "heatmap/alignment": jnp.swapaxes(found["attention"], 1, 2),
        "number/spoken": measured(network, variables, batch, found),
    }
    if "speech" in batch:
        mel, real, _ = heard(network, {**batch, "valid": jnp.ones(units.shape[0], bool)})
        out["audio/speech_target"] = batch["speech"]
        out["heatmap/mel_target"] = jnp.swapaxes(saying.log_mel_of(network, mel, real), 1, 2)
    judging = judged_speech.there(listeners, variables)
    compared = "speech" in batch and (judging or network.voice is not None)
    recorded = recording(network, variables, batch, seconds, n_iter) if compared else None
    if network.voice and recorded:
        out["number/voice_cosine"] = alike(network, variables, batch, found, *recorded, key)
    return out | (understood(network, listeners, variables, batch, found, recorded, key, **speaking) if judging else {})


def recording(
    network: Network, variables: Variables, batch: Batch, seconds: float, n_iter: int
) -> tuple[Float[Array, "b time"], Int[Array, " b"], Float[Array, "b time"]]:
    """The true recordings, no longer than the network may speak, how many samples are real, and their frames made sound
    again, which is as well as it can be said."""
    most = round(seconds * network.spec.sample_rate)
    sound = batch["speech"][:, :most].astype(jnp.float32) / 32768
    length = jnp.minimum(batch["speech_length"], most)
    frames = network.spec.frames(length)
    return sound, length, saying.sound_of(network, variables, network.spec(sound), frames, n_iter)


def alike(
    network: Network,
    variables: Variables,
    batch: Batch,
    found: Mapping[str, Array],
    sound: Float[Array, "b time"],
    length: Int[Array, " b"],
    again: Float[Array, "b time"],
    key: Key[Array, ""],
) -> Float[Array, "b voices"]:
    """How close to the voice of each recording that of what was said is, cosine: columns of VOICES."""
    hear = functools.partial(saying.voice_of, network, variables)
    own = hear(sound, length)
    frames, another = network.spec.frames(length), partners(batch["valid"], jax.random.fold_in(key, 1))
    others = (
        hear(found["sound"], found["frames"] * network.spec.hop),
        own[another],
        jnp.broadcast_to(saying.mean_voice(variables), own.shape),
        hear(again, frames * network.spec.hop),
    )
    return jnp.stack([jnp.sum(own * other, -1) for other in others], 1)


def measured(
    network: Network, variables: Variables, batch: Batch, found: Mapping[str, Array]
) -> Float[Array, "b columns"]:
    """The columns of `number/spoken`, of sentences as `saying.speak` gives them."""
    hop, rate, frames = network.spec.hop, network.spec.sample_rate, found["frames"]
    _, length = saying.said(network, batch)
    steps = frames // network.model.reduction
    pace = variables["state"]["known"]["pace"]
    stride = network.model.reduction * hop / rate / pace
    monotone = alignment.monotone(found["attention"], steps, stride)
    whole = alignment.whole(found["attention"], steps, length, stride)
    typical = pace * length.astype(jnp.float32)
    true = batch["speech_length"].astype(jnp.float32) / rate if "speech_length" in batch else jnp.zeros(frames.shape)
    columns = (monotone, whole, found["fired"], frames.astype(jnp.float32) * (hop / rate), true, typical)
    return jnp.stack([jnp.asarray(column, jnp.float32) for column in columns], 1)


def judged(
    network: Network, listeners: Judges, variables: Variables, batch: Batch, found: Mapping[str, Array]
) -> dict[str, Array]:
    """What `score` needs of sentences that were spoken by whomever: see `task.Speaking`."""
    batch = saying.listened(network, variables, batch)
    out = {"number/spoken": measured(network, variables, batch, found)}
    if judged_speech.there(listeners, variables):
        samples = found["frames"] * network.spec.hop
        out |= judged_speech.listen(listeners, variables, "heard", found["audio/speech"], samples)[0]
    return out


def understood(
    network: Network,
    listeners: Judges,
    variables: Variables,
    batch: Batch,
    found: Mapping[str, Array],
    recorded: tuple[Array, Array, Array] | None,
    key: Key[Array, ""],
    **speaking: Any,
) -> dict[str, Array]:
    """What the listener understands of what was said (`speak`), of the true `recording`, and of other voices.

    Each sentence is said once more by the voice of another example, so that the same units by two voices can be
    compared, and two sentences by one voice.
    """
    spec, listen = network.spec, functools.partial(judged_speech.listen, listeners, variables)
    heard, who_says = listen("heard", found["sound"], found["frames"] * spec.hop)
    out = dict(heard)
    if recorded is None:
        return out
    sound, length, again = recorded
    true, who_recorded = listen("heard_in_recording", sound, length)
    out |= true | listen("heard_in_true_frames", again, length)[0]
    who = saying.who(network, variables, batch)
    if who is not None:
        units, count = saying.said(network, batch)
        another = partners(batch["valid"], jax.random.fold_in(key, 1))
        other = saying.speak(network, variables, units, count, who[another], key, **speaking)
        out |= listen("heard_by_another_voice", other["sound"], other["frames"] * spec.hop)[0]
        out |= judged_speech.of_rows(heard, another, "heard", "heard_of_another_sentence")
        if who_says is not None and who_recorded is not None and network.who:
            out["number/voices"] = jnp.stack([who, who_says, who_recorded], 1)
    return out


def score(predictions: Mapping[str, np.ndarray], references: Mapping[str, np.ndarray]) -> Figures:
    """How sentences are spoken: in order, wholly, ended by the gate, and by how many seconds the length is wrong.

    Beside: an attention that never moves, which is in order, too; a gate that opens at once; the pace of the training
    split times the sentence's symbols. How close the voice is to the recording's, beside that of another recording,
    the mean voice, and the true frames made sound again, which no network beats. And what a listener understands, where
    one listens: `judged_speech.score`.
    """
    spoken = dict(zip(SPOKEN, predictions["number/spoken"].T))
    true = spoken["true_seconds"]
    figures = {f"attention_{name}": float(np.mean(spoken[name])) for name in ("monotone", "whole")}
    figures |= {"attention_monotone/never_moves": 1.0, "attention_whole/never_moves": 0.0}
    figures |= {"gate_fired": float(np.mean(spoken["fired"])), "gate_fired/at_once": 1.0}
    figures["length_error"] = float(np.mean(np.abs(spoken["seconds"] - true)))
    figures["length_error/usual_pace"] = float(np.mean(np.abs(spoken["typical_seconds"] - true)))
    if "number/voice_cosine" in predictions:
        cosines = np.mean(predictions["number/voice_cosine"], 0)
        figures |= {f"voice_cosine{suffix}": float(cosine) for suffix, cosine in zip(VOICES, cosines, strict=True)}
    return figures | judged_speech.score(predictions, references)


def ask(network: Network, text: str, variables: Variables, constants: Constants) -> tuple[Batch, tuple[str, ...]]:
    """What a user typed: names of units with spaces between, or letters where the data set's symbols are letters."""
    spelled = {**constants, **variables.get("frozen", {})}.get("units_names")  # an export has no variables
    names = () if spelled is None else symbols.names(np.asarray(spelled))
    found = symbols.numbers(text, names, network.model.symbols)
    if len(found) > network.units:
        raise UserError(f"{text!r:.60} has {len(found)} symbols: this run reads at most {network.units}")
    units = np.zeros((1, network.units), np.int32)
    units[0, : len(found)] = found
    return {"units": units, "units_length": np.array([len(found)], np.int32)}, ()
