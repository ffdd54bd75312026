"""The third part of Speech2Face: a voice encoder learns to hit the feature of the speaker's face.

Where a speaker encoder stands in the place of the face network, that of another utterance of the same speaker.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmjax.errors import OptionError
from mmjax.known.face_parts import Decoder, Face
from mmjax.losses import cosine, face_feature
from mmjax.metrics import landmarks, running_mean
from mmjax.models.drawing import face_decoder
from mmjax.models.sound.voice_encoder import RATE, Hearing, VoiceEncoder
from mmjax.ops import collective
from mmjax.systems.faces import factor_maps, finding
from mmjax.systems.faces.decoding import as_picture
from mmjax.systems.faces.recognising import check_factors
from mmjax.task import Batch, Constants, Features, Figures, Fit, Task, Update, Variables, bind

DURATIONS = (1, 2, 3)  # seconds of voice that an evaluation hears beside all of it
ANOTHER = "/another_voice"
NO_LIKENESS = (
    "a face that is drawn from a voice is no likeness of the person who speaks: it is the average of the faces that go "
    "with such a voice"
)


@dataclasses.dataclass(frozen=True)
class Weights:
    """Of the loss, see `loss`.

    Attributes:
      first_layer, direction, distillation: weights of the terms; 0 leaves a term out.
      temperature: of the distillation.
      shortest: seconds; training hears a piece of each utterance, at a random place and at least so long; 0 all of it.
    """

    first_layer: float = 1.0
    direction: float = 0.025
    distillation: float = 200.0
    temperature: float = 2.0
    shortest: float = 0.0


@dataclasses.dataclass(frozen=True)
class Parts:
    """What is trained and what is frozen; hashable, and equal by value."""

    model: VoiceEncoder
    heard: Hearing
    face: Face
    decoder: Decoder | None
    factors: tuple[str, ...]
    weights: Weights
    persons: bool = False


def task(
    model: VoiceEncoder,
    heard: Hearing,
    face: Face,
    decoder: Decoder | None,
    factors: tuple[str, ...],
    weights: Weights,
    persons: bool = False,
) -> Task:
    """The task of the voice encoder.

    Args:
      model, heard: the encoder and its input.
      face, decoder: the frozen parts; without a decoder no face is drawn, and of speakers none can be.
      factors: names of the columns of the data's `speaker`; () where it has none.
      weights: of the loss.
      persons: whether the data's `group` tells which faces are of one person, or of one film; of speakers it does.
    """
    _check(face, decoder, factors, weights)
    parts = Parts(model, heard, face, decoder, factors, weights, persons)
    references = ("speaker", *(("landmarks",) if decoder else ())) if factors else ()
    if face.kind == "speaker" or persons:  # several utterances are of one speaker
        references = ("group", *references)
    return Task(
        fields=(face.field, "speech", "speech_length", *references),
        init=bind(init, parts),
        fill=bind(fill, parts),
        needs=(bind(type(face.network).check, face.network),),
        updates=(Update("voice", bind(loss, parts)),),
        metrics=bind(metrics, parts),
        predict=bind(predict, parts),
        score=bind(finding.score, face.kind, factors, tuple(f"{s}s" for s in _durations(parts))),
        references=tuple(name for name in references if name != "landmarks"),
        fit=Fit(bind(observe, parts), bind(solve, parts), fields=(face.field, "speaker")) if factors else None,
        features=Features(face.field, _frozen_face, bind(_features, face)),
        predicts_from=("speech", "speech_length"),
        modalities={"speech": ("speech",)},
        heard=heard.seconds,
        answers=("image/face",) if decoder else ("embedding/voice",),
        sample_rate=RATE,
        notes=(NO_LIKENESS,) if decoder else (),
        headline=(f"{face.kind}_l2_r@10", f"{face.kind}_l2_median_rank"),
    )


def _durations(parts: Parts) -> tuple[int, ...]:
    """Those of DURATIONS that are not all that is heard."""
    return tuple(seconds for seconds in DURATIONS if seconds < parts.heard.seconds)


def _check(face: Face, decoder: Decoder | None, factors: tuple[str, ...], weights: Weights) -> None:
    if face.kind == "speaker" and (decoder is not None or factors):
        raise OptionError(
            "config.parts.face", "tells speakers apart: set config.parts.decoder='' and config.factors=()"
        )
    if weights.first_layer and decoder is None:
        raise OptionError("config.loss.first_layer", "needs config.parts.decoder: say which, or set it to 0")
    if weights.distillation and not face.last:
        raise OptionError("config.loss.distillation", "needs a face network that tells identities apart: set it to 0")
    if not weights.first_layer + weights.direction + weights.distillation > 0:
        raise OptionError("config.loss", "has no term: all its weights are 0")
    if not weights.temperature > 0:
        raise OptionError("config.loss.temperature", f"is {weights.temperature}: it must be above 0")


def init(parts: Parts, key: Array, batch: Batch) -> dict[str, Any]:
    """Fresh encoder, the trees of the frozen parts, and a mean face of nothing."""
    check_factors(parts.factors, batch)
    heard = jax.eval_shape(parts.heard, batch["speech"][:1], batch["speech_length"][:1])
    made = parts.model.init(key, jnp.zeros(heard.shape, heard.dtype))
    frozen = {"face": parts.face.init(batch[parts.face.field])}
    if parts.decoder is not None:
        drawn = parts.decoder.model.points
        if "landmarks" in batch and batch["landmarks"].shape[1] != drawn:
            raise OptionError(
                "config.parts.decoder", f"draws {drawn} landmarks, and the data has {batch['landmarks'].shape[1]}"
            )
        frozen["decoder"] = parts.decoder.init(parts.face.size)
    known = running_mean.fresh({"feature": jax.ShapeDtypeStruct((parts.face.size,), jnp.float32)})
    return {"params": {"voice": made["params"]}, "state": {"net": made["state"], "known": known}, "frozen": frozen}


def fill(parts: Parts, variables: Variables, constants: Constants) -> dict[str, Any]:
    """The weights of the frozen parts."""
    del constants
    frozen = {"face": parts.face.load(variables["frozen"]["face"])}
    if parts.decoder is not None:
        frozen["decoder"] = parts.decoder.load(variables["frozen"]["decoder"], frozen["face"])
    return {**variables, "frozen": frozen}


def _frozen_face(variables: Variables) -> Any:
    return variables["frozen"]["face"]


def _features(face: Face, weights: Any, picture: Array) -> dict[str, Array]:
    return {"feature": face.feature(weights, picture)}


def seen(parts: Parts, variables: Variables, batch: Batch) -> Float[Array, "b d"]:
    """The features of the true faces, or speakers."""
    field = parts.face.field
    if f"{field}_feature" in batch:
        return batch[f"{field}_feature"]
    return jax.lax.stop_gradient(parts.face.feature(variables["frozen"]["face"], batch[field]))


def hear(
    parts: Parts, variables: Variables, batch: Batch, durations: tuple[int, ...] = ()
) -> list[Float[Array, "b d"]]:
    """The features heard in all of each utterance, then in its first so many seconds; by the running statistics."""
    whole, rows = batch["speech_length"], batch["speech_length"].shape[0]
    lengths = [whole, *(jnp.minimum(whole, round(seconds * RATE)) for seconds in durations)]
    # All in one batch: Fourier transforms that run side by side in one program may wait for each other for ever.
    sound = parts.heard(jnp.tile(batch["speech"], (len(lengths), 1)), jnp.concatenate(lengths))
    own = {"params": variables["params"]["voice"], "state": variables["state"]["net"]}
    found: Any = parts.model.apply(own, sound)
    return [found[i * rows : (i + 1) * rows] for i in range(len(lengths))]


def loss(parts: Parts, variables: Variables, batch: Batch, key: Array) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """The weighted sum of the means over examples of the three terms of `losses.face_feature`."""
    weights, frozen = parts.weights, variables["frozen"]
    target = seen(parts, variables, batch)
    start, length = _piece(weights.shortest, batch["speech_length"], key)
    own = {"params": variables["params"]["voice"], "state": variables["state"]["net"]}
    guess: Any
    sound = parts.heard(batch["speech"], length, start)
    guess, updated = parts.model.apply(own, sound, train=True, mutable=["state"])
    terms = {"direction": face_feature.direction(target, guess)}
    if parts.decoder is not None and weights.first_layer:
        first = functools.partial(face_decoder.first_layer, frozen["decoder"]["params"])
        terms["first_layer"] = face_feature.first_layer(first(target), first(guess))
    if weights.distillation:
        identity = functools.partial(parts.face.identity, frozen["face"])
        terms["distillation"] = face_feature.distillation(identity(target), identity(guess), weights.temperature)
    means = {name: jnp.mean(term) for name, term in terms.items()}
    value: Any = sum(getattr(weights, name) * term for name, term in means.items())
    known = running_mean.follow(variables["state"]["known"], {"feature": target})
    return value, ({"net": updated["state"], "known": known}, means)


def _piece(shortest: float, length: Array, key: Array) -> tuple[Array, Array]:
    """Start and length of the piece of each utterance that training hears, in samples."""
    if not shortest:
        return jnp.zeros_like(length), length
    of_length, of_start = jax.random.split(collective.local_key(key))
    whole = length.astype(jnp.float32)
    least = jnp.minimum(whole, jnp.float32(shortest * RATE))
    taken = least + (whole - least) * jax.random.uniform(of_length, length.shape)
    start = (whole - taken) * jax.random.uniform(of_start, length.shape)
    return start.astype(jnp.int32), jnp.maximum(taken.astype(jnp.int32), 1)


# -- what is measured --------------------------------------------------------------------------------------------------


def observe(parts: Parts, variables: Variables, batch: Batch) -> dict[str, Array]:
    """The features of true faces, and the speakers' factors."""
    return {"feature": seen(parts, variables, batch), "speaker": batch["speaker"]}


