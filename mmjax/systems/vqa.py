"""Visual question answering: an answer, out of the most frequent ones, to a question about a picture.

Antol et al. 2015, "VQA: Visual Question Answering"; GT-Vision-Lab/VQA_LSTM_CNN. Beside the network two controls are
trained, one that is given the question alone and one that is given the picture's features alone: what a network with
both knows more than they is what it understands of the two together. How far it leans on each is its perceptual score
(Gat et al. 2021): the share of its accuracy that is lost when the other examples' pictures, or questions, are given.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from ml_collections import ConfigDict

from mmjax.errors import UserError
from mmjax.known import encoders, word_table
from mmjax.losses import classification
from mmjax.metrics import prior, vqa
from mmjax.models.joint.vqa import VQA, with_words
from mmjax.ops import collective
from mmjax.task import Task, Update
from mmjax.text import tokenise

CONTROLS = {"question_only": "question", "image_only": "image"}  # group: fusion
SHOWN = 5  # answers of each question
ANNOTATORS = ("one", "ten")


@dataclasses.dataclass(frozen=True)
class Networks:
    """What is evaluated: the network and its controls, which the vocabularies in `frozen` size.

    Attributes:
      encoder: of the pictures.
      trained: whether its parameters are, and BatchNorm's statistics follow the batches.
      options: of `models.joint.vqa.VQA`.
      types: whether the data set says what a question asks for.
    """

    encoder: encoders.Encoder
    trained: bool
    options: Mapping[str, Any]
    types: bool

    def sized(self, frozen: Mapping[str, Any], group: str = "net") -> VQA:
        """The network of a group."""
        options = {**self.options, **({"fusion": CONTROLS[group]} if group in CONTROLS else {})}
        return VQA(len(frozen["question_vocabulary"]), len(frozen["answer_vocabulary"]), **options)

    def look(self, variables: Mapping[str, Any], image: Any, train: bool = False) -> tuple[Any, Any]:
        """The pictures' features, [b ...], and the encoder's statistics after this batch."""
        weights, state = variables["frozen"]["encoder"], variables["state"].get("encoder", {})
        if self.trained:
            weights = {**weights, **state, "params": variables["params"]["net"]["encoder"]}
        if not (train and state):
            return self.encoder(weights, image), state
        return self.encoder.train(weights, image)


def build(config: ConfigDict) -> Task:
    """The task of a config with sections encoder, model and evaluation, and the field `train_encoder`."""
    options, evaluation = dict(config.model), dict(config.evaluation)
    words = options.pop("words")
    networks = Networks(encoders.make(**config.encoder), config.train_encoder, options, evaluation["types"])
    if networks.encoder.variables is None and not networks.trained:
        raise UserError(f"config.encoder.name {config.encoder.name!r} has no weights: set config.train_encoder")
    VQA(1, 1, **options)  # refuses a wrong option before the data is opened
    for field, choices in (("annotators", ANNOTATORS), ("rules", vqa.RULES)):
        if evaluation[field] not in choices:
            raise UserError(f"config.evaluation.{field} {evaluation[field]!r} is unknown: choose {', '.join(choices)}")
    typed = networks.types
    return Task(
        fields=("image", "question_tokens", "answer_label", *(("question_type_label",) if typed else ())),
        init=functools.partial(init, networks, words),
        updates=tuple(Update(group, functools.partial(loss, networks, group)) for group in ("net", *CONTROLS)),
        metrics=functools.partial(metrics, networks),
        predict=functools.partial(predict, networks),
        score=functools.partial(score, **evaluation),
        references=(
            "answers" if evaluation["annotators"] == "ten" else "answer",
            *(("question_type",) if typed else ()),
        ),
    )


def init(networks, words, key, batch):
    """Fresh networks as large as the data's vocabularies, which stay beside them, and uniform priors."""
    of_encoder, *keys = jax.random.split(key, 2 + len(CONTROLS))
    made = networks.encoder.variables or networks.encoder.model.init(of_encoder, batch["image"])
    made = jax.tree.map(jnp.asarray, dict(made))
    frozen = {name: jnp.asarray(batch[name]) for name in ("question_vocabulary", "answer_vocabulary")}
    features = networks.encoder(made, batch["image"])
    params = {
        group: networks.sized(frozen, group).init(own, features, batch["question_tokens"])["params"]
        for group, own in zip(("net", *CONTROLS), keys, strict=True)
    }
    if words:
        for group in ("net", "question_only"):
            fresh = params[group]["question"]["embedding"]["embedding"]
            params[group] = with_words(params[group], word_table.fill(fresh, batch["question_vocabulary"], words))
    params["net"] = {"answerer": params["net"]}
    answers = len(frozen["answer_vocabulary"])
    state: dict[str, Any] = {"prior": prior.fresh(answers)}
    if networks.trained:
        params["net"]["encoder"] = made.pop("params")
        if "state" in made:
            state["encoder"] = {"state": made.pop("state")}
    if networks.types:
        state["by_type"] = jnp.zeros((len(batch["question_type_vocabulary"]), answers), jnp.float32)
    return {"params": params, "state": state, "frozen": {**frozen, "encoder": made}}


