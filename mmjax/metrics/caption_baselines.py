"""Captions without a captioner, and the figures of a split beside them: the most frequent caption of the training
split, one drawn at random, and that of the training picture whose features are nearest (Devlin et al. 2015, "Exploring
Nearest Neighbor Approaches for Image Captioning")."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Key

from mmjax.metrics import caption
from mmjax.ops.vectors import unit
from mmjax.text import vocabulary

BASELINES = ("most_frequent", "random", "nearest_picture")


def direction(layer: Float[Array, "b ..."]) -> Float[Array, "b d"]:
    """The mean over places of a picture's map [b i j d], or its vector [b d], with the length 1."""
    mean = jnp.mean(layer, (1, 2)) if layer.ndim == 4 else layer
    return unit(mean.astype(jnp.float32))


def solve(variables: Any, observed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the baselines know: features [n d] and captions [n t] of the training split, and its most frequent one."""
    del variables
    rows, counts = np.unique(observed["tokens"], axis=0, return_counts=True)
    return {**observed, "most_frequent": rows[np.argmax(counts)]}


def captions(
    known: Mapping[str, Array], pictures: Float[Array, "b d"], key: Key[Array, ""]
) -> dict[str, Int[Array, "b t"]]:
    """The baselines' captions of pictures.

    Args:
      known: what `solve` returned.
      pictures: what `direction` returned.
      key: draws the random ones.
    """
    nearest = jnp.argmax(pictures @ known["features"].T, -1)
    any_one = jax.random.randint(key, nearest.shape, 0, len(known["tokens"]))
    most = jnp.broadcast_to(known["most_frequent"][None], (pictures.shape[0], len(known["most_frequent"])))
    return dict(zip(BASELINES, (most, known["tokens"][any_one], known["tokens"][nearest]), strict=True))


def score(
    java: tuple[str, ...], predictions: Mapping[str, Any], references: Mapping[str, Any], *, rules: str = "unicode"
) -> dict[str, float]:
    """Perplexity; and BLEU-1 to 4, ROUGE-L and CIDEr-D as coco-caption computes them, beside the baselines.

    Args:
      java: names of those that need it, "meteor" and "spice".
      predictions: "number/nats" [n 3], see `predictions.NUMBERS`; "text/caption" and, once they are known, those of the
        baselines, words of a vocabulary [n t].
      references: "captions", several a picture.
      rules: by which sentences are cut, config.data.tokens.rules.
    """
    nats, unigram, words = np.sum(predictions["number/nats"], 0, dtype=np.float64)
    words = max(words, 1.0)
    figures = {"perplexity": math.exp(nats / words), "perplexity/unigram": math.exp(unigram / words)}
    texts = {name: predictions[f"text/{name}"] for name in ("caption", *BASELINES) if f"text/{name}" in predictions}
    if len(texts) == 1:  # nothing to compare with before the baselines have seen the training split
        return figures
    people = [list(map(str, several)) for several in references["captions"]]
    joined = {name: [vocabulary.join(row) for row in rows] for name, rows in texts.items()}
    found = {name: caption.scores(said, people, java, rules) for name, said in joined.items()}
    for figure, value in found["caption"].items():
        figures[figure] = value
        figures |= {f"{figure}/{name}": found[name][figure] for name in BASELINES}
    return figures
