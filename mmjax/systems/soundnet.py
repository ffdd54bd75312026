"""SoundNet: a sound network learns from visual recognition networks that see only the frames.

Aytar, Vondrick and Torralba 2016, "SoundNet: Learning Sound Representations from Unlabeled Video", eq. 1: the sum
over teachers of KL(teacher(frame) || student(sound)). No label is ever read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float
from ml_collections import ConfigDict

from mmjax import errors
from mmjax.errors import OptionError
from mmjax.known import teachers
from mmjax.known.teachers import Heads, Teacher
from mmjax.losses import divergence
from mmjax.metrics import prior, retrieval
from mmjax.models.sound import soundnet
from mmjax.models.sound.soundnet import SoundNet
from mmjax.task import Batch, Constants, Figures, Task, Update, Variables, bind

VISIONS = ("image", "frames")
REDUCTIONS = ("element", "example")
NO_SCENES = (
    "no scene teacher: give the path of resnet18_places365.pth.tar (http://places2.csail.mit.edu) as "
    "config.teacher.scenes to have one"
)
See = Callable[[Any, Batch], Heads]  # `targets`, bound


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, teacher and loss, and the field `vision` (image or frames)."""
    if config.vision not in VISIONS:
        raise OptionError("config.vision", f"is {config.vision!r}: choose one of {', '.join(VISIONS)}")
    if config.loss.reduction not in REDUCTIONS:
        wrong = f"is {config.loss.reduction!r}: choose one of {', '.join(REDUCTIONS)}"
        raise OptionError("config.loss.reduction", wrong)
    with errors.section("config.teacher"):
        teacher = teachers.make(**config.teacher)
    names = teacher.names
    with errors.section("config.model"):
        model = SoundNet(objects=len(names["object"]), scenes=len(names.get("scene", ())), **config.model).checked()
    see = bind(targets, teacher, config.vision, model.depth)
    return Task(
        fields=(config.vision, "waveform", "waveform_length"),
        init=bind(init, model, teacher, config.vision),
        fill=bind(fill, teacher),
        needs=(bind(Teacher.check, teacher),),
        updates=(Update("sound", bind(loss, model, see, **config.loss)),),
        metrics=bind(metrics, model, see),
        predict=bind(predict, model, see, config.vision),
        predicts_from=("waveform", "waveform_length"),
        score=score,
        # The picture is what is asked for: the teacher names it and retrieval finds it. Only the sound goes in.
        modalities={"sound": ("waveform",)},
        names=names,
        notes=() if "scene" in names else (NO_SCENES,),
        headline=("object_agreement", "scene_agreement", "picture_r@1"),
        channels=model.channels("params/sound", "state/net"),
    )


def init(model: SoundNet, teacher: Teacher, vision: str, key: Array, batch: Batch) -> dict[str, Any]:
    """Fresh student, the tree of the teacher's weights, and a uniform prior for the baselines."""
    made = model.init(key, jnp.zeros((1, 1)))  # no shape depends on the clip's length
    priors = {head: prior.fresh(len(names)) for head, names in teacher.names.items()}
    return {
        "params": {"sound": made["params"]},
        "state": {"net": made["state"], "prior": priors},
        "frozen": teacher.init(_frames(batch, vision)),
    }


def fill(teacher: Teacher, variables: Variables, constants: Constants) -> dict[str, Any]:
    """The teacher's published weights."""
    del constants
    return {**variables, "frozen": teacher.load(variables["frozen"])}


def _frames(batch: Batch, vision: str) -> Array:
    """What the teacher sees, [b f h w 3]: one frame where the data has a picture."""
    return batch[vision] if vision == "frames" else batch[vision][:, None]


def targets(teacher: Teacher, vision: str, depth: int, frozen: Any, batch: Batch) -> dict[str, Float[Array, "b s c"]]:
    """The teacher's log-probabilities of each output step: those of the frame nearest in time, {head: [b s c]}.

    A clip that is tiled up to the network's minimum is seen again with each repetition of its sound.
    """
    picture = _frames(batch, vision)
    seen = jax.lax.stop_gradient(teacher(frozen, picture))
    samples = max(batch["waveform"].shape[1], soundnet.minimum(depth))
    steps = soundnet.output_steps(samples, depth)
    centre = (jnp.arange(steps, dtype=jnp.float32) + 0.5) * jnp.float32(samples / steps)
    length = jnp.maximum(batch["waveform_length"], 1).astype(jnp.float32)[:, None]
    place = jnp.mod(centre[None], length) / length  # [b s] in 0..1 of the clip
    frame = jnp.floor(place * jnp.float32(picture.shape[1])).astype(jnp.int32)
    frame = jnp.minimum(frame, picture.shape[1] - 1)  # a place just below 1 may round up to it
    return {head: jnp.take_along_axis(x, frame[..., None], axis=1) for head, x in seen.items()}


