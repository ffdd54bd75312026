"""SoundNet: a sound network learns from visual recognition networks that see only the frames.

Aytar, Vondrick and Torralba 2016, "SoundNet: Learning Sound Representations from Unlabeled Video", eq. 1: the sum
over teachers of KL(teacher(frame) || student(sound)). No label is ever read.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
from jax import numpy as jnp
from ml_collections import ConfigDict

from mmjax.errors import UserError
from mmjax.known import teachers
from mmjax.losses import divergence
from mmjax.metrics import prior, retrieval
from mmjax.models.sound import soundnet
from mmjax.models.sound.soundnet import SoundNet
from mmjax.task import Task, Update

REDUCTIONS = ("element", "example")


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, teacher and loss, and the field `vision` (image or frames)."""
    if config.vision not in ("image", "frames"):
        raise UserError(f"config.vision is {config.vision!r}: choose 'image' or 'frames'")
    if config.loss.reduction not in REDUCTIONS:
        raise UserError(f"config.loss.reduction is {config.loss.reduction!r}: choose one of {', '.join(REDUCTIONS)}")
    teacher = teachers.make(**config.teacher)
    model = SoundNet(objects=len(teacher.names["object"]), scenes=len(teacher.names.get("scene", ())), **config.model)
    see = functools.partial(targets, teacher.apply, config.vision, model.depth)
    return Task(
        fields=(config.vision, "waveform", "waveform_length"),
        init=functools.partial(init, model, teacher),
        updates=(Update("sound", functools.partial(loss, model, see, **config.loss)),),
        metrics=functools.partial(metrics, model, see),
        predict=functools.partial(predict, model, see, config.vision),
        score=score,
        names=teacher.names,
        notes=teacher.notes,
    )


def init(model, teacher, key, batch):
    """Fresh student, given teacher, and a uniform prior for the baselines."""
    made = model.init(key, soundnet.scale(jnp.asarray(batch["waveform"])), batch["waveform_length"])
    priors = {head: prior.fresh(len(names)) for head, names in teacher.names.items()}
    return {
        "params": {"sound": made["params"]},
        "state": {"net": made["state"], "prior": priors},
        "frozen": jax.tree.map(jnp.asarray, teacher.variables),
    }


def targets(apply, vision, depth, frozen, batch):
    """The teacher's log-probabilities of each output step: those of the frame nearest in time, {head: [b s c]}.

    A clip that is tiled up to the network's minimum is seen again with each repetition of its sound.
    """
    picture = batch[vision] if vision == "frames" else batch[vision][:, None]
    seen = jax.lax.stop_gradient(apply(frozen, picture))
    samples = max(batch["waveform"].shape[1], soundnet.minimum(depth))
    steps = soundnet.output_steps(samples, depth)
    centre = (jnp.arange(steps, dtype=jnp.float32) + 0.5) * jnp.float32(samples / steps)
    length = jnp.maximum(batch["waveform_length"], 1).astype(jnp.float32)[:, None]
    place = jnp.mod(centre[None], length) / length  # [b s] in 0..1 of the clip
    frame = jnp.floor(place * jnp.float32(picture.shape[1])).astype(jnp.int32)
    frame = jnp.minimum(frame, picture.shape[1] - 1)  # a place just below 1 may round up to it
    return {head: jnp.take_along_axis(x, frame[..., None], axis=1) for head, x in seen.items()}


def loss(model, see, variables, batch, key, *, weight, reduction):
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
    value = weight * sum(term / size[head] for head, term in terms.items()) / len(terms)
    known = variables["state"]["prior"]
    priors = {head: prior.follow(known[head], _frame_mean(teacher[head], where)) for head in student}
    return value, ({"net": updated, "prior": priors}, {f"kl/{head}": term for head, term in terms.items()})


def _hear(model, variables, batch, train):
    """The student's logits per step and `where`, and its new BatchNorm statistics."""
    own = {"params": variables["params"]["sound"], "state": variables["state"]["net"]}
    wave = soundnet.scale(batch["waveform"])
    if not train:
        return model.apply(own, wave, batch["waveform_length"]), own["state"]
    out, updated = model.apply(own, wave, batch["waveform_length"], train=True, mutable=["state"])
    return out, updated["state"]


def _frame_mean(log_probs, where):
    """Probabilities averaged over the steps that count, [b c]."""
    weights = where.astype(jnp.float32)[..., None]
    return jnp.sum(jnp.exp(log_probs) * weights, 1) / jnp.sum(weights, 1)


def metrics(model, see, variables, batch):
    """KL and agreement with the teacher's top class, beside the training mean and the training majority."""
    teacher = see(variables["frozen"], batch)
    student, _ = _hear(model, variables, batch, train=False)
    where, valid = student.pop("where"), batch["valid"]
    count = jnp.sum(valid, dtype=jnp.float32)
    figures = {}
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


def predict(model, see, vision, variables, batch, key):
    """The clip's picture and sound, and both networks' class probabilities averaged over its steps."""
    del key
    teacher = see(variables["frozen"], batch)
    student, _ = _hear(model, variables, batch, train=False)
    where = student.pop("where")
    picture = batch[vision]
    out = {
        "image/picture": picture[:, picture.shape[1] // 2] if vision == "frames" else picture,
        "audio/sound": batch["waveform"],
    }
    for head, logits in student.items():
        out[f"scores/{head}"] = _frame_mean(jax.nn.log_softmax(logits), where)
        out[f"scores/{head}_target"] = _frame_mean(teacher[head], where)
    return out


def score(predictions, references):
    """Retrieval of the right picture by its sound: galleries are ranked by -KL(teacher(picture) || student(sound)).

    Of all heads together. The gallery is the whole split; chance is a random order.
    """
    del references
    heads = [name for name in predictions if name.startswith("scores/") and not name.endswith("_target")]
    similarity = sum(_minus_kl(predictions[f"{head}_target"], predictions[head]) for head in heads)
    figures = {"picture_median_rank": retrieval.median_rank(similarity)}
    figures["picture_median_rank/chance"] = retrieval.chance_median_rank(similarity.shape)
    for k in (1, 10):
        figures[f"picture_r@{k}"] = retrieval.recall_at_k(similarity, k)
        figures[f"picture_r@{k}/chance"] = retrieval.chance_recall_at_k(similarity.shape, k)
    return figures


def _minus_kl(truth, guess):
    """[sounds pictures] of -KL(truth_j || guess_i)."""
    truth, guess = np.maximum(truth, 1e-9), np.maximum(guess, 1e-9)
    return np.log(guess) @ truth.T - np.sum(truth * np.log(truth), -1)[None]
