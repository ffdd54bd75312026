"""Sentences as Tacotron 2 says them: the network with its frames, and from units or letters to sound.

What trains it is `tacotron2`; a chain that speaks needs no more than this.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Key, Num
from ml_collections import ConfigDict

from mmjax import errors
from mmjax.errors import OptionError
from mmjax.known import speaker as encoders
from mmjax.known.network import Network as Known
from mmjax.known.units_run import UnitsRun
from mmjax.models.sound import speaker_encoder
from mmjax.models.sound.hifi_gan import HiFiGAN
from mmjax.models.sound.tacotron2 import Tacotron2
from mmjax.ops.sound import speech_mel
from mmjax.ops.sound.speech_mel import SpeechMel
from mmjax.ops.vectors import unit
from mmjax.task import Batch, Variables

MIDDLE = 0.5  # of each factor of a voice


@dataclasses.dataclass(frozen=True)
class Network:
    """The network, the frames that it writes, and which sentences it learns from.

    Attributes:
      model: see `Tacotron2`.
      spec: of the frames.
      vocoder: what makes sound of them; Griffin-Lim where None.
      mean, scale: of log-mel values: the network writes (log mel - mean) / scale.
      seconds: the longest sentence that counts.
      units: the most symbols that a sentence which counts has.
      run: whose units they are, heard in the speech; None for the symbols that the data knows.
      voice: hears in the speech who speaks; None where the data knows it, or there is one voice.
    """

    model: Tacotron2
    spec: SpeechMel
    vocoder: HiFiGAN | None
    mean: float
    scale: float
    seconds: float
    units: int
    run: UnitsRun | None = None
    voice: Known | None = None

    @property
    def who(self) -> tuple[str, ...]:
        """What the data must say of who speaks."""
        return ("speaker",) if self.model.speaker and self.voice is None else ()

    @property
    def fields(self) -> tuple[str, ...]:
        """What says what is said."""
        return ("speech", "speech_length") if self.run else ("units", "units_length")

    @property
    def frames(self) -> int:
        """Of the longest sentence: a multiple of the reduction."""
        return -(-(self.spec.frames(self.samples)) // self.model.reduction) * self.model.reduction

    @property
    def samples(self) -> int:
        """Of the longest sentence."""
        return round(self.seconds * self.spec.sample_rate)


def network_of(config: ConfigDict, run: UnitsRun | None = None) -> Network:
    """The network of a config's sections model, frames, sentences and its fields vocoder and voice, whose symbols are a
    run's units where one is given."""
    named = config.get("voice", "")  # absent in runs from before it
    voice = encoders.encoder(named, "config.voice") if named else None
    sizes = {**({"symbols": run.encoder.codes} if run else {}), **({"speaker": speaker_encoder.UNITS} if voice else {})}
    with errors.section("config.model"):
        model = Tacotron2(**{**config.model, **sizes}).checked()
    vocoder = HiFiGAN(model.mels) if config.vocoder else None
    network = Network(model, SpeechMel(**config.frames), vocoder, **config.sentences, run=run, voice=voice)
    if voice and network.spec.sample_rate != speaker_encoder.FROM:
        wanted = f"is {network.spec.sample_rate}: config.voice={named!r} hears {speaker_encoder.FROM}"
        raise OptionError("config.frames.sample_rate", wanted)
    if vocoder and vocoder.hop != network.spec.hop:
        raise OptionError("config.vocoder", f"makes {vocoder.hop} samples of a frame, config.frames {network.spec.hop}")
    if network.scale <= 0 or network.seconds <= 0 or network.units < 1:
        raise OptionError("config.sentences", "scale and seconds must be above 0, units at least 1")
    return network


def steps(network: Network, seconds: float) -> int:
    """How many steps it takes to speak for so long, at least 1."""
    return max(1, int(seconds * network.spec.sample_rate / (network.spec.hop * network.model.reduction)))


