"""Speech2Face: the face behind a voice, of module networks (Oh et al. 2019; Cole et al. 2017).

A face network, a face decoder that is trained on its features, and a voice encoder that learns only to hit the feature
of the speaker's face: each is trained where its data is, alone, and is frozen then. `config.part` says which.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from mmjax import errors
from mmjax.errors import OptionError
from mmjax.known import face_parts
from mmjax.models.drawing.face_decoder import FaceDecoder
from mmjax.models.sound.voice_encoder import Hearing, VoiceEncoder
from mmjax.models.vision.face_network import FaceNetwork
from mmjax.systems.faces import decoding, hearing, recognising
from mmjax.task import Task

PARTS = (*face_parts.PARTS, "voice")


def build(config: ConfigDict) -> Task:
    """The task of the part that config.part names; each has the section model, and what that part is trained with."""
    if config.part not in PARTS:
        raise OptionError("config.part", f"is {config.part!r}: choose one of {', '.join(PARTS)}")
    if config.part == "face_network":
        kinds = recognising.Kinds(tuple(config.factors), config.levels)
        network = FaceNetwork(**face_parts.face_network(config))
        return recognising.task(network, kinds, **config.loss)
    face = face_parts.face(config.parts.face)
    if config.part == "face_decoder":
        found = face_parts.landmarks(config.parts.landmarks) if config.parts.get("landmarks") else None
        return decoding.task(FaceDecoder(**config.model), face, found, **config.loss)
    with errors.section("config.hearing"):
        heard = Hearing(**config.hearing).checked()
    model = VoiceEncoder(face.size, **config.model)
    decoder = face_parts.decoder(config.parts.decoder) if config.parts.decoder else None
    return hearing.task(model, heard, face, decoder, tuple(config.factors), hearing.Weights(**config.loss))
