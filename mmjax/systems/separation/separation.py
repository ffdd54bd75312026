"""Sound of Pixels: the picture of a thing picks its sound out of a mixture (Zhao et al. 2018, "The Sound of Pixels").

Mix and separate: clips of which each shows and sounds one thing are added up, and the network, told by a picture, is
to give back that part. The same network without pictures learns with a loss that does not mind the order of its masks
(Yu et al. 2017, "Permutation Invariant Training") and is compared with: config.network = "audio_only".
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float
from ml_collections import ConfigDict

from mmjax.errors import OptionError, section
from mmjax.known import encoders, sound_of_pixels
from mmjax.known.network import Network
from mmjax.metrics.separation import assignment, signal_ratio
from mmjax.ops import collective
from mmjax.ops.sound import chunks, source_masks
from mmjax.systems.separation import (
    consistency,
    estimates,
    listening,
    networks,
    reference_voice,
    speakers,
    visual_voice,
    voices,
)
from mmjax.systems.separation.listening import Mixture
from mmjax.systems.separation.networks import GROUP, Networks
from mmjax.task import Batch, Constants, Features, Figures, Task, Update, Variables, bind


def build(config: ConfigDict) -> Task:
    """The task of a config with sections sound, mixing, encoder, model and loss; or that of voices, see
    `voices.task`, `reference_voice.task` and `consistency.task`.

    Raises OptionError for a network that there is none of, and see `networks.make`.
    """
    if reference_voice.named(config):
        return reference_voice.task(config)
    if config.network in speakers.NETWORKS:
        return voices.task(config)
    if config.network == visual_voice.NETWORK:
        return consistency.task(config)
    made = networks.make(config)
    needs = (bind(sound_of_pixels.check, config.released),) if config.released else ()
    encoder = made.encoder
    if encoder is not None:
        needs = (*needs, bind(Network.check, encoder))
    frozen = encoder is not None and not encoder.trained and made.vision == "image"
    seen_once = Features("image", bind(encoders.parts, group=GROUP), bind(encoders.features, encoder))
    kinds = (made.classes,) if made.classes else ()
    if config.chunk.seconds <= 0 or not 0 <= config.chunk.overlap <= 0.5:
        raise OptionError("config.chunk", "needs seconds above 0 and an overlap of 0 to 0.5")
    return Task(
        # Whoever has an index has a clip of a listed mixture; a user's sound is the mixture itself.
        fields=(*made.sees, "waveform", "waveform_length", *kinds, "index"),
        init=bind(Networks.init, made),
        fill=bind(fill, made, config.released),
        needs=needs,
        updates=(Update(GROUP, bind(loss, made)),),
        metrics=bind(metrics, made),
        predict=bind(predict, made, **config.chunk, taps=estimates.taps_of(config)),
        score=estimates.score,
        predicts_from=(*made.sees, "waveform", "waveform_length"),
        modalities={"sound": ("waveform",)} | ({"picture": made.sees} if made.sees else {}),
        features=seen_once if frozen else None,
        names={"source": made.classes} if made.classes else {},
        whole=True,  # it has its own chunks, which fade into each other
        answers=("audio/estimate",) if made.sees else tuple(f"audio/estimate{i + 1}" for i in range(made.unet.maps)),
        headline=("si_sdr_improvement",),
    )


def fill(made: Networks, released: str, variables: Variables, constants: Constants) -> Variables:
    """The published weights: of the picture network, or of all three."""
    del constants
    if made.encoder is not None:
        with section("config.encoder"):
            variables = encoders.placed(variables, GROUP, made.encoder.fill(encoders.parts(variables, GROUP)))
    return sound_of_pixels.placed(variables, GROUP, released, made.unet) if released else variables


def loss(
    made: Networks, variables: Variables, batch: Batch, key: Array
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """The mean penalty of the masks of all clips of a mixture for each clip, and how many clips were silent.

    Masks are compared on the network's axis of frequency, as in the official code. Without pictures the order of the
    masks is that of the least loss.
    """
    mixture = listening.trained(made.sound, made.mixing, made.classes, batch, key)
    whole, targets = target(made, mixture)
    maps, heard = made.hear(variables, whole, train=True)
    state = {**variables["state"], "sound": heard}
    if made.encoder is None:
        logits = made.ask(variables, maps, maps)
        values = penalty(made, logits[:, :, None], targets[:, None], whole[:, None, None])  # g masks clips
        value = assignment.in_order(values, assignment.best_order(-jax.lax.stop_gradient(values)))
    else:
        vectors, seen = made.see(variables, batch, train=True)
        value = penalty(made, made.ask(variables, maps, vectors[mixture.places]), targets, whole[:, None])
        state |= seen if seen else {}
    mean = collective.mean_where(jnp.mean(value, -1), mixture.there)
    count = jnp.sum(mixture.there, dtype=jnp.float32)
    return mean, (state, {"silent_clips": mixture.silent, "mixtures": count})


def target(made: Networks, mixture: Mixture) -> tuple[Float[Array, "g f t"], Float[Array, "g n f t"]]:
    """The magnitude of mixtures and the masks to learn, on the network's axis."""
    whole, parts = (made.sound.magnitude(made.sound.spectrum(x)) for x in (mixture.sound, mixture.parts))
    if made.mask == "binary":
        return whole, source_masks.binary(parts, whole[:, None])
    # A sigmoid says no more than 1: where phases cancel, all of the mixture is as near as it comes.
    return whole, source_masks.ratio(parts, whole[:, None], 1.0)


