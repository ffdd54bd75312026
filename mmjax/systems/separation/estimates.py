"""Estimates and their figures: of the right picture, of others, and of masks that know the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from ml_collections import ConfigDict

from mmjax.errors import section
from mmjax.metrics.separation import alignment, assignment, bss_eval, signal_ratio
from mmjax.ops.sound import complex_masks, source_masks
from mmjax.ops.sound.pitch import median_pitch
from mmjax.systems.separation.listening import Mixture, Sound
from mmjax.systems.separation.networks import Networks
from mmjax.task import Batch, Variables

RIGHT = "right"
COMPLEX_MOST = 5.0  # of either part of the ideal complex mask: VisualVoice's bound
RATIOS = ("sdr", "sir", "sar")
JUDGED = ("estimate", "mixture", "ideal_ratio_mask")  # whose ratios are taken: they cost more than SI-SDR
LEVELS_DB = (-10.0, -5.0, 5.0, 10.0)  # of one clip above the other, at which the test is repeated
VOICES_HERTZ, THINGS_HERTZ = 400.0, 2000.0  # up to which the pitch of either is looked for
FLOOR_DB = -30.0  # what a silent estimate counts
Estimates = dict[str, Float[Array, "g n time"]]


def of(
    networks: Networks, variables: Variables, batch: Batch, mixture: Mixture, others: bool = True
) -> tuple[Estimates, Array]:
    """{whose: estimates} and the right masks [g n f t].

    "right"; with `others`, of a network that sees, also "absent_picture" (of a class that is not in the mixture),
    "swapped_picture" (that of another clip of the mixture) and "black_picture".
    """
    sound, time = networks.sound, mixture.parts.shape[-1]
    spectrum = sound.spectrum(mixture.sound)
    maps, _ = networks.hear(variables, sound.magnitude(spectrum))
    if networks.encoder is None:
        masks = networks.masks(networks.ask(variables, maps, maps))
        waves = sound.masked(spectrum, masks, time)
        order = assignment.best_order(signal_ratio.si_sdr(mixture.parts[:, None], waves[:, :, None]))
        masks = jnp.take_along_axis(masks, order[:, :, None, None], 1)
        return {RIGHT: assignment.ordered(waves, order)}, masks
    vectors, _ = networks.see(variables, batch)
    black, _ = networks.see(variables, {networks.vision: jnp.zeros_like(batch[networks.vision][:1])})
    own = vectors[mixture.places]
    other, _ = absent(networks.classes, batch, mixture)
    pictures = {
        RIGHT: own,
        "absent_picture": jnp.broadcast_to(vectors[other][:, None], own.shape),
        "swapped_picture": jnp.roll(own, 1, 1),
        "black_picture": jnp.broadcast_to(black[None], own.shape),
    }
    pictures = pictures if others else {RIGHT: own}

    def separated(vectors: Float[Array, "g n k"]) -> tuple[Array, Array]:
        masks = networks.masks(networks.ask(variables, maps, vectors))
        return sound.masked(spectrum, masks, time), masks

    waves, masks = jax.lax.map(separated, jnp.stack(list(pictures.values())))  # one program for all
    return dict(zip(pictures, waves, strict=True)), masks[0]


def oracles(sound: Sound, mixture: Mixture) -> Estimates:
    """What masks of each kind could reach: binary and ratio on the network's axis, complex on the bins themselves."""
    time, sources = mixture.parts.shape[-1], mixture.parts.shape[1]
    whole, every = sound.spectrum(mixture.sound), sound.spectrum(mixture.every)
    magnitudes, parts = sound.magnitude(every), every[:, :sources]
    mask = complex_masks.ideal_complex(parts, jnp.broadcast_to(whole[:, None], parts.shape))
    bounded = complex_masks.clipped(mask, COMPLEX_MOST)
    return {
        "ideal_binary_mask": sound.masked(whole, source_masks.ideal_binary(magnitudes)[:, :sources], time),
        "ideal_ratio_mask": sound.masked(whole, source_masks.ideal_ratio(magnitudes)[:, :sources], time),
        "ideal_complex_mask": sound.waveform(bounded * whole[:, None], time),
    }


def absent(classes: str, batch: Batch, mixture: Mixture) -> tuple[Int[Array, " g"], Bool[Array, " g"]]:
    """For each mixture a clip of the batch whose class is none of its clips', the next one; and whether there is one.

    Where `classes`, their field, is "", the next clip of another mixture.
    """
    rows = batch["valid"].shape[0]
    order = (mixture.places[:, -1:] + 1 + jnp.arange(rows, dtype=jnp.int32)[None]) % rows  # g rows
    own = order[:, :, None] == mixture.places[:, None]
    if classes:
        kinds = batch[classes]
        own |= kinds[order][:, :, None] == kinds[mixture.places][:, None]
    free = batch["valid"][order] & ~jnp.any(own, -1)
    at = jnp.argmax(free, -1)
    return jnp.take_along_axis(order, at[:, None], 1)[:, 0], jnp.any(free, -1)


