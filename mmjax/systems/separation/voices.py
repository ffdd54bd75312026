"""Looking to Listen: a speaker's face picks his voice out of a mixture (Ephrat et al. 2018).

Voices are mixed from the key, and the network is to give each one back, told by the faces in what order. The same
network with zeros in the place of faces learns with a loss that does not mind the order (Yu et al. 2017), and is
compared with: config.network = "voices_only".

The loss is the paper's, the squared error of power-law spectra; the mask is of these spectra, too, where the paper does
not say. Frames are centred on multiples of the hop, with silence around the clip, so that its ends are under whole
windows: 301 frames of 3 s, and not 298.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int
from ml_collections import ConfigDict

from mmjax.errors import section
from mmjax.known import encoders
from mmjax.known.network import Network
from mmjax.metrics.separation import assignment, signal_ratio, speech
from mmjax.ops import collective
from mmjax.ops.sound import chunks, source_masks
from mmjax.ops.sound.pitch import median_pitch
from mmjax.systems.separation import estimates, listening, quality, speakers
from mmjax.systems.separation.estimates import RIGHT
from mmjax.systems.separation.listening import Mixture
from mmjax.systems.separation.networks import GROUP
from mmjax.systems.separation.speakers import VOICES, Separator, Speakers
from mmjax.task import Batch, Constants, Figures, Task, Update, Variables, bind

OVERLAP = 0.25  # of the chunks of a user's film, each as long as training's clips
CLOSE = 1.05  # of one pitch to another, below which two voices are as good as of one pitch


def task(config: ConfigDict) -> Task:
    """The task of a config with sections sound, mixing, faces and model."""
    made = speakers.make(config)
    learned = task_of(made, config, bind(fill, made), bind(loss, made), ())
    if made.faces is None:
        return learned
    people = range(1, made.mixing.sources + 1)
    return dataclasses.replace(
        learned,
        needs=(bind(Network.check, made.faces),),
        predict=bind(predict_or_film, made, learned.predict),
        predicts_from=(speakers.FILM, VOICES, f"{VOICES}_length"),
        also_from=(learned.fields,),
        whole=True,
        faces=made.mixing.sources,
        answers=tuple(f"{kind}{i}" for i in people for kind in ("image/face", "audio/estimate")),
    )


def task_of(
    made: Separator,
    config: ConfigDict,
    fill: Callable[[Variables, Constants], Variables],
    loss: Callable[[Variables, Batch, Any], tuple[Any, tuple[Any, Figures]]],
    needs: tuple[Callable[[], Any], ...],
) -> Task:
    """The task of networks of voices: how they learn is their own, how they are measured is the same for all."""
    offered, lacking = speech.offered(made.sound.rate)
    return Task(
        fields=(*made.fields, "index"),
        init=bind(type(made).init, made),
        fill=fill,
        needs=needs,
        updates=(Update(GROUP, loss),),
        metrics=bind(metrics, made),
        predict=bind(predict, made, taps=estimates.taps_of(config)),
        score=score,
        on_host=bind(quality.measured, offered, made.sound.rate) if offered else None,
        notes=lacking,
        modalities={"speech": (VOICES,)} | ({"face": made.sees} if made.sees else {}),
        sample_rate=made.sound.rate,
        headline=("si_sdr_improvement", "close_pitch_improvement"),
    )


def fill(made: Speakers, variables: Variables, constants: Constants) -> Variables:
    """The published weights of the face network, where it has any."""
    del constants
    if made.faces is None:
        return variables
    with section("config.faces"):
        return encoders.placed(variables, GROUP, made.faces.fill(encoders.parts(variables, GROUP)))


def loss(
    made: Speakers, variables: Variables, batch: Batch, key: Array
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """The mean squared error of each voice's power-law spectrum, real and imaginary part, in the mixtures' real frames.

    Every clip begins one mixture and may follow in others, so that the network sees every order. Without faces the
    order of the masks is that of the least loss; with faces it is so in a share `order_free` of the loss.
    """
    mixture = listening.trained(made.sound, made.mixing, made.classes, made.clips(batch), key)
    where = made.lasts(batch, mixture)
    whole, targets = made.compressed(mixture.sound), made.compressed(mixture.parts)
    state = dict(variables["state"])
    if made.faces is None:
        faces = made.unseen(whole.shape[0])
    else:
        vectors, seen = made.see(variables, batch, train=True)
        faces, state = vectors[mixture.places], {**state, **seen}
    masks, state["listener"] = made.masks(variables, whole, faces, where, train=True)
    found = masks * whole[:, None]
    free = 1.0 if made.faces is None else made.order_free
    value = 0.0 if free == 1 else (1 - free) * error(found, targets, where[:, None])
    if free:
        values = error(found[:, :, None], targets[:, None], where[:, None, None])  # g masks voices
        value += free * assignment.in_order(values, assignment.best_order(-jax.lax.stop_gradient(values)))
    mean = collective.mean_where(jnp.mean(value, -1), mixture.there)
    count = jnp.sum(mixture.there, dtype=jnp.float32)
    return mean, (state, {"silent_clips": mixture.silent, "mixtures": count})


def error(found: Complex[Array, "*b f t"], target: Complex[Array, "*b f t"], where: Bool[Array, "*b t"]) -> Array:
    """The mean of |found - target|^2 over bins and real frames."""
    apart = found - target
    squared = jnp.mean(jnp.square(apart.real) + jnp.square(apart.imag), -2)
    return jnp.sum(squared, -1, where=where) / jnp.maximum(jnp.sum(where, -1, dtype=jnp.float32), 1)


# -- estimates and figures ---------------------------------------------------------------------------------------------


def of(
    made: Separator, variables: Variables, batch: Batch, mixture: Mixture, others: bool = True
) -> tuple[dict[str, Float[Array, "g n time"]], Complex[Array, "g n f t"]]:
    """{whose: estimates} and the right masks; with `others`, of a network that sees, all that `Separator.asked` has."""
    where, time = made.lasts(batch, mixture), mixture.parts.shape[-1]
    whole = made.compressed(mixture.sound)

    def separated(faces: Array) -> tuple[Array, Array]:
        masks, _ = made.masks(variables, whole, faces, where)
        return made.waveform(masks * whole[:, None], time), masks

    if not made.sees:
        assert isinstance(made, Speakers)
        waves, masks = separated(made.unseen(whole.shape[0]))
        order = assignment.best_order(signal_ratio.si_sdr(mixture.parts[:, None], waves[:, :, None]))
        return {RIGHT: assignment.ordered(waves, order)}, jnp.take_along_axis(masks, order[:, :, None, None], 1)
    asked = made.asked(variables, batch, mixture)
    asked = asked if others else {RIGHT: asked[RIGHT]}
    waves, masks = jax.lax.map(separated, jnp.stack(list(asked.values())))  # one program for all
    return dict(zip(asked, waves, strict=True)), masks[0]


def close(made: Separator, mixture: Mixture) -> tuple[Float[Array, "g n"], Bool[Array, " g"]]:
    """The pitch of each voice, in Hz, and whether all of a mixture's are alike."""
    pitch = median_pitch(mixture.parts, made.sound.rate)
    return pitch, jnp.max(pitch, -1) < CLOSE * jnp.min(pitch, -1)