def _own(params, group):
    return {"params": params[group]["answerer"] if group == "net" else params[group]}


def loss(networks, group, variables, batch, key):
    """The mean cross-entropy of the questions whose answer is in the vocabulary, in nats.

    The image-only control reads the features that the network learns to make, but does not change them.
    """
    model, label = networks.sized(variables["frozen"], group), batch["answer_label"]
    features, seen = jnp.zeros((len(label), 1)), variables["state"].get("encoder", {})
    if group != "question_only":
        features, seen = networks.look(variables, batch["image"], train=group == "net")
    drop = {"dropout": collective.local_key(key)}
    logits = model.apply(_own(variables["params"], group), features, batch["question_tokens"], train=True, rngs=drop)
    where = label >= 0
    value = collective.mean_where(classification.cross_entropy(logits, label), where)
    right = collective.mean_where(jnp.float32(jnp.argmax(logits, -1) == label), where)
    state = variables["state"]
    if group == "net":
        state = follow(networks, state, batch) | ({"encoder": seen} if seen else {})
    return value, (state, {f"accuracy/{group}": right})


def follow(networks, state, batch):
    """The priors after one more batch: of all answers, and counts by type of question."""
    answers = jax.nn.one_hot(batch["answer_label"], len(state["prior"]["mean"]))  # -1: zeros
    new = {"prior": prior.follow(state["prior"], answers, batch["answer_label"] >= 0)}
    if networks.types:
        kinds = jax.nn.one_hot(batch["question_type_label"], len(state["by_type"]))
        new["by_type"] = state["by_type"] + collective.total(kinds.T @ answers)
    return new


def _priors(networks, state, batch):
    """The most frequent answer of training, and that of the question's type: {name: int32 [b]}."""
    most = jnp.broadcast_to(prior.majority(state["prior"]), batch["answer_label"].shape)
    out = {"most_frequent": most}
    if networks.types:
        own = state["by_type"][jnp.maximum(batch["question_type_label"], 0)]
        known = (jnp.sum(own, -1) > 0) & (batch["question_type_label"] >= 0)
        out["most_frequent_of_type"] = jnp.where(known, jnp.argmax(own, -1), most)
    return out


def _answer(networks, variables, batch):
    """The common-space vectors of picture and question, and everybody's logits: {group: [b a]}."""
    features, _ = networks.look(variables, batch["image"])
    logits, params = {}, variables["params"]
    for group in CONTROLS:
        model = networks.sized(variables["frozen"], group)
        logits[group] = model.apply(_own(params, group), features, batch["question_tokens"])
    model, own = networks.sized(variables["frozen"]), _own(params, "net")
    image = model.apply(own, features, method="see")
    question = model.apply(own, batch["question_tokens"], method="ask")
    return image, question, {"net": model.apply(own, image, question, method="answer"), **logits}


def metrics(networks, variables, batch):
    """Share of right answers and cross-entropy, beside the controls and the priors; an answer unknown to the
    vocabulary counts as missed and has no cross-entropy."""
    _, _, logits = _answer(networks, variables, batch)
    label, valid, state = batch["answer_label"], batch["valid"], variables["state"]
    names = {"": "net", **{f"/{group}": group for group in CONTROLS}}
    guesses = {k: jnp.argmax(logits[group], -1) for k, group in names.items()}
    guesses |= {f"/{name}": guess for name, guess in _priors(networks, state, batch).items()}
    count = jnp.sum(valid, dtype=jnp.float32)
    figures = {
        f"accuracy{k}": (jnp.sum(guess == label, where=valid, dtype=jnp.float32), count) for k, guess in guesses.items()
    }
    where = valid & (label >= 0)
    mean = jnp.broadcast_to(jnp.log(state["prior"]["mean"])[None], logits["net"].shape)
    known = {**{k: logits[group] for k, group in names.items()}, "/training_mean": mean}
    count = jnp.sum(where, dtype=jnp.float32)
    return figures | {
        f"cross_entropy{k}": (jnp.sum(classification.cross_entropy(x, label, where)), count) for k, x in known.items()
    }


