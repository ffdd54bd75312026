"""Speech2Face: the face behind a voice, of module networks (Oh et al. 2019; Cole et al. 2017).

A face network, a face decoder that is trained on its features, and a voice encoder that learns only to hit the feature
of the speaker's face: each is trained where its data is, alone, and is frozen then. `config.part` says which.
"""

from __future__ import annotations

import math

import jax
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
OWN = {"face_network": "levels", "face_decoder": "points", "voice": "rate"}
VARIANT = {"face_network": ":faces", "face_decoder": ":decoder", "voice": ""}
DRAWN = "sounding_scenes"  # the data whose factors are `recognising.FACTORS`; of others their names are unknown


def build(config: ConfigDict) -> Task:
    """The task of the part that config.part names; each has the section model, and what that part is trained with."""
    if config.part not in PARTS:
        raise OptionError("config.part", f"is {config.part!r}: choose one of {', '.join(PARTS)}")
    # What each part is trained with: one option that a config of another part has not.
    sections = {"face_network": config, "face_decoder": config.model, "voice": config.hearing}
    if OWN[config.part] not in sections[config.part]:
        variant = f"configs/speech2face.py{VARIANT[config.part]}"
        raise OptionError("config.part", f"is {config.part!r}, whose other options are those of {variant}: train that")
    factors = tuple(config.factors)
    if factors and config.data.get("name") == DRAWN and factors != recognising.FACTORS:
        wanted = f"the columns of the data's speaker are {recognising.FACTORS}, () asks for none"
        raise OptionError("config.factors", f"is {factors}: {wanted}")
    for name in config.loss:
        if not 0 <= config.loss[name] < math.inf:
            raise OptionError(f"config.loss.{name}", f"is {config.loss[name]}: it must be at least 0, and finite")
    if config.part == "face_network":
        if config.levels < 2:
            raise OptionError("config.levels", f"is {config.levels}: with less than 2 all people are of one kind")
        if not factors:
            raise OptionError("config.factors", "is (): without any, all people are of one kind")
        kinds = recognising.Kinds(factors, config.levels)
        with errors.section("config.model"):
            network = FaceNetwork(**face_parts.face_network(config)).checked()
        return recognising.task(network, kinds, **config.loss)
    face = face_parts.face(config.parts.face)
    if config.part == "face_decoder":
        found = face_parts.landmarks(config.parts.landmarks) if config.parts.get("landmarks") else None
        with errors.section("config.model"):
            drawer = FaceDecoder(**config.model).checked()
        return decoding.task(drawer, face, found, **config.loss)
    with errors.section("config.hearing"):
        heard = Hearing(**config.hearing).checked()
    with errors.section("config.model"):
        model = VoiceEncoder(face.size, **config.model).checked()
    decoder = face_parts.decoder(config.parts.decoder) if config.parts.decoder else None
    weights, persons = hearing.Weights(**config.loss), bool(config.get("persons", False))
    if persons and face.kind != "speaker" and jax.process_count() > 1:  # of speakers the names are always asked
        raise OptionError("config.persons", "names persons by text, which is scored on one process: set it to False")
    return hearing.task(model, heard, face, decoder, factors, weights, persons)
