"""Systems of two sides whose answers are known: nothing is learned, so that every figure can be worked by hand."""

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.task import Task, bind


def make(answer):
    """A system that answers by `answer(one, two)`, bits of a picture's first pixel and of a first word."""
    return Task(
        fields=("image", "question_tokens", "label"),
        modalities={"picture": ("image",), "words": ("question_tokens",)},
        init=lambda key, batch: {},
        updates=(),
        metrics=bind(metrics, answer),
        predict=bind(predict, answer),
        score=score,
        references=("label",),
    )


def logits_of(answer, batch):
    """Sure of one of two classes, but not quite."""
    one, two = batch["image"][:, 0, 0, 0] > 127, batch["question_tokens"][:, 0] > 0
    return jax.nn.one_hot(jnp.int32(answer(one, two)), 2) * 4.0


def metrics(answer, variables, batch):
    """The share of right answers; and, as no mean over examples, the most that any of the batch has."""
    del variables
    right = jnp.argmax(logits_of(answer, batch), -1) == batch["label"]
    count = jnp.sum(batch["valid"], dtype=jnp.float32)
    among = jnp.sum(right & batch["valid"], dtype=jnp.float32) ** 2 / jnp.maximum(count, 1)
    return {
        "right": (jnp.sum(right, where=batch["valid"], dtype=jnp.float32), count),
        "right/chance": (count / 2, count),
        "squared": (among, count),
        "squared/chance": (count / 4, count),
    }


def predict(answer, variables, batch, key):
    """Probabilities beside the right class."""
    del variables, key
    return {"scores/label": jax.nn.softmax(logits_of(answer, batch)), "label/label_target": batch["label"]}


def score(predictions, references):
    """The share of right answers once more, squared: no sum gives it."""
    hit = np.mean(predictions["scores/label"].argmax(1) == references["label"])
    return {"whole": float(hit**2), "whole/chance": 0.25}


def columns(rng, n, label):
    """Two fair bits, each on its side, and what `label(one, two)` makes of them."""
    one, two = rng.integers(0, 2, (2, n))
    image = np.repeat(one[:, None, None, None] * 255, 3, -1).astype(np.uint8)
    tokens = np.stack([two, np.ones(n, int)], 1).astype(np.int32)
    return {"image": image, "question_tokens": tokens, "label": np.asarray(label(one, two)).astype(np.int32)}
