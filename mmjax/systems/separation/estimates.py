"""Estimates and their figures: of the right picture, of others, and of masks that know the truth."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.metrics.separation import assignment, signal_ratio
from mmjax.ops.sound import complex_masks, source_masks
from mmjax.systems.separation.listening import Mixture
from mmjax.systems.separation.networks import Networks
from mmjax.task import Batch, Variables

RIGHT = "right"
COMPLEX_MOST = 5.0  # of either part of the ideal complex mask: VisualVoice's bound
Estimates = dict[str, Float[Array, "g n time"]]


def of(networks: Networks, variables: Variables, batch: Batch, mixture: Mixture) -> tuple[Estimates, Array]:
    """{whose: estimates} and the right masks [g n f t].

    "right"; of a network that sees also "absent_picture" (of a class that is not in the mixture), "swapped_picture"
    (that of another clip of the mixture) and "black_picture".
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
    other, _ = absent(networks, batch, mixture)
    pictures = {
        RIGHT: own,
        "absent_picture": jnp.broadcast_to(vectors[other][:, None], own.shape),
        "swapped_picture": jnp.roll(own, 1, 1),
        "black_picture": jnp.broadcast_to(black[None], own.shape),
    }
    found = {name: networks.masks(networks.ask(variables, maps, asked)) for name, asked in pictures.items()}
    return {name: sound.masked(spectrum, masks, time) for name, masks in found.items()}, found[RIGHT]


def oracles(networks: Networks, mixture: Mixture) -> Estimates:
    """What masks of each kind could reach: binary and ratio on the network's axis, complex on the bins themselves."""
    sound, time = networks.sound, mixture.parts.shape[-1]
    whole, parts = sound.spectrum(mixture.sound), sound.spectrum(mixture.parts)
    magnitudes = sound.magnitude(parts)
    mask = complex_masks.ideal_complex(parts, jnp.broadcast_to(whole[:, None], parts.shape))
    bounded = complex_masks.clipped(mask, COMPLEX_MOST)
    return {
        "ideal_binary_mask": sound.masked(whole, source_masks.ideal_binary(magnitudes), time),
        "ideal_ratio_mask": sound.masked(whole, source_masks.ideal_ratio(magnitudes), time),
        "ideal_complex_mask": sound.waveform(bounded * whole[:, None], time),
    }


def absent(networks: Networks, batch: Batch, mixture: Mixture) -> tuple[Int[Array, " g"], Bool[Array, " g"]]:
    """For each mixture a clip of the batch whose class is none of its clips', the next one; and whether there is one.

    Where there are no classes, the next clip of another mixture.
    """
    rows = len(batch["valid"])
    order = (mixture.places[:, -1:] + 1 + jnp.arange(rows, dtype=jnp.int32)[None]) % rows  # g rows
    own = order[:, :, None] == mixture.places[:, None]
    if networks.classes:
        kinds = batch[networks.classes]
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