def predict(networks, variables, batch, key):
    """The picture, the question, the likeliest answers with their probabilities, and what says the same with less."""
    image, question, logits = _answer(networks, variables, batch)
    spelled, label = variables["frozen"]["answer_vocabulary"], batch["answer_label"]
    model, own = networks.sized(variables["frozen"]), _own(variables["params"], "net")
    other = partners(batch["valid"], key)
    shuffled = {
        "another_picture": model.apply(own, image[other], question, method="answer"),
        "another_question": model.apply(own, image, question[other], method="answer"),
    }
    scores, best = jax.lax.top_k(jax.nn.softmax(logits["net"]), min(SHOWN, len(spelled)))
    one = {name: jnp.argmax(x, -1) for name, x in {**shuffled, **{g: logits[g] for g in CONTROLS}}.items()}
    one |= _priors(networks, variables["state"], batch)
    return {
        "image/picture": batch["image"],
        "text/question": variables["frozen"]["question_vocabulary"][batch["question_tokens"]],
        "text/answer": spelled[best],
        "text/answer_target": jnp.where((label >= 0)[:, None], spelled[jnp.maximum(label, 0)], jnp.uint8(0)),
        "scores/answer": scores,
        **{f"text/{name}": spelled[guess] for name, guess in one.items()},
    }


def partners(valid, key):
    """Another valid example for each one, drawn at random, int32 [b]: a cyclic shift of a random order."""
    drawn = jax.random.uniform(key, valid.shape)
    order = jnp.argsort(jnp.where(valid, drawn, 2.0))  # what is not valid comes last
    place, count = jnp.arange(len(valid)), jnp.maximum(jnp.sum(valid, dtype=jnp.int32), 1)
    following = order[jnp.where(place < count, (place + 1) % count, place)]
    return jnp.zeros_like(order).at[order].set(following)


def score(predictions, references, *, annotators, rules, types):
    """Accuracy against what people answered, overall and by type of question, and the perceptual scores.

    With ten annotators the figure is the challenge's, under its rules of spelling; with one it is the share of right
    answers. Where the data set names no types, they are the challenge's kinds of answers.
    """
    spelled = {name: _texts(predictions[f"text/{name}"]) for name in _BESIDE if f"text/{name}" in predictions}
    first = _texts(predictions["text/answer"][:, 0])
    if annotators == "ten":
        people, name = [list(map(str, several)) for several in references["answers"]], "vqa_accuracy"
    else:
        people, name, rules = [[tokenise.answer(str(one))] for one in references["answer"]], "accuracy", "none"
    kinds = references["question_type"] if types else [answer_kind(several) for several in people]
    worth = {"": vqa.accuracies(first, people, rules)}
    worth |= {f"/{beside}": vqa.accuracies(texts, people, rules) for beside, texts in spelled.items()}
    figures = {f"{name}{k}": float(np.mean(values)) for k, values in worth.items()}
    for what in ("image", "question"):
        lost = figures[name] - figures[f"{name}/another_{'picture' if what == 'image' else what}"]
        figures[f"perceptual_{what}"] = lost / figures[name] if figures[name] else 0.0
        figures[f"perceptual_{what}/blind"] = 0.0  # what a network scores that is not given it
    kinds = np.array([str(kind) for kind in kinds])
    for kind in sorted(set(kinds)):
        at, safe = kinds == kind, "".join(c if c.isalnum() else "_" for c in kind)
        figures |= {f"{name}_{safe}{k}": float(np.mean(values[at])) for k, values in worth.items()}
    return figures


_BESIDE = (
    "question_only",
    "image_only",
    "most_frequent",
    "most_frequent_of_type",
    "another_picture",
    "another_question",
)


def _texts(values):
    """Strings from UTF-8 letters [n letters], or from what the evaluation made of them [n]."""
    values = np.asarray(values)
    if values.dtype == np.uint8:
        values = np.ascontiguousarray(values).view(f"S{values.shape[-1]}")[..., 0]
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def answer_kind(answers):
    """The kind of an answer as the challenge tells them apart, "yes/no", "number" or "other": of the most frequent."""
    most = max(answers, key=answers.count)
    if most in ("yes", "no"):
        return "yes/no"
    return "number" if most.replace(".", "").replace(",", "").isdigit() else "other"