def metrics(made: Separator, variables: Variables, batch: Batch) -> Figures:
    """SI-SDR in dB of listed mixtures, and how much that is above the mixture's own, beside other faces and oracles.

    "close_pitch_improvement" is of the mixtures whose voices differ by less than 5 % in pitch.
    """
    mixture = made.listed(batch)
    found, _ = of(made, variables, batch, mixture)
    right, there = found.pop(RIGHT), mixture.there
    before = estimates.ratio(mixture.parts, mixture.sound[:, None])
    figures = {
        "si_sdr": _mean(estimates.ratio(mixture.parts, right), there),
        "si_sdr/mixture": _mean(before, there),
    }
    alike = there & close(made, mixture)[1]
    for name, waves in {"": right, **found, **estimates.oracles(made.sound, mixture)}.items():
        improved = estimates.improvement(mixture, waves)
        for figure, where in {"si_sdr_improvement": there, "close_pitch_improvement": alike}.items():
            if figure == "si_sdr_improvement" or made.mixing.sources > 1:
                figures[f"{figure}/{name}".removesuffix("/")] = _mean(improved, where)
                figures[f"{figure}/mixture"] = _mean(jnp.zeros_like(before), where)
    return figures


def score(predictions: Mapping[str, Any], references: Mapping[str, Any]) -> dict[str, float]:
    """SDR, SIR and SAR, and where they could be measured STOI and PESQ."""
    return estimates.score(predictions, references) | quality.score(predictions)


def _mean(value: Float[Array, "g n"], where: Bool[Array, " g"]) -> tuple[Array, Array]:
    return signal_ratio.mean_of(value, jnp.broadcast_to(where[:, None], value.shape))


# -- predictions -------------------------------------------------------------------------------------------------------


