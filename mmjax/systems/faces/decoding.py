"""The second part of Speech2Face: a decoder learns to draw a face from the features of a frozen face network.

Where the data does not know the faces' landmarks, another frozen network finds them.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.errors import OptionError
from mmjax.known.face_parts import OF_LANDMARKS, Face, Landmarks
from mmjax.losses import cosine
from mmjax.metrics import landmarks, running_mean
from mmjax.models.drawing import face_decoder
from mmjax.models.drawing.face_decoder import FaceDecoder
from mmjax.ops.pictures import resize
from mmjax.ops.warp import warp
from mmjax.task import Batch, Constants, Figures, Task, Update, Variables, bind

POINTS = 68  # that such a network finds
DOT = 0.012  # radius of a landmark that is shown, as a share of the picture


def task(model: FaceDecoder, face: Face, found: Landmarks | None, **weights: float) -> Task:
    """The task of the decoder; see `loss` for the numbers.

    Args:
      model: the decoder.
      face: whose features it draws.
      found: what finds landmarks; None for those of the data.
      weights: of the loss.
    """
    if face.kind != "face":
        raise OptionError("config.parts.face", "is no face network: its features draw no face")
    if found is not None and model.points != POINTS:
        raise OptionError("config.model.points", f"is {model.points}, and config.parts.landmarks finds {POINTS}")
    if not any(weights.values()):
        raise OptionError("config.loss", "has no term: all its weights are 0")
    return Task(
        fields=("face",) if found else ("face", "landmarks"),
        init=bind(init, model, face, found),
        fill=bind(fill, face, found),
        needs=tuple(bind(type(part.network).check, part.network) for part in (face, found) if part),
        updates=(Update("face_decoder", bind(loss, model, face, found, **weights)),),
        metrics=bind(metrics, model, face, found),
        predict=bind(predict, model, face),
        predicts_from=("face",),
        modalities={"face": ("face",)},
        answers=("image/drawn",),
        headline=("picture_error", "landmark_error"),
    )


def init(model: FaceDecoder, face: Face, found: Landmarks | None, key: Array, batch: Batch) -> dict[str, Any]:
    """Fresh decoder, the trees of the frozen networks' weights, and a mean face of nothing."""
    if found is None and batch["landmarks"].shape[1] != model.points:
        raise OptionError("config.model.points", f"is {model.points}, and the data has {batch['landmarks'].shape[1]}")
    params = model.init(key, jnp.zeros((1, face.size)))["params"]
    shapes = {
        "landmarks": jax.ShapeDtypeStruct((model.points, 2), jnp.float32),
        "face": jax.ShapeDtypeStruct((model.side, model.side, 3), jnp.float32),
        "feature": jax.ShapeDtypeStruct((face.size,), jnp.float32),
    }
    known = running_mean.fresh(shapes)
    frozen = face.init(batch["face"])
    if found is not None:
        frozen[OF_LANDMARKS] = found.init(batch["face"])
    return {"params": {"face_decoder": params}, "state": {"known": known}, "frozen": frozen}


def fill(face: Face, found: Landmarks | None, variables: Variables, constants: Constants) -> dict[str, Any]:
    """The weights of the frozen networks."""
    del constants
    frozen = face.load(_of_face(variables))
    if found is not None:
        frozen[OF_LANDMARKS] = found.load(variables["frozen"][OF_LANDMARKS])
    return {**variables, "frozen": frozen}


def _of_face(variables: Variables) -> dict[str, Any]:
    """The face network's weights: all that is frozen, but for what finds landmarks."""
    return {name: tree for name, tree in variables["frozen"].items() if name != OF_LANDMARKS}


def _truth(found: Landmarks | None, variables: Variables, batch: Batch) -> Float[Array, "b n 2"]:
    """The landmarks that the data knows, or that the network finds."""
    if found is None:
        return batch["landmarks"]
    return found(variables["frozen"][OF_LANDMARKS], batch["face"])


def _seen(model: FaceDecoder, batch: Batch) -> Float[Array, "b s s 3"]:
    """The faces at the decoder's size, 0..1."""
    return resize(batch["face"], model.side).astype(jnp.float32) / 255


def draw(
    model: FaceDecoder, variables: Variables, feature: Float[Array, "b d"], template: Float[Array, "n 2"]
) -> dict[str, Array]:
    """What the decoder makes of features, with "landmarks" and "face"."""
    found: Any = model.apply({"params": variables["params"]["face_decoder"]}, feature)
    points, face = face_decoder.joined(found, template)
    return {**found, "landmarks": points, "face": face}


