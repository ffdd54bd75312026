"""How VisualVoice learns (Gao and Grauman 2021, "VisualVoice: Audio-Visual Speech Separation with Cross-Modal
Consistency").

Of a speaker A there are two clips, of another one B a single one. A1 + B and A2 + B, both halved, are separated by
lips and faces; the masks are learned, and beside them what voices and faces tell of each other. Statistics of
BatchNorm are of all clips together, where the authors' code has one call a clip.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Key
from ml_collections import ConfigDict

from mmjax.known import visual_voice as released_networks
from mmjax.losses import cosine, separation
from mmjax.ops import collective
from mmjax.ops.sound import complex_masks, mixing
from mmjax.systems.separation import listening, visual_voice, voices
from mmjax.systems.separation.listening import Mixture
from mmjax.systems.separation.networks import GROUP
from mmjax.systems.separation.speakers import VOICES
from mmjax.systems.separation.visual_voice import A_PICTURE, BINS, FACE, LIPS, OTHER, VisualVoice, together
from mmjax.task import Batch, Constants, Figures, Task, Variables, bind


def task(config: ConfigDict) -> Task:
    """The task of a config with sections sound, mixing, lips, attributes, model and loss."""
    made = visual_voice.make(config)
    needs = (bind(released_networks.check, config.released),) if config.released else ()
    return voices.task_of(made, config, bind(fill, made, config.released), bind(loss, made), needs)


def fill(made: VisualVoice, released: str, variables: Variables, constants: Constants) -> Variables:
    """The released networks, those that a folder has."""
    del constants
    if not released:
        return variables
    return released_networks.placed(variables, GROUP, released, made.model, made.lips, made.attributes)


def loss(
    made: VisualVoice, variables: Variables, batch: Batch, key: Array
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """The error of the masks of both voices in both mixtures, added up, and two terms of what voices tell.

    The masks to learn are of voices at their own level, twice what each adds to the mixture, and clipped where the
    network's end.
    """
    of_clips, of_pictures, of_terms = jax.random.split(key, 3)
    first, second = mixed(made, batch, of_clips)
    seen, face, state = look(made, variables, batch, first, of_pictures)
    frames = A_PICTURE * seen.shape[-2]
    whole, sources = (  # b 2 f t of both mixtures, and b 2 2 f t of the voices in each
        made.sound.spectrum(jnp.stack(both, 1))[..., :frames]
        for both in ((first.sound, second.sound), (first.parts, second.parts))
    )
    sources = made.mixing.sources * sources[..., :BINS, :]
    every, faces = (x.reshape(-1, *x.shape[2:]) for x in (whole, seen))
    masks, state["mask"] = made.masks(variables, every, faces, jnp.ones((), bool), train=True)
    masks = masks.reshape(*sources.shape[:3], BINS + 1, frames)[..., :BINS, :]
    whole = jnp.broadcast_to(whole[:, :, None, :BINS], masks.shape)
    target = separation.ideal_mask(sources, whole, made.model.bound)
    value = {"mask": jnp.sum(separation.mask_error(masks, target, whole), (1, 2))}
    found, state["voice"] = attributes(made, variables, masks * whole, sources)
    value |= terms(made, found, face[first.places], of_terms)
    weighed = value["mask"]
    for name in ("cross_modal", "consistency"):
        weighed = weighed + getattr(made.loss, name) * value[name]
    there = first.there & second.there
    logs = {name: collective.mean_where(one, there) for name, one in value.items()}
    logs |= {"silent_clips": first.silent + second.silent, "mixtures": jnp.sum(there, dtype=jnp.float32)}
    return collective.mean_where(weighed, there), (state, logs)


def mixed(made: VisualVoice, batch: Batch, key: Key[Array, ""]) -> tuple[Mixture, Mixture]:
    """A1 + B and A2 + B for each example of a batch, whose A is another one's B."""
    of_mixture, of_gains = jax.random.split(key)
    clips = made.clips(batch) | ({made.classes: batch[made.classes]} if made.classes else {})
    first = listening.trained(made.sound, made.mixing, made.classes, clips, of_mixture)
    waves = made.sound.heard(clips["waveform"])
    again = made.sound.heard(batch[f"{VOICES}{OTHER}"][:, : clips["waveform"].shape[1]])
    both = jnp.stack([again, waves[first.places[:, 1]]], 1)
    gains = mixing.gains(of_gains, first.places.shape, made.mixing.spread_db)
    sound, parts = mixing.mixed(both, gains, made.mixing.level)
    audible = made.mixing.audible(again)
    silent = jnp.sum(~audible, dtype=jnp.float32)
    return first, dataclasses.replace(first, sound=sound, parts=parts, there=first.there & audible, silent=silent)