def listened(network: Network, variables: Variables, batch: Batch, samples: int | None = None) -> Batch:
    """The batch with what is heard in its speech: units, where they are a run's, and whose voice it is, where an
    encoder hears that; as it was where there is no speech.

    Args:
      samples: of the speech that are heard; None for all.
    """
    if "speech" not in batch or (network.run is None and network.voice is None):
        return batch
    speech = batch["speech"][:, :samples]
    length = jnp.clip(batch["speech_length"], 1, speech.shape[1])
    found = dict(batch)
    if network.run:
        heard = network.run.units(variables["frozen"]["hearing"], speech, length, network.units)
        found |= dict(zip(("units", "units_length"), heard))
    if network.voice:
        stored = batch.get("speech_voice")  # of the training split, computed once
        found["voice"] = voice_of(network, variables, speech, length) if stored is None else stored
    return found


def voice_of(
    network: Network, variables: Variables, speech: Num[Array, "b time"], length: Int[Array, " b"]
) -> Float[Array, "b k"]:
    """What `network.voice` hears in sounds of so many samples, whatever lies behind."""
    assert network.voice is not None
    real = jnp.where(jnp.arange(speech.shape[1])[None] < length[:, None], speech, jnp.zeros((), speech.dtype))
    return network.voice({"params": {}, "state": {}, "frozen": variables["frozen"]["voice"]}, real)[0]


def said(network: Network, batch: Batch) -> tuple[Int[Array, "b u"], Int[Array, " b"]]:
    """Symbols, cut or filled to as many as count, and how many are real."""
    units = batch["units"][:, : network.units]
    units = jnp.pad(units, ((0, 0), (0, network.units - units.shape[1])))
    return units, jnp.clip(batch["units_length"], 1, network.units)


def who(network: Network, variables: Variables, batch: Batch) -> Float[Array, "b k"] | None:
    """Who speaks, of a batch that is `listened` to; the middle of all voices where nobody is named, None where there is
    one voice."""
    if not network.model.speaker:
        return None
    if (field := "voice" if network.voice else "speaker") in batch:
        return batch[field]
    middle = mean_voice(variables) if network.voice else jnp.full(network.model.speaker, MIDDLE, jnp.float32)
    return jnp.broadcast_to(middle, (next(iter(batch.values())).shape[0], network.model.speaker))


def mean_voice(variables: Variables) -> Float[Array, " k"]:
    """The mean of what `Network.voice` heard in training, of length 1 as each of them is."""
    return unit(variables["state"]["known"]["voice"])


def own(variables: Variables) -> dict[str, Any]:
    """What the network itself reads."""
    return {"params": variables["params"]["speech"], "state": variables["state"]["net"]}


def speak(
    network: Network,
    variables: Variables,
    units: Int[Array, "b u"],
    length: Int[Array, " b"],
    speaker: Float[Array, "b k"] | None,
    key: Key[Array, ""],
    *,
    seconds: float,
    threshold: float,
    n_iter: int,
) -> dict[str, Array]:
    """Sentences as the network says them: see `Tacotron2.speak`; also "log_mel" [b t m], and "sound" [b time]."""
    limits: dict[str, Any] = {"steps": steps(network, seconds), "threshold": threshold, "rngs": {"prenet": key}}
    found: Any = network.model.apply(own(variables), units, length, speaker, method="speak", **limits)
    log_mel = log_mel_of(network, found["after"], found["frames"])
    return {**found, "log_mel": log_mel, "sound": sound_of(network, variables, log_mel, found["frames"], n_iter)}


def sound_of(
    network: Network, variables: Variables, log_mel: Float[Array, "b t m"], frames: Int[Array, " b"], n_iter: int
) -> Float[Array, "b time"]:
    """The sound of log-mel frames, -1..1."""
    if network.vocoder:
        sound: Any = network.vocoder.apply({"params": variables["frozen"]["vocoder"]}, log_mel)
    else:
        sound = speech_mel.from_log_mel(log_mel, frames, network.spec, n_iter=n_iter).waveform
    return jnp.clip(sound, -1.0, 1.0)


def log_mel_of(network: Network, written: Float[Array, "b t m"], frames: Int[Array, " b"]) -> Float[Array, "b t m"]:
    """What the network wrote as log-mel frames, silence behind each end."""
    floor = jnp.log(jnp.float32(network.spec.floor))
    where = jnp.arange(written.shape[1])[None, :, None] < frames[:, None, None]
    return jnp.where(where, written * network.scale + network.mean, floor)