def penalty(made: Networks, logits: Array, targets: Array, whole: Array) -> Array:
    """The mean over places [... f t] of what masks cost; the axes in front broadcast against each other's."""
    if made.penalty == "bce":
        values = optax.sigmoid_binary_cross_entropy(logits, targets)
    else:
        apart = jax.nn.sigmoid(logits) - targets
        values = jnp.abs(apart) if made.penalty == "l1" else jnp.square(apart)
    return jnp.mean(values * source_masks.weights(whole, made.weight), (-2, -1))


# -- figures -----------------------------------------------------------------------------------------------------------


def metrics(made: Networks, variables: Variables, batch: Batch) -> Figures:
    """SI-SDR in dB of listed mixtures, and how much that is above the mixture's own, beside other pictures and oracles.

    Each clip counts once; one that is silent, and whoever is mixed with it, not at all.
    """
    mixture = listening.listed(made.sound, made.mixing, batch)
    found, _ = estimates.of(made, variables, batch, mixture)
    right, there = found.pop(estimates.RIGHT), mixture.there
    before = estimates.ratio(mixture.parts, mixture.sound[:, None])
    figures = {
        "si_sdr": _mean(estimates.ratio(mixture.parts, right), there),
        "si_sdr/mixture": _mean(before, there),
        "si_sdr_improvement": _mean(estimates.improvement(mixture, right), there),
        "si_sdr_improvement/mixture": _mean(jnp.zeros_like(before), there),
    }
    for name, waves in {**found, **estimates.oracles(made.sound, mixture)}.items():
        where = there & estimates.absent(made.classes, batch, mixture)[1] if name == "absent_picture" else there
        figures[f"si_sdr_improvement/{name}"] = _mean(estimates.improvement(mixture, waves), where)
    return figures


def _mean(value: Float[Array, "g n"], where: Bool[Array, " g"]) -> tuple[Array, Array]:
    return signal_ratio.mean_of(value, jnp.broadcast_to(where[:, None], value.shape))


# -- predictions -------------------------------------------------------------------------------------------------------


