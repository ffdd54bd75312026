"""A linear SVM on a row of sound features: every window is a sample, and the scores of a clip's windows are averaged.

Aytar, Vondrick and Torralba 2016, section 5.1 (eval_esc50.lua).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmjax.errors import UserError
from mmjax.models.sound.sound_tagger import SOUND, Features, moments, windows
from mmjax.ops import linear_svm


def samples(features: Features, time: int, row: str, x: Float[Array, "n s c"]) -> Float[Array, "n w d"]:
    """The windows of a row, a layer's name or one of SOUND, of clips of `time` samples."""
    width = features.width(x.shape[1], time)
    return moments(x, width) if row in SOUND else windows(x, width)


@functools.partial(jax.jit, static_argnames=("features", "time", "row", "classes", "standardise"))
def fit(
    observed: Float[Array, "n s c"],
    label: Int[Array, " n"],
    cost: float,
    *,
    features: Features,
    time: int,
    row: str,
    classes: int,
    standardise: bool,
) -> dict[str, Array]:
    """The SVM of a row: "weights" [d c], "bias" [c], and "mean" and "deviation" [d] by which windows are standardised.

    One program a row, and not one for each operation of it.

    Args:
      observed: the row of every clip.
      label: 0..classes-1.
      cost: of `linear_svm.fit`.
      features: whose windows are meant.
      time: samples of a clip.
      row: a layer's name or one of SOUND.
      classes: how many.
      standardise: whether the windows are brought to mean 0 and deviation 1; otherwise they are taken as they are.
    """
    x = samples(features, time, row, observed)
    count, x = x.shape[1], x.reshape(-1, x.shape[-1])
    mean, deviation = jnp.zeros(x.shape[1]), jnp.ones(x.shape[1])
    if standardise:
        mean, deviation = jnp.mean(x, 0), jnp.maximum(jnp.std(x, 0), 1e-6)
    svm = linear_svm.fit((x - mean[None]) / deviation[None], jnp.repeat(label, count), classes, cost)
    return {**svm._asdict(), "mean": mean, "deviation": deviation}


def fit_rows(
    rows: Mapping[str, Float[np.ndarray, "n s c"]],
    label: Int[np.ndarray, " n"],
    classes: int,
    features: Features,
    time: int,
    cost: float,
    standardise: bool,
) -> dict[str, dict[str, np.ndarray]]:
    """{row: its SVM} of several rows, as NumPy arrays; clips whose label is -1 do not count.

    The paper takes the network's features as they are; MFCC and log-mel, in decibels, are always standardised.
    """
    known = label >= 0
    one = functools.partial(fit, label=label[known], cost=cost, features=features, time=time, classes=classes)
    fitted = {row: one(x[known], row=row, standardise=standardise or row in SOUND) for row, x in rows.items()}
    return jax.tree.map(np.asarray, fitted)


def scores(
    fitted: Mapping[str, Array], observed: Float[Array, "b s c"], features: Features, time: int, row: str
) -> Float[Array, "b c"]:
    """The scores of each clip for each class; arguments as for `fit`.

    Raises:
      UserError: clips too short for the windows that it was fitted on.
    """
    x = samples(features, time, row, observed)
    if x.shape[-1] != len(fitted["mean"]):
        raise UserError(
            f"waveform: sounds of {time:,} samples do not fill the windows that {row} was fitted on: pad them with "
            "silence to the length of the training clips, and give waveform_length"
        )
    svm = linear_svm.LinearSVM(jnp.asarray(fitted["weights"]), jnp.asarray(fitted["bias"]))
    return jnp.mean(svm.scores((x - fitted["mean"][None, None]) / fitted["deviation"][None, None]), 1)