def predict(made: Separator, variables: Variables, batch: Batch, key: Array, *, taps: int) -> dict[str, Array]:
    """Of each voice of a listed mixture what its face picks out of it, and how far apart the voices are in pitch."""
    del key
    rows = batch["valid"].shape[0]
    mixture = made.listed(batch)
    found, masks = of(made, variables, batch, mixture)
    # Beside a single voice in noise there is no other face: then that of the next mixture.
    wrong = [name for name in found if name.startswith(("swapped_", "absent_"))]
    heard = {
        "mixture": jnp.broadcast_to(mixture.sound[:, None], mixture.parts.shape),
        "estimate": found[RIGHT],
        "estimate_target": mixture.parts,
        "ideal_ratio_mask": estimates.oracles(made.sound, mixture)["ideal_ratio_mask"],
        **{name: found[name] for name in wrong[:1]},
    }
    out = {f"audio/{name}": listening.samples(listening.by_row(waves, rows)) for name, waves in heard.items()}
    sources = mixture.parts.shape[1]
    ideal = source_masks.ideal_ratio(jnp.abs(made.sound.spectrum(mixture.every)))[:, :sources]
    whole = jnp.abs(made.sound.spectrum(mixture.sound))
    drawn = {
        "spectrogram": listening.decibels(jnp.broadcast_to(whole[:, None], ideal.shape)),
        "mask": made.shares(masks),
        "mask_target": ideal,
    }
    out |= {f"heatmap/{name}": listening.by_row(values, rows) for name, values in drawn.items()}
    ratios = estimates.distortions(made.sound, mixture, found[RIGHT], taps)
    out |= {name: listening.by_row(values, rows) for name, values in ratios.items()}
    improved = jnp.where(mixture.there[:, None], estimates.improvement(mixture, found[RIGHT]), jnp.nan)
    out["number/si_sdr_improvement"] = listening.by_row(improved, rows)
    if sources == 2:
        levels = estimates.by_level(
            lambda first_db: made.listed(batch, first_db),
            lambda mixture: of(made, variables, batch, mixture, others=False)[0][RIGHT],
            improved,
        )
        apart = estimates.pitch_apart(made.sound, mixture, estimates.VOICES_HERTZ)
        out["number/improvement_by_level"] = listening.by_row(levels, rows)
        out["number/pitch_apart"] = listening.by_row(apart, rows)
    if made.sees:
        out |= made.shown(batch)
    return out


def predict_or_film(made: Speakers, of_list: Any, variables: Variables, batch: Batch, key: Array) -> dict[str, Array]:
    """`of_list` of a batch of the data set; of a user's film what each of its faces says."""
    return of_film(made, variables, batch) if speakers.FILM in batch else of_list(variables, batch, key)


def of_film(made: Speakers, variables: Variables, batch: Batch) -> dict[str, Array]:
    """The voice of each face of a film of any length, at the level of the film's sound, and a picture of the face."""
    faces = batch[speakers.FILM]
    pictures = max(1, round(made.seconds * speakers.PICTURES))

    def seen(start: Array) -> Float[Array, "b n v d"]:
        first = jnp.round(start / made.sound.rate * speakers.PICTURES).astype(jnp.int32)
        return made.see_film(variables, faces, first, pictures)

    found = in_chunks(made, variables, batch, seen)
    shown = {f"image/face{i + 1}": faces[:, i, faces.shape[2] // 2] for i in range(faces.shape[1])}
    return shown | {f"audio/estimate{i + 1}": found[:, i] for i in range(faces.shape[1])}


def in_chunks(
    made: Speakers, variables: Variables, batch: Batch, seen: Callable[[Array], Float[Array, "b n v d"]]
) -> Int[Array, "b n time"]:
    """The voices that are asked for in sounds of any length, at the sounds' level.

    The network hears and sees in chunks as long as training's clips, at the level of training's mixtures.

    Args:
      made, variables, batch: of the sounds.
      seen: (the sample at `Sound.rate` with which a chunk begins) -> what tells of each voice in it.
    """
    sound = made.sound
    waves = sound.heard(batch[VOICES])
    factor = made.mixing.to_level(waves)
    ends = waves.shape[-1] / sound.rate
    pictures = max(1, round(made.seconds * speakers.PICTURES))
    length = round(pictures / speakers.PICTURES * sound.rate)
    overlap = round(int(OVERLAP * pictures) / speakers.PICTURES * sound.rate)  # chunks begin with a picture

    def separated(waves: Float[Array, "b time"], start: Array) -> Float[Array, "b n time"]:
        where = start / sound.rate + made.begins(length) < ends
        whole, told = made.compressed(waves), jnp.broadcast_to(where[None], (waves.shape[0], where.shape[0]))
        masks, _ = made.masks(variables, whole, seen(start), told)
        return made.waveform(masks * whole[:, None], length)

    return listening.samples(chunks.overlap_added(separated, waves * factor, length, overlap) / factor[:, None])