def loss(
    model: SoundNet, see: See, variables: Variables, batch: Batch, key: Array, *, weight: float, reduction: str
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """weight x the mean over heads of KL(teacher || student).

    reduction "element" divides each head's KL by its number of classes, as the official main_train.lua does
    (Torch's DistKLDivCriterion averages over elements, hence its weight of 250); "example" is eq. 1 of the paper.
    """
    del key
    teacher = see(variables["frozen"], batch)
    student, updated = _hear(model, variables, batch, train=True)
    where = student.pop("where")
    terms = {head: jnp.mean(divergence.kl(teacher[head], logits, where)) for head, logits in student.items()}
    size = {head: logits.shape[-1] if reduction == "element" else 1 for head, logits in student.items()}
    value: Any = weight * sum(term / size[head] for head, term in terms.items()) / len(terms)
    known = variables["state"]["prior"]
    priors = {head: prior.follow(known[head], _frame_mean(teacher[head], where)) for head in student}
    return value, ({"net": updated, "prior": priors}, {f"kl/{head}": term for head, term in terms.items()})


def _hear(model: SoundNet, variables: Variables, batch: Batch, train: bool) -> tuple[dict[str, Array], Any]:
    """The student's logits per step and `where`, and its new BatchNorm statistics."""
    own = {"params": variables["params"]["sound"], "state": variables["state"]["net"]}
    wave = soundnet.scale(batch["waveform"])
    if not train:
        heard: Any = model.apply(own, wave, batch["waveform_length"])
        return heard, own["state"]
    heard, updated = model.apply(own, wave, batch["waveform_length"], train=True, mutable=["state"])
    return heard, updated["state"]


def _frame_mean(log_probs: Float[Array, "b s c"], where: Bool[Array, "b s"]) -> Float[Array, "b c"]:
    """Probabilities averaged over the steps that count, [b c]."""
    weights = where.astype(jnp.float32)[..., None]
    return jnp.sum(jnp.exp(log_probs) * weights, 1) / jnp.sum(weights, 1)


def metrics(model: SoundNet, see: See, variables: Variables, batch: Batch) -> Figures:
    """KL and agreement with the teacher's top class, beside the training mean and the training majority."""
    teacher = see(variables["frozen"], batch)
    student, _ = _hear(model, variables, batch, train=False)
    where, valid = student.pop("where"), batch["valid"]
    count = jnp.sum(valid, dtype=jnp.float32)
    figures: Figures = {}
    for head, logits in student.items():
        known = variables["state"]["prior"][head]
        truth = _frame_mean(teacher[head], where)
        guess = _frame_mean(jax.nn.log_softmax(logits), where)
        mean = jnp.broadcast_to(jnp.log(known["mean"]), logits.shape)
        agreed = {"": jnp.argmax(guess, -1), "/majority": prior.majority(known)[None]}
        figures |= {
            f"{head}_kl": divergence.kl(teacher[head], logits, where),
            f"{head}_kl/training_mean": divergence.kl(teacher[head], mean, where),
            **{f"{head}_agreement{k}": v == jnp.argmax(truth, -1) for k, v in agreed.items()},
        }
    return {name: (jnp.sum(value, where=valid, dtype=jnp.float32), count) for name, value in figures.items()}


def predict(model: SoundNet, see: See, vision: str, variables: Variables, batch: Batch, key: Array) -> dict[str, Array]:
    """The clip's sound and the student's class probabilities averaged over its steps; with a picture the teacher's."""
    del key
    student, _ = _hear(model, variables, batch, train=False)
    where = student.pop("where")
    out = {"audio/sound": batch["waveform"]}
    out |= {f"scores/{head}": _frame_mean(jax.nn.log_softmax(logits), where) for head, logits in student.items()}
    if vision in batch:
        teacher, frames = see(variables["frozen"], batch), _frames(batch, vision)
        out["image/picture"] = frames[:, frames.shape[1] // 2]
        out |= {f"scores/{head}_target": _frame_mean(teacher[head], where) for head in student}
    return out


def score(predictions: Mapping[str, np.ndarray], references: Mapping[str, np.ndarray]) -> Figures:
    """Retrieval of the right picture by its sound: galleries are ranked by -KL(teacher(picture) || student(sound)).

    Of all heads together. The gallery is the whole split; chance is a random order.
    """
    del references
    heads = [name for name in predictions if name.startswith("scores/") and not name.endswith("_target")]
    similarity: Any = sum(_minus_kl(predictions[f"{head}_target"], predictions[head]) for head in heads)
    figures = {"picture_median_rank": retrieval.median_rank(similarity)}
    figures["picture_median_rank/chance"] = retrieval.chance_median_rank(similarity.shape)
    for k in (1, 10):
        figures[f"picture_r@{k}"] = retrieval.recall_at_k(similarity, k)
        figures[f"picture_r@{k}/chance"] = retrieval.chance_recall_at_k(similarity.shape, k)
    return figures


def _minus_kl(truth: Float[np.ndarray, "n c"], guess: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n n"]:
    """[sounds pictures] of -KL(truth_j || guess_i)."""
    truth, guess = np.maximum(truth, 1e-9), np.maximum(guess, 1e-9)
    return np.log(guess) @ truth.T - np.sum(truth * np.log(truth), -1)[None]