def look(
    made: VisualVoice, variables: Variables, batch: Batch, mixture: Mixture, key: Key[Array, ""]
) -> tuple[Float[Array, "b 2 2 v d"], Float[Array, "b e"], dict[str, Any]]:
    """What is seen of A1 and B, and of A2 and B; the features of each example's face; and the new statistics."""
    of_mouths, of_again, of_faces, of_dropout = jax.random.split(key, 4)
    drawn = (lambda one: one) if made.augment else (lambda one: None)
    mouths = [made.mouths(batch[LIPS], drawn(of_mouths)), made.mouths(batch[f"{LIPS}{OTHER}"], drawn(of_again))]
    state = dict(variables["state"])
    lips, state["lips"] = made.run("lips", variables, jnp.concatenate(mouths), train=True, key=of_dropout)
    face, state["face"] = made.run("face", variables, made.faces(batch[FACE], drawn(of_faces)), train=True)
    one, again = (together(face, half) for half in jnp.split(lips, 2))
    others = one[mixture.places[:, 1]]
    return jnp.stack([jnp.stack([one, others], 1), jnp.stack([again, others], 1)], 1), face, state


def attributes(
    made: VisualVoice, variables: Variables, found: Complex[Array, "b 2 2 f t"], true: Complex[Array, "b 2 2 f t"]
) -> tuple[Float[Array, "2 b 2 2 e"], Any]:
    """The features of separated voices and of true ones, those of both mixtures, and the new statistics."""
    every = complex_masks.parts(jnp.stack([found, true]))
    features, state = made.run("voice", variables, every.reshape(-1, *every.shape[4:]), train=True)
    return features.reshape(*every.shape[:4], -1), state


def terms(
    made: VisualVoice, voices_: Float[Array, "2 b 2 2 e"], faces: Float[Array, "b 2 e"], key: Key[Array, ""]
) -> dict[str, Float[Array, " b"]]:
    """Triplets of voices and faces, and of voices alone; each time the separated or the true voices are drawn.

    Args:
      made: for the margin and the share.
      voices_: of separated and of true voices, the features of A and B in both mixtures.
      faces: of A and B.
      key: what is drawn, is drawn from it: for a whole step, as in the authors' code.
    """
    margin = made.loss.margin

    def drawn(key: Array) -> Float[Array, "b 2 2 e"]:
        true: Bool[Array, ""] = jax.random.bernoulli(key, made.loss.truth)
        return jnp.where(true, voices_[1], voices_[0])

    one, other = jax.random.split(key)
    own, same = drawn(one), drawn(other)
    sides = ((0, faces[:, 0], faces[:, 1]), (1, faces[:, 1], faces[:, 0]))
    matched = [cosine.triplet(own[:, i, j], right, wrong, margin) for i in (0, 1) for j, right, wrong in sides]
    consistent = [cosine.triplet(same[:, 0, 0], same[:, 1, 0], same[:, i, 1], margin) for i in (0, 1)]
    return {"cross_modal": sum(matched[1:], matched[0]), "consistency": consistent[0] + consistent[1]}
