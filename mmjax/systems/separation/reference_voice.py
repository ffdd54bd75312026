"""A voice picked out of a mixture by another recording of the same speaker, in the place of his face.

As Wang et al. (2019, "VoiceFilter") ask for a voice by the embedding of a reference recording; the network is Looking
to Listen, for whom the reference is a face that stands still, and the embedding is Resemblyzer's. All voices of a
mixture are asked for at once.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key
from ml_collections import ConfigDict

from mmjax.known import encoders
from mmjax.known.network import Network, Parts
from mmjax.systems.separation import estimates, listening, speakers, voices
from mmjax.systems.separation.listening import Mixture
from mmjax.systems.separation.networks import GROUP
from mmjax.systems.separation.speakers import VOICES, Speakers
from mmjax.task import Batch, Features, Task, Variables, bind

REFERENCE = "speech_other"  # another recording of the speaker
ASKED = "voices"  # those that a user gives
EMBEDDING = "embedding"


def named(config: ConfigDict) -> bool:
    """Whether voices are told apart by recordings of them."""
    return bool(config.get("voice", "")) and config.network == "looking_to_listen"


class ReferenceVoices(Speakers):
    """Looking to Listen with recordings in the place of faces, whose `faces` is a speaker encoder."""

    @property
    def fields(self) -> tuple[str, ...]:
        return (REFERENCE, VOICES, f"{VOICES}_length", *self._kinds)

    @property
    def sees(self) -> tuple[str, ...]:
        return (REFERENCE,)

    def one(self, batch: Batch) -> Array:
        return batch[REFERENCE][:1]

    def see(self, variables: Variables, batch: Batch, train: bool = False) -> tuple[Float[Array, "b 1 d"], Any]:
        """What is heard in the recordings, as of a picture that stays."""
        del train  # the encoder is trained no further
        stored = batch.get(f"{REFERENCE}_{EMBEDDING}")  # of the training split, computed once
        if stored is None:
            assert self.faces is not None
            stored = embeddings(self.faces, encoders.parts(variables, GROUP), batch[REFERENCE])[EMBEDDING]
        return stored[:, None], {}

    def asked(self, variables: Variables, batch: Batch, mixture: Mixture) -> dict[str, Float[Array, "g n 1 d"]]:
        """As of faces; an "absent_voice" is of somebody who is not in the mixture, where the batch has one."""
        vectors, _ = self.see(variables, batch)
        own: Float[Array, "g n 1 d"] = vectors[mixture.places]
        other: Int[Array, " g"] = estimates.absent(self.classes, batch, mixture)[0]
        return {
            "right": own,
            "swapped_voice": jnp.roll(own, 1, 1),
            "absent_voice": jnp.broadcast_to(vectors[other][:, None], own.shape),
            "no_voice": jnp.zeros_like(own),
        }

    def shown(self, batch: Batch) -> dict[str, Array]:
        return {"audio/reference": listening.samples(self.sound.heard(batch[REFERENCE]))}


def task(config: ConfigDict) -> Task:
    """The task of a config with sections sound, mixing and model, and the field voice: see `speaker.encoder`."""
    made = speakers.make(config)
    made = ReferenceVoices(**{field.name: getattr(made, field.name) for field in dataclasses.fields(made)})
    assert made.faces is not None
    needs = (bind(Network.check, made.faces),)
    learned = voices.task_of(made, config, bind(voices.fill, made), bind(voices.loss, made), needs)
    heard_once = Features(REFERENCE, bind(encoders.parts, group=GROUP), bind(embeddings, made.faces))
    return dataclasses.replace(
        learned,
        features=heard_once,
        modalities={"speech": (VOICES, REFERENCE)},
        predict=bind(predict, made, learned.predict),
        predicts_from=(ASKED, VOICES, f"{VOICES}_length"),
        also_from=(learned.fields,),
        whole=True,
        voices=made.mixing.sources,
        answers=tuple(f"audio/estimate{i + 1}" for i in range(made.mixing.sources)),
    )


def predict(
    made: ReferenceVoices, of_list: Any, variables: Variables, batch: Batch, key: Key[Array, ""]
) -> dict[str, Array]:
    """`of_list` of a batch of the data set; of a user's sound of any length what each of his `voices` says in it."""
    if ASKED not in batch:
        found: dict[str, Array] = of_list(variables, batch, key)
        return found
    given = batch[ASKED]
    told = made.see(variables, {REFERENCE: given.reshape(-1, given.shape[-1])})[0]
    told = told.reshape(*given.shape[:2], *told.shape[1:])
    heard = voices.in_chunks(made, variables, batch, lambda start: told)
    return {f"audio/estimate{i + 1}": heard[:, i] for i in range(given.shape[1])}


def embeddings(encoder: Network, own: Parts, speech: Array) -> dict[str, Array]:
    """What the encoder hears in recordings [b time], behind whose ends are zeros."""
    return {EMBEDDING: encoder(own, speech)[0]}
