"""Visual question answering: an answer, out of the most frequent ones, to a question about a picture.

Antol et al. 2015, "VQA: Visual Question Answering"; GT-Vision-Lab/VQA_LSTM_CNN. Beside the network two controls are
trained, one that is given the question alone and one that is given the picture's features alone: what a network with
both knows more than they is what it understands of the two together. How far it leans on each is its perceptual score
(Gat et al. 2021): the share of its accuracy that is lost when the other examples' pictures, or questions, are given.

Longer than other systems, for three networks are trained and each figure has six baselines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Key
from ml_collections import ConfigDict

from mmjax.errors import section
from mmjax.known import encoders, word_table
from mmjax.known.network import Network
from mmjax.losses import classification
from mmjax.metrics import prior, vqa
from mmjax.models.joint.vqa import VQA, with_words
from mmjax.ops import collective
from mmjax.ops.partners import partners
from mmjax.task import Batch, Constants, Features, Figures, Task, Update, Variables, bind

CONTROLS = {"question_only": "question", "image_only": "image"}  # group: fusion
SEES = {"question_only": "words", "image_only": "picture"}  # group: the modality that it is given
SHOWN = 5  # answers of each question


@dataclasses.dataclass(frozen=True)
class Networks:
    """What is evaluated: the network and its controls.

    Attributes:
      encoder: of the pictures.
      model: the network, which the vocabularies in `frozen` size.
      types: whether the data set says what a question asks for.
    """

    encoder: Network
    model: VQA
    types: bool

    def sized(self, frozen: Mapping[str, Any], group: str) -> VQA:
        """The network of a group."""
        fusion = CONTROLS.get(group, self.model.fusion)
        words, answers = len(frozen["question_vocabulary"]), len(frozen["answer_vocabulary"])
        return self.model.clone(vocabulary=words, answers=answers, fusion=fusion)

    def apply(self, variables: Variables, group: str, *inputs: Any, **options: Any) -> Any:
        """What the network of a group makes of its inputs; `options` as of Linen's `apply`."""
        own = variables["params"][group]["answerer"] if group == "net" else variables["params"][group]
        return self.sized(variables["frozen"], group).apply({"params": own}, *inputs, **options)

    def look(
        self, variables: Variables, batch: Batch, train: bool = False
    ) -> tuple[Float[Array, "b ..."], dict[str, Any]]:
        """The pictures' features, and what the encoder adds to the state after this batch."""
        if "image_features" in batch:  # computed once, see `Task.features`
            return batch["image_features"], {}
        layer, state = self.encoder(encoders.parts(variables, "net"), batch["image"], train=train)
        return layer, encoders.beside(state)


def build(config: ConfigDict) -> Task:
    """The task of a config with sections encoder, model and evaluation, and the field `train_encoder`."""
    options, evaluation = dict(config.model), dict(config.evaluation)
    words, typed = options.pop("words"), evaluation["types"]
    with section("config.encoder"):
        encoder = encoders.make(**config.encoder, trained=config.train_encoder)
    with section("config.model"):
        networks = Networks(encoder, VQA(0, 0, **options), typed)
    with section("config.evaluation"):
        vqa.check(**evaluation)
    seen_once = Features("image", bind(encoders.parts, group="net"), bind(encoders.features, encoder))
    kinds = ("question_type",) if typed else ()
    return Task(
        fields=("image", "question_tokens", "answer_label", *(f"{field}_label" for field in kinds)),
        modalities={"picture": ("image",), "words": ("question_tokens",)},
        init=bind(init, networks),
        fill=bind(fill, networks, words),
        needs=(bind(Network.check, encoder),),
        updates=tuple(Update(group, bind(loss, networks, group)) for group in ("net", *CONTROLS)),
        features=None if encoder.trained else seen_once,
        metrics=bind(metrics, networks),
        predict=bind(predict, networks),
        predicts_from=("image", "question_tokens"),
        answers=("text/answer", "scores/answer"),
        distribution=bind(distribution, networks),
        score=bind(vqa.score, **evaluation),
        references=("answers" if evaluation["annotators"] == "ten" else "answer", *kinds),
        headline=("accuracy",),
    )


def init(networks: Networks, key: Key[Array, ""], batch: Batch) -> Variables:
    """Fresh networks as large as the data's vocabularies, which stay beside them, and uniform priors."""
    of_encoder, *keys = jax.random.split(key, 2 + len(CONTROLS))
    frozen = {name: jnp.asarray(batch[name]) for name in ("question_vocabulary", "answer_vocabulary")}
    with section("config.encoder"):
        encoder = networks.encoder.init(of_encoder, batch["image"])
        features, _ = networks.encoder(encoder, batch["image"])
    params = {
        group: networks.sized(frozen, group).init(own, features, batch["question_tokens"])["params"]
        for group, own in zip(("net", *CONTROLS), keys, strict=True)
    }
    params["net"] = {"answerer": params["net"]}
    answers = len(frozen["answer_vocabulary"])
    state: dict[str, Any] = {"prior": prior.fresh(answers)}
    if networks.types:
        state["by_type"] = jnp.zeros((len(batch["question_type_vocabulary"]), answers), jnp.float32)
    return encoders.placed({"params": params, "state": state, "frozen": frozen}, "net", encoder)