def predict(
    made: Networks, variables: Variables, batch: Batch, key: Array, *, seconds: float, overlap: float, taps: int
) -> dict[str, Array]:
    """Of each clip of a listed mixture what its picture picks out of it; of a user's sound, what his picture does.

    Args:
      seconds: of a chunk, in which a longer sound is separated.
      overlap: share of a chunk that it has in common with the next.
      taps: of the filters of SDR, SIR and SAR, a multiple of 64, 512 in the field; 0: none of these.
    """
    del key
    if "index" not in batch:
        return of_user(made, variables, batch, seconds, overlap)
    rows = batch["valid"].shape[0]
    mixture = listening.listed(made.sound, made.mixing, batch)
    found, masks = estimates.of(made, variables, batch, mixture)
    right = found[estimates.RIGHT]
    whole, _ = target(made, mixture)
    ideal = source_masks.ideal_ratio(made.sound.magnitude(made.sound.spectrum(mixture.parts)))
    heard = {
        "mixture": jnp.broadcast_to(mixture.sound[:, None], mixture.parts.shape),
        "estimate": right,
        "estimate_target": mixture.parts,
        **({"absent_picture": found["absent_picture"]} if "absent_picture" in found else {}),
    }
    out = {f"audio/{name}": listening.samples(listening.by_row(waves, rows)) for name, waves in heard.items()}
    drawn = {
        "spectrogram": listening.decibels(jnp.broadcast_to(whole[:, None], masks.shape)),
        "mask": masks,
        "mask_target": ideal,
    }
    out |= {f"heatmap/{name}": listening.by_row(values, rows) for name, values in drawn.items()}
    ratios = estimates.distortions(made.sound, mixture, right, taps)
    out |= {name: listening.by_row(values, rows) for name, values in ratios.items()}
    improved = jnp.where(mixture.there[:, None], estimates.improvement(mixture, right), jnp.nan)
    out["number/si_sdr_improvement"] = listening.by_row(improved, rows)
    if made.classes:
        mixed = batch[made.classes][mixture.places]  # g n
        turned = jnp.stack([jnp.roll(mixed, -i, 1) for i in range(mixed.shape[1])], -1)  # its own first
        out["number/mixed_classes"] = listening.by_row(turned, rows).astype(jnp.int32)
    if made.mixing.sources == 2:
        levels = estimates.by_level(
            lambda first_db: listening.listed(made.sound, made.mixing, batch, first_db),
            lambda mixture: estimates.of(made, variables, batch, mixture, others=False)[0][estimates.RIGHT],
            improved,
        )
        apart = estimates.pitch_apart(made.sound, mixture, estimates.THINGS_HERTZ)
        out["number/improvement_by_level"] = listening.by_row(levels, rows)
        out["number/pitch_apart"] = listening.by_row(apart, rows)
    if made.sees:
        out["image/picture"] = made.frames(batch)[:, batch[made.vision].shape[1] // 2 if made.vision == "frames" else 0]
    return out


def of_user(made: Networks, variables: Variables, batch: Batch, seconds: float, overlap: float) -> dict[str, Array]:
    """What the picture of each row picks out of its sound, of any length and at that sound's level.

    The network hears it at the level of training's mixtures.
    """
    sound = made.sound
    waves = sound.heard(batch["waveform"])
    factor = made.mixing.to_level(waves)
    vectors = made.see(variables, batch)[0][:, None] if made.sees else jnp.zeros(())

    def separated(waves: Float[Array, "b time"], start: Array) -> Float[Array, "b n time"]:
        del start
        spectrum = sound.spectrum(waves)
        maps, _ = made.hear(variables, sound.magnitude(spectrum))
        return sound.masked(spectrum, made.masks(made.ask(variables, maps, vectors)), waves.shape[-1])

    length = max(round(seconds * sound.rate), sound.n_fft)
    found = chunks.overlap_added(separated, waves * factor, length, int(overlap * length)) / factor[:, None]
    found = sound.given(found, batch["waveform"].shape[-1])
    if made.sees:
        return {"audio/estimate": listening.samples(found[:, 0])}
    return {f"audio/estimate{i + 1}": listening.samples(found[:, i]) for i in range(found.shape[1])}
