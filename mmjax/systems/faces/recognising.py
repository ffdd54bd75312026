"""The first part of Speech2Face: a face network learns whom a face is most like, and perhaps how its mouth is open."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmjax.errors import OptionError
from mmjax.losses import classification, divergence
from mmjax.metrics import prior, running_mean
from mmjax.models.vision.face_network import THUMBNAIL, FaceNetwork
from mmjax.ops import collective
from mmjax.ops.pictures import resize
from mmjax.task import Batch, Figures, Task, Update, Variables, bind

FACTORS = ("build", "length", "age", "warmth")  # the columns of `speaker` in the default data
SHAPE = ("opening", "rounding")  # the columns of `mouth_shape`
WORDS = {2: ("low", "high"), 3: ("low", "middle", "high")}


@dataclasses.dataclass(frozen=True)
class Kinds:
    """Identities of a world that draws everyone anew: kinds of people, one for each corner of a grid over the factors.

    Attributes:
      factors: their names.
      levels: of each, evenly spaced over 0..1, at least 2.
    """

    factors: tuple[str, ...]
    levels: int

    @property
    def count(self) -> int:
        """How many kinds there are."""
        return self.levels ** len(self.factors)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the kinds, in their order."""
        words = WORDS.get(self.levels, tuple(map(str, range(self.levels))))
        every = itertools.product(words, repeat=len(self.factors))
        return tuple(", ".join(f"{a} {b}" for a, b in zip(kind, self.factors, strict=True)) for kind in every)

    def likeness(self, speaker: Float[Array, "b k"]) -> Float[Array, "b c"]:
        """How much each speaker is of each kind, a distribution: between two levels of a factor shared as a straight
        line is, so that the nearest kind is the likeliest, and the distribution tells the factors exactly."""
        levels = jnp.linspace(0.0, 1.0, self.levels)
        shares = jnp.maximum(1 - jnp.abs(speaker[..., None] - levels[None, None]) * (self.levels - 1), 0)  # b k l
        found = shares[:, 0]
        for i in range(1, shares.shape[1]):
            found = (found[:, :, None] * shares[:, i, None, :]).reshape(len(found), -1)
        return found


def task(model: FaceNetwork, kinds: Kinds, *, thumbnail: float, flip: bool, mouth: float = 0.0) -> Task:
    """The task of the face network; see `loss` for the numbers. With a weight of the mouth the model must see it."""
    terms = bind(loss, model, kinds, thumbnail=thumbnail, flip=flip, mouth=mouth)
    return Task(
        fields=("face", "speaker", *(("mouth_shape",) if model.mouth else ())),
        init=bind(init, model, kinds),
        updates=(Update("face_network", terms),),
        metrics=bind(metrics, model, kinds),
        predict=bind(predict, model, kinds),
        predicts_from=("face",),
        modalities={"face": ("face",)},
        names={"identity": kinds.names},
        headline=("identity_accuracy", "opening_r2"),
    )


def init(model: FaceNetwork, kinds: Kinds, key: Array, batch: Batch) -> dict[str, Any]:
    """Fresh network, and for the baselines a uniform prior and a mean mouth of nothing."""
    check_factors(kinds.factors, batch)
    made = model.init(key, batch["face"])
    state = {"net": made["state"], "prior": prior.fresh(model.identities)}
    if model.mouth:
        state["mouth"] = running_mean.fresh(jax.ShapeDtypeStruct((len(SHAPE),), jnp.float32))
    return {"params": {"face_network": made["params"]}, "state": state, "frozen": {}}


def check_factors(factors: tuple[str, ...], batch: Batch) -> None:
    """Raises OptionError where there are not as many names as the data has factors: they would name other columns."""
    if factors and "speaker" in batch and batch["speaker"].shape[1] != len(factors):
        raise OptionError("config.factors", f"is {factors}, and the data's speaker has {batch['speaker'].shape[1]}")