def solve(parts: Parts, variables: Variables, observed: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The maps of `factor_maps.fit`."""
    del variables
    return factor_maps.fit(parts.factors, observed["feature"], observed["speaker"])


def metrics(parts: Parts, variables: Variables, batch: Batch) -> Figures:
    """Likeness of the heard feature and the true one beside the mean one's, and errors of landmarks in two ways; those
    of shorter voices and of the easiest factor alone are `predict`'s and `finding.score`'s."""
    target, guess = seen(parts, variables, batch), hear(parts, variables, batch)[0]
    mean = jnp.broadcast_to(variables["state"]["known"]["mean"]["feature"][None], target.shape)
    kind = parts.face.kind
    values = {
        "feature_cosine": cosine.similarity(target, guess),
        f"feature_cosine/mean_{kind}": cosine.similarity(target, mean),
        "feature_distance": jnp.linalg.norm(target - guess, axis=-1),
        f"feature_distance/mean_{kind}": jnp.linalg.norm(target - mean, axis=-1),
    }
    if parts.decoder is not None and "landmarks" in batch:
        asked = {"": guess, "/mean_face": mean, "/true_feature": target, ANOTHER: jnp.roll(guess, 1, 0)}
        if "fitted" in variables:
            asked["/true_factors"] = factor_maps.features(variables["fitted"]["oracle"], batch["speaker"])
        for name, feature in asked.items():
            errors = _landmark_errors(parts, variables, batch, feature)
            values |= {f"{of}{name}": errors[:, i] for i, of in enumerate(finding.LANDMARK_ERRORS)}
    where = batch["valid"]
    # Another's voice is that of the row before: where that is padding, or the row itself, it is nobody's.
    others = where & jnp.roll(where, 1) & (where.shape[0] > 1)
    counts = {name: others if name.endswith(ANOTHER) else where for name in values}
    return {
        name: (jnp.sum(value, where=counts[name], dtype=jnp.float32), jnp.sum(counts[name], dtype=jnp.float32))
        for name, value in values.items()
    }


def _landmark_errors(
    parts: Parts, variables: Variables, batch: Batch, feature: Float[Array, "b d"]
) -> Float[Array, "b 2"]:
    """Of the face that is drawn of a feature, in the order of `finding.LANDMARK_ERRORS`."""
    assert parts.decoder is not None
    points = parts.decoder(variables["frozen"]["decoder"], feature)["landmarks"]
    truth = batch["landmarks"]
    placed = landmarks.aligned(truth, points)
    return jnp.stack([landmarks.error(truth, points), landmarks.error(truth, placed)], -1)


def predict(parts: Parts, variables: Variables, batch: Batch, key: Array) -> dict[str, Array]:
    """The voice and the face heard in it; beside the true face, what the decoder makes of its own feature, and the
    features that retrieval and the figures of the factors compare. Of speakers these features alone."""
    del key
    kind, field = parts.face.kind, parts.face.field
    durations = _durations(parts) if field in batch else ()
    heard, *shorter = hear(parts, variables, batch, durations)
    out = {"audio/voice": jnp.asarray(batch["speech"]), "embedding/voice": heard}
    fitted = variables.get("fitted")
    drawn = _drawn(parts, variables, heard)
    if drawn is not None:
        out["image/face"] = as_picture(drawn)
    if field not in batch:
        return out
    target = seen(parts, variables, batch)
    mean = variables["state"]["known"]["mean"]["feature"][None]
    out |= {f"embedding/{kind}": target, f"embedding/mean_{kind}": jnp.broadcast_to(mean, target.shape)}
    out |= {f"embedding/voice_{s}s": feature for s, feature in zip(durations, shorter, strict=True)}
    if kind == "speaker":
        # What the frozen encoder itself hears in the voice: as good as its features can be hit.
        return out | {"embedding/encoder": parts.face.feature(variables["frozen"]["face"], batch["speech"])}
    out["image/picture"] = jnp.asarray(batch["face"])
    of_feature = _drawn(parts, variables, target)
    if of_feature is not None:
        out["image/face_of_the_feature"] = as_picture(of_feature)
    if fitted is None or "speaker" not in batch:
        return out
    read = functools.partial(factor_maps.mapped, fitted["probe"])
    out["embedding/true_factors"] = factor_maps.features(fitted["oracle"], batch["speaker"])
    for i, name in enumerate(parts.factors):
        out[f"embedding/only_{name}"] = factor_maps.features(fitted["alone"][name], batch["speaker"][:, i : i + 1])
    out["number/factors_of_speaker"] = jnp.asarray(batch["speaker"], jnp.float32)
    names = [*(f"voice_{s}s" for s in durations), *(f"only_{name}" for name in parts.factors)]
    if drawn is not None and "landmarks" in batch:
        for name in names:
            errors = _landmark_errors(parts, variables, batch, out[f"embedding/{name}"])
            out[f"number/landmark_errors_of_{name}"] = errors
    out |= {"number/factors_of_face": read(target), "number/factors_of_voice": read(heard)}
    for name in ("mean_face", "true_factors", *names):  # of pictures where there are any, as what is heard is
        out[f"number/factors_of_{name}"] = read(_looked(parts, variables, out[f"embedding/{name}"]))
    if drawn is not None:
        out["number/factors_of_drawn"] = read(_looked(parts, variables, heard))
    of_factors = _drawn(parts, variables, out["embedding/true_factors"])
    if of_factors is not None:
        out["image/face_of_the_factors"] = as_picture(of_factors)
    return out


def _looked(parts: Parts, variables: Variables, feature: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """What the face network sees in the picture drawn of a feature; the feature itself where none is drawn."""
    drawn = _drawn(parts, variables, feature)
    return feature if drawn is None else parts.face.feature(variables["frozen"]["face"], 255 * drawn)


def _drawn(parts: Parts, variables: Variables, feature: Float[Array, "b d"]) -> Array | None:
    if parts.decoder is None:
        return None
    return parts.decoder(variables["frozen"]["decoder"], feature)["face"]