def ratio(parts: Float[Array, "g n time"], estimate: Float[Array, "g m time"]) -> Float[Array, "g n"]:
    """SI-SDR in dB of each part's estimate; of the mixture, one for all parts."""
    return signal_ratio.si_sdr(parts, jnp.broadcast_to(estimate, parts.shape))


def improvement(mixture: Mixture, estimate: Float[Array, "g n time"]) -> Float[Array, "g n"]:
    """SI-SDR above that of the mixture itself, in dB."""
    return signal_ratio.improvement(ratio(mixture.parts, estimate), ratio(mixture.parts, mixture.sound[:, None]))


def by_level(
    listed: Callable[[Array], Mixture], separated: Callable[[Mixture], Float[Array, "g 2 time"]], even: Array
) -> Float[Array, "g 2 5"]:
    """The improvement where a clip is -10, -5, 0, 5 and 10 dB louder than the other one.

    Args:
      listed: (by how many dB the first clip is louder) -> mixtures of two.
      separated: the right estimates of mixtures.
      even: the improvement at 0 dB, [g 2].
    """

    def repeated(decibels: Array) -> Array:
        mixture = listed(decibels)
        return jnp.where(mixture.there[:, None], improvement(mixture, separated(mixture)), jnp.nan)

    others = jax.lax.map(repeated, jnp.asarray(LEVELS_DB, jnp.float32))  # one program for all levels
    below = len(LEVELS_DB) // 2
    every = jnp.concatenate([others[:below], even[None], others[below:]])  # 5 g 2
    # Where the first is louder by so much, the second is softer by as much.
    return jnp.stack([every[:, :, 0].T, every[::-1, :, 1].T], 1)


def pitch_apart(sound: Sound, mixture: Mixture, highest: float) -> Float[Array, "g 2"]:
    """By how many semitones the two clips of each mixture differ in pitch; not a number where one has none.

    Args:
      sound: how the clips are heard.
      mixture: of two.
      highest: pitch that is looked for, in Hz.
    """
    pitch = median_pitch(mixture.parts, sound.rate, highest=min(highest, sound.rate / 4))
    apart = jnp.abs(jnp.log2(pitch[:, :1] / pitch[:, 1:])) * 12
    return jnp.broadcast_to(apart, pitch.shape)


def distortions(sound: Sound, mixture: Mixture, estimate: Float[Array, "g n time"], taps: int) -> dict[str, Array]:
    """{"number/bss_<whose>": SDR, SIR and SAR in dB [g n 3]} of `JUDGED`, an estimate that is early aligned first.

    Args:
      sound: how the oracle hears.
      mixture: with its true parts.
      estimate: of each part.
      taps: of the distortion that is forgiven, see `bss_eval.bss_eval`; 0: no ratios.
    """
    if not taps:
        return {}
    ideal = oracles(sound, mixture)["ideal_ratio_mask"]
    parts, (g, n, _) = mixture.parts, estimate.shape
    judged = [alignment.aligned(parts, estimate), jnp.broadcast_to(mixture.sound[:, None], parts.shape), ideal]
    found = bss_eval.bss_eval(parts, jnp.concatenate(judged, 1), taps)
    own = jnp.arange(n, dtype=jnp.int32)
    ratios = jnp.stack([found[name].reshape(g, len(JUDGED), n, n)[:, :, own, own] for name in RATIOS], -1)
    ratios = jnp.where(mixture.there[:, None, None, None], jnp.maximum(ratios, FLOOR_DB), jnp.nan)
    return {f"number/bss_{name}": ratios[:, i] for i, name in enumerate(JUDGED)}


def taps_of(config: ConfigDict) -> int:
    """config.bss_taps; 0, of a run from before there was any. Raises OptionError for a number that `distortions` cannot
    take, and not after the training."""
    taps = config.get("bss_taps", 0)
    if taps:
        with section("config", taps="config.bss_taps"):
            bss_eval.check(taps)
    return int(taps)


def score(predictions: Mapping[str, Any], references: Mapping[str, Any]) -> dict[str, float]:
    """The means of the ratios of `distortions` over a split, each beside the mixture's and the ideal ratio mask's.

    The mixture's SAR says nothing: nothing was added to it.
    """
    del references
    figures = {}
    for whose in JUDGED:
        rows = np.asarray(predictions.get(f"number/bss_{whose}", np.zeros((0, len(RATIOS)))), np.float64)
        for name, values in zip(RATIOS, rows.T, strict=True):
            known = values[np.isfinite(values)]
            if known.size:  # a voice in noise has nobody else's sound in it, and no finite SIR
                figures[name if whose == "estimate" else f"{name}/{whose}"] = float(known.mean())
    return figures