def loss(
    model: FaceNetwork,
    kinds: Kinds,
    variables: Variables,
    batch: Batch,
    key: Array,
    *,
    thumbnail: float,
    flip: bool,
    mouth: float = 0.0,
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """Cross-entropy of the kinds in nats, and the squared errors of the picture's colours and of the mouth's shape.

    `thumbnail` and `mouth` are their weights. The colours keep in the features what makes people look different and
    tells no kind: skin, hair, clothes. With `flip` half of the faces are mirrored.
    """
    mirrored = jax.random.bernoulli(collective.local_key(key), 0.5, (len(batch["face"]), 1, 1, 1))
    face = jnp.where(mirrored & flip, jnp.flip(batch["face"], 2), batch["face"])
    own = {"params": variables["params"]["face_network"], "state": variables["state"]["net"]}
    found: Any
    found, updated = model.apply(own, face, train=True, mutable=["state"])
    truth = kinds.likeness(batch["speaker"])
    kind = jnp.mean(classification.soft_cross_entropy(found["identity"], truth))
    colours = jnp.mean(jnp.square(found["thumbnail"] - small(face)))
    state = {"net": updated["state"], "prior": prior.follow(variables["state"]["prior"], truth)}
    value, logs = kind + thumbnail * colours, {"cross_entropy": kind, "thumbnail": colours}
    if model.mouth:
        logs["mouth"] = jnp.mean(jnp.sum(jnp.square(found["mouth"] - batch["mouth_shape"]), -1))
        value += mouth * logs["mouth"]
        state["mouth"] = running_mean.follow(variables["state"]["mouth"], batch["mouth_shape"])
    return value, (state, logs)


def small(face: Array) -> Float[Array, "b 8 8 3"]:
    """The thumbnail that the features are asked for, its values about zero."""
    return resize(face, THUMBNAIL).astype(jnp.float32) / 64 - 2


def _look(model: FaceNetwork, variables: Variables, face: Array) -> dict[str, Array]:
    own = {"params": variables["params"]["face_network"], "state": variables["state"]["net"]}
    found: Any = model.apply(own, face)
    return found


def metrics(model: FaceNetwork, kinds: Kinds, variables: Variables, batch: Batch) -> Figures:
    """How often the nearest kind is found, beside the commonest; KL beside that of the training mean.

    Of a network that sees mouths how far off their shape is, and how much of what differs from the training mean in
    opening and in rounding is explained.
    """
    found, truth = _look(model, variables, batch["face"]), kinds.likeness(batch["speaker"])
    known, where = variables["state"]["prior"], batch["valid"]
    mean, best = jnp.broadcast_to(jnp.log(known["mean"]), truth.shape), jnp.argmax(truth, -1)
    values = {
        "identity_accuracy": jnp.argmax(found["identity"], -1) == best,
        "identity_accuracy/majority": prior.majority(known)[None] == best,
        "identity_kl": divergence.kl(jnp.log(truth), found["identity"], where),
        "identity_kl/training_mean": divergence.kl(jnp.log(truth), mean, where),
    }
    count = jnp.sum(where, dtype=jnp.float32)
    figures = {name: (jnp.sum(value, where=where, dtype=jnp.float32), count) for name, value in values.items()}
    return figures | (_of_mouths(found["mouth"], variables, batch) if model.mouth else {})


def _of_mouths(found: Float[Array, "b 2"], variables: Variables, batch: Batch) -> Figures:
    where, truth = batch["valid"], batch["mouth_shape"]
    mean = jnp.broadcast_to(variables["state"]["mouth"]["mean"][None], truth.shape)
    count, figures = jnp.sum(where, dtype=jnp.float32), {}
    for name, guess in {"mouth_error": found, "mouth_error/training_mean": mean}.items():
        figures[name] = (jnp.sum(jnp.linalg.norm(guess - truth, axis=-1), where=where), count)
    left, all_of_it = (jnp.sum(jnp.square(x - truth), 0, where=where[:, None]) for x in (found, mean))
    for i, name in enumerate(SHAPE):
        figures[f"{name}_r2"] = (all_of_it[i] - left[i], all_of_it[i])
        figures[f"{name}_r2/training_mean"] = (jnp.zeros_like(all_of_it[i]), all_of_it[i])
    return figures


def predict(model: FaceNetwork, kinds: Kinds, variables: Variables, batch: Batch, key: Array) -> dict[str, Array]:
    """The face and how likely each kind is; where the speaker is known, how likely it should be."""
    del key
    found = _look(model, variables, batch["face"])
    out = {"image/picture": jnp.asarray(batch["face"]), "scores/identity": jax.nn.softmax(found["identity"])}
    return out | ({"scores/identity_target": kinds.likeness(batch["speaker"])} if "speaker" in batch else {})