def fill(networks: Networks, words: str, variables: Variables, constants: Constants) -> Variables:
    """Published weights of the encoder, and trained vectors of words for whoever reads the question."""
    with section("config.encoder"):
        encoder = networks.encoder.fill(encoders.parts(variables, "net"))
    filled = encoders.placed(variables, "net", encoder)
    if not words:
        return filled
    params = filled["params"]
    readers = (params["net"]["answerer"], params["question_only"])
    with section("config.model"):
        fresh = [reader["question"]["embedding"]["embedding"] for reader in readers]
        tables = word_table.fill(fresh, constants["question_vocabulary"], words)
    net, question = (with_words(reader, table) for reader, table in zip(readers, tables, strict=True))
    return {**filled, "params": {**params, "net": {**params["net"], "answerer": net}, "question_only": question}}


def loss(
    networks: Networks, group: str, variables: Variables, batch: Batch, key: Key[Array, ""]
) -> tuple[Float[Array, ""], tuple[dict[str, Any], Figures]]:
    """The mean cross-entropy of the questions whose answer is in the vocabulary, in nats.

    The image-only control reads the features that the network learns to make, but does not change them.
    """
    label, state = batch["answer_label"], variables["state"]
    features, seen = jnp.zeros((len(label), 1)), dict[str, Any]()
    if group != "question_only":
        features, seen = networks.look(variables, batch, train=group == "net")
    drop = {"dropout": collective.local_key(key)}
    logits = networks.apply(variables, group, features, batch["question_tokens"], train=True, rngs=drop)
    where = label >= 0
    value = collective.mean_where(classification.cross_entropy(logits, label), where)
    right = collective.mean_where(jnp.float32(jnp.argmax(logits, -1) == label), where)
    if group == "net":
        state = {**follow(networks, state, batch), **seen}
    return value, (state, {f"accuracy/{group}": right})


def follow(networks: Networks, state: Mapping[str, Any], batch: Batch) -> dict[str, Any]:
    """The priors after one more batch: of all answers, and counts by type of question."""
    answers = jax.nn.one_hot(batch["answer_label"], len(state["prior"]["mean"]))  # -1: zeros
    new: dict[str, Any] = {"prior": prior.follow(state["prior"], answers, batch["answer_label"] >= 0)}
    if networks.types:
        new["by_type"] = prior.counted(state["by_type"], batch["question_type_label"], answers)
    return new


def _priors(networks: Networks, state: Mapping[str, Any], batch: Batch) -> dict[str, Int[Array, " b"]]:
    """The most frequent answer of training, and that of the question's type, where it is told."""
    most = jnp.broadcast_to(prior.majority(state["prior"]), batch["question_tokens"].shape[:1])
    out = {"most_frequent": most}
    if networks.types and "question_type_label" in batch:
        out["most_frequent_of_type"] = prior.majority_of(state["by_type"], batch["question_type_label"], most)
    return out


def _answer(
    networks: Networks, variables: Variables, batch: Batch
) -> tuple[Float[Array, "b n"], Float[Array, "b n"], dict[str, Float[Array, "b a"]]]:
    """The common-space vectors of picture and question, and the logits of every group."""
    features, _ = networks.look(variables, batch)
    controls = {group: networks.apply(variables, group, features, batch["question_tokens"]) for group in CONTROLS}
    image = networks.apply(variables, "net", features, method="see")
    question = networks.apply(variables, "net", batch["question_tokens"], method="ask")
    return image, question, {"net": networks.apply(variables, "net", image, question, method="answer"), **controls}


def distribution(
    networks: Networks, variables: Variables, batch: Batch
) -> tuple[Int[Array, " b"], dict[str, Float[Array, "b a"]]]:
    """The right answer, and the logits of the network and of the controls."""
    _, _, logits = _answer(networks, variables, batch)
    return batch["answer_label"], {"": logits["net"], **{SEES[group]: logits[group] for group in CONTROLS}}


def metrics(networks: Networks, variables: Variables, batch: Batch) -> dict[str, tuple[Array, Array]]:
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


def predict(networks: Networks, variables: Variables, batch: Batch, key: Key[Array, ""]) -> dict[str, Array]:
    """The picture, the question, the likeliest answers with their probabilities, and what says the same with less."""
    image, question, logits = _answer(networks, variables, batch)
    spelled = variables["frozen"]["answer_vocabulary"]
    other = partners(batch["valid"], key)
    shuffled = {
        "another_picture": networks.apply(variables, "net", image[other], question, method="answer"),
        "another_question": networks.apply(variables, "net", image, question[other], method="answer"),
    }
    scores, best = jax.lax.top_k(jax.nn.softmax(logits["net"]), min(SHOWN, len(spelled)))
    one = {name: jnp.argmax(x, -1) for name, x in {**shuffled, **{g: logits[g] for g in CONTROLS}}.items()}
    one |= _priors(networks, variables["state"], batch)
    truth = {}
    if "answer_label" in batch:  # not where a user asks
        label = batch["answer_label"]
        truth["text/answer_target"] = jnp.where((label >= 0)[:, None], spelled[jnp.maximum(label, 0)], jnp.uint8(0))
    return {
        "image/picture": batch["image"],
        "text/question": variables["frozen"]["question_vocabulary"][batch["question_tokens"]],
        "text/answer": spelled[best],
        **truth,
        "scores/answer": scores,
        **{f"text/{name}": spelled[guess] for name, guess in one.items()},
    }