def loss(
    model: FaceDecoder,
    face: Face,
    found: Landmarks | None,
    variables: Variables,
    batch: Batch,
    key: Array,
    *,
    landmarks: float,
    texture: float,
    picture: float,
    feature: float,
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """Four terms, each with its weight (Cole et al. 2017, section 3.2, but for `picture`).

    landmarks: squared distance, in shares of the picture, a mean over points. texture: absolute error of the face
    warped from its landmarks onto the mean face's. picture: absolute error of the texture warped onto the predicted
    landmarks, 0..1, whose gradient moves the landmarks too. feature: 1 - cosine of what the face network sees in that
    picture and in the face.
    """
    del key
    seen, truth, weights_of_face = _seen(model, batch), _truth(found, variables, batch), _of_face(variables)
    target = jax.lax.stop_gradient(face.feature(weights_of_face, batch["face"]))
    means = {"landmarks": truth, "face": seen, "feature": target}
    known = running_mean.follow(variables["state"]["known"], means)
    template = jax.lax.stop_gradient(known["mean"]["landmarks"])
    flat = warp(seen, truth, jnp.broadcast_to(template[None], truth.shape))
    drawn = draw(model, variables, target, template)
    terms = {
        "landmarks": jnp.mean(jnp.sum(jnp.square(drawn["landmarks"] - truth), -1)),
        "texture": jnp.mean(jnp.abs(drawn["texture"] - flat)),
        "picture": jnp.mean(jnp.abs(drawn["face"] - seen)),
        "feature": jnp.mean(1 - cosine.similarity(face.feature(weights_of_face, 255 * drawn["face"]), target)),
    }
    weights = {"landmarks": landmarks, "texture": texture, "picture": picture, "feature": feature}
    value: Any = sum(weights[name] * term for name, term in terms.items())
    return value, ({"known": known}, terms)


def metrics(model: FaceDecoder, face: Face, found: Landmarks | None, variables: Variables, batch: Batch) -> Figures:
    """Errors of landmarks and picture, and likeness of the features, beside those of the mean face."""
    seen, truth, where = _seen(model, batch), _truth(found, variables, batch), batch["valid"]
    mean, weights = variables["state"]["known"]["mean"], _of_face(variables)
    target = face.feature(weights, batch["face"])
    drawn = draw(model, variables, target, mean["landmarks"])
    still = jnp.broadcast_to(mean["landmarks"][None], truth.shape)
    values = {
        "landmark_error": landmarks.error(truth, drawn["landmarks"]),
        "landmark_error/mean_face": landmarks.error(truth, still),
        "picture_error": jnp.mean(jnp.abs(drawn["face"] - seen), (1, 2, 3)),
        "picture_error/mean_face": jnp.mean(jnp.abs(mean["face"][None] - seen), (1, 2, 3)),
        "feature_cosine": cosine.similarity(face.feature(weights, 255 * drawn["face"]), target),
        "feature_cosine/mean_face": cosine.similarity(jnp.broadcast_to(mean["feature"][None], target.shape), target),
    }
    count = jnp.sum(where, dtype=jnp.float32)
    return {name: (jnp.sum(value, where=where, dtype=jnp.float32), count) for name, value in values.items()}


def as_picture(face: Float[Array, "*shape 3"]) -> Array:
    """0..1 as uint8."""
    return jnp.round(255 * jnp.clip(face, 0, 1)).astype(jnp.uint8)


def dotted(face: Float[Array, "b h w 3"], points: Float[Array, "b n 2"]) -> Float[Array, "b h w 3"]:
    """Faces with their landmarks marked."""
    _, height, width, _ = face.shape
    x, y = (jnp.linspace(0.5 / n, 1 - 0.5 / n, n) for n in (width, height))
    across = jnp.square(x[None, None] - points[..., :1])[:, :, None]  # b n 1 w
    down = jnp.square(y[None, None] - points[..., 1:])[..., None]  # b n h 1
    marked = jnp.min(across + down, 1) < DOT * DOT
    return jnp.where(marked[..., None], jnp.array([0.0, 0.85, 0.3])[None, None, None], face)


def predict(model: FaceDecoder, face: Face, variables: Variables, batch: Batch, key: Array) -> dict[str, Array]:
    """The face, what was drawn of it, and how: landmarks, texture, and both joined by the warp."""
    del key
    seen = _seen(model, batch)
    feature = face.feature(_of_face(variables), batch["face"])
    drawn = draw(model, variables, feature, variables["state"]["known"]["mean"]["landmarks"])
    steps = [seen, dotted(seen * 0.5 + 0.5, drawn["landmarks"]), drawn["texture"], drawn["face"]]
    return {
        "image/picture": as_picture(seen),
        "image/drawn": as_picture(drawn["face"]),
        "image/face_landmarks_texture_warped": as_picture(jnp.concatenate(steps, 2)),
    }
