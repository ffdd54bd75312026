"""Sound tagging: what SoundNet's layers know of sounds, by a linear SVM on each; and SoundNet fine-tuned.

Aytar, Vondrick and Torralba 2016, section 5.1 (eval_esc50.lua, main_finetune.lua): every second of a clip is a sample,
the scores of a clip's seconds are averaged. The table has a row for each layer of the trained network, beside the same
layer with random weights and the majority; for MFCC and log-mel; and for the fine-tuned network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from mmjax import errors
from mmjax.errors import OptionError
from mmjax.known import soundnet_run
from mmjax.known.soundnet_run import TrainedSoundNet
from mmjax.losses import classification
from mmjax.metrics import prior
from mmjax.models.sound import sound_tagger, window_svm
from mmjax.models.sound.sound_tagger import Features
from mmjax.models.sound.soundnet import SoundNet
from mmjax.ops import collective
from mmjax.task import Batch, Constants, Figures, Fit, Task, Update, Variables, bind

UNTRAINED = (
    "no trained SoundNet, so no row of its features, and fine-tuning starts from random weights: "
    "give config.model.soundnet, the workdir of configs/soundnet.py or the path of soundnet8_final.t7 or a .pth"
)
SHOWN = ("pool5", "random_pool5", "log_mel", "mfcc")  # rows whose guesses the report shows
Rows = Callable[[Variables, Batch], dict[str, Array]]  # `observe`, bound


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, features and svm."""
    with errors.section("config.model"):
        model, trained = soundnet_run.make(**config.model)
    with errors.section("config.features"):
        features = Features(**config.features).check(model.depth)
    if not config.svm.cost > 0:
        raise OptionError("config.svm.cost", f"={config.svm.cost}: it must be above 0")
    rows = bind(observe, model, features)
    return Task(
        fields=("waveform", "waveform_length", "label"),
        init=bind(init, model, trained is not None),
        fill=bind(fill, trained),
        updates=(Update("net", bind(loss, model)),),
        metrics=bind(metrics, model, features, rows),
        predict=bind(predict, model, features, rows),
        modalities={"sound": ("waveform",)},
        fit=Fit(rows, bind(solve, features, **config.svm)),
        predicts_from=("waveform", "waveform_length"),
        answers=("scores/finetuned", *(f"label/{row}" for row in SHOWN if not row.startswith("random"))),
        names={"finetuned": "label", **dict.fromkeys(SHOWN, "label")},
        notes=() if trained else (UNTRAINED,),
        headline=("pool5_accuracy", "finetuned_accuracy"),
    )


def init(model: SoundNet, trained: bool, key: Array, batch: Batch) -> dict[str, Any]:
    """A random network; one to be fine-tuned, which is the trained one where there is any; a fresh layer of classes.

    Where the trained network belongs, twice, as it is and to be fine-tuned, there is NaN until `fill`.
    """
    of_random, of_start, of_head = jax.random.split(key, 3)
    draw = jax.vmap(model.init, (0, None))  # both at once: half as many draws to compile
    both = dict(draw(jnp.stack([of_random, of_start]), jnp.zeros((1, 1))))
    fresh, start = jax.tree.map(lambda x: x[0], both), jax.tree.map(lambda x: x[1], both)
    if trained:
        start = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), start)
    classes = batch["label_names"].shape[0]
    head = sound_tagger.fresh_head(of_head, model, _time(batch), classes)
    return {
        "params": {"net": {"trunk": sound_tagger.trunk_of(start), "head": head}},
        "state": {"net": start["state"], "random": fresh["state"], "prior": prior.fresh(classes)},
        "frozen": {"random": fresh["params"], **({"trained": start} if trained else {})},
    }


def fill(trained: TrainedSoundNet | None, variables: Variables, constants: Constants) -> Variables:
    """The trained network in its two places."""
    del constants
    if trained is None:
        return variables
    own, net = trained.variables, variables["params"]["net"]
    return {
        "params": {"net": {**net, "trunk": sound_tagger.trunk_of(own)}},
        "state": {**variables["state"], "net": own["state"]},
        "frozen": {**variables["frozen"], "trained": own},
    }


def loss(
    model: SoundNet, variables: Variables, batch: Batch, key: Array
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """Cross-entropy of the fine-tuned network, which normalises by the batch and goes on from the trained statistics.

    The random network hears the batch too, and nothing of it is trained: its normalisation needs statistics of sounds,
    without which its deeper layers would be almost constant and no fair comparison.
    """
    del key
    x, updated = _trunk(model, variables, batch, train=True)
    out = sound_tagger.logits(variables["params"]["net"]["head"], x)
    where = batch["label"] >= 0
    value = collective.mean_where(classification.cross_entropy(out, batch["label"]), where)
    state, classes = variables["state"], out.shape[-1]
    random = {"params": variables["frozen"]["random"], "state": state["random"]}
    _, heard = sound_tagger.trunk(model, random, batch["waveform"], batch["waveform_length"], True)
    target = jax.nn.one_hot(batch["label"], classes)
    return value, ({"net": updated, "random": heard, "prior": prior.follow(state["prior"], target, where)}, {})


def _trunk(model: SoundNet, variables: Variables, batch: Batch, train: bool) -> tuple[Float[Array, "b s c"], Any]:
    own = {"params": variables["params"]["net"]["trunk"], "state": variables["state"]["net"]}
    return sound_tagger.trunk(model, own, batch["waveform"], batch["waveform_length"], train)


def observe(model: SoundNet, features: Features, variables: Variables, batch: Batch) -> dict[str, Array]:
    """{row: features of the clip's steps [b s c]} of every row that an SVM judges; "label", and "time" in samples."""
    frozen, sound = variables["frozen"], (batch["waveform"], batch["waveform_length"])
    random = {"params": frozen["random"], "state": variables["state"]["random"]}
    rows = sound_tagger.of_network(model, frozen["trained"], features, *sound) if "trained" in frozen else {}
    noise = sound_tagger.of_network(model, random, features, *sound)
    rows = rows | {f"random_{layer}": x for layer, x in noise.items()}
    about = {"time": jnp.full(batch["waveform"].shape[0], _time(batch), jnp.int32)}
    if "label" in batch:  # not where a user predicts
        about["label"] = batch["label"]
    return rows | sound_tagger.of_sound(features, *sound) | about


def solve(
    features: Features, variables: Variables, observed: Mapping[str, np.ndarray], *, cost: float, standardise: bool
) -> dict[str, Any]:
    """{row: its SVM, see `window_svm.fit`}."""
    classes, time = len(variables["state"]["prior"]["mean"]), int(observed["time"][0])
    rows = {row: x for row, x in observed.items() if row not in ("label", "time")}
    return window_svm.fit_rows(rows, observed["label"], classes, features, time, cost, standardise)


def judge(features: Features, rows: Rows, variables: Variables, batch: Batch) -> dict[str, Float[Array, "b c"]]:
    """{row: the scores of its SVM}."""
    observed, time = rows(variables, batch), _time(batch)
    fitted = variables["fitted"]
    return {row: window_svm.scores(fitted[row], observed[row], features, time, row) for row in fitted}


def metrics(model: SoundNet, features: Features, rows: Rows, variables: Variables, batch: Batch) -> Figures:
    """Accuracy of every row beside the majority; a layer of the trained network beside that layer of the random one."""
    label, where = batch["label"], batch["valid"] & (batch["label"] >= 0)
    majority = prior.majority(variables["state"]["prior"])[None] == label
    right = {"finetuned": jnp.argmax(_classify(model, variables, batch), -1) == label}
    if "fitted" in variables:
        judged = judge(features, rows, variables, batch)
        right |= {row: jnp.argmax(scores, -1) == label for row, scores in judged.items()}
    figures: Figures = {}
    for row, values in right.items():
        figures |= {f"{row}_accuracy": values, f"{row}_accuracy/majority": majority}
        if f"random_{row}" in right:
            figures[f"{row}_accuracy/random_weights"] = right[f"random_{row}"]
    count = jnp.sum(where, dtype=jnp.float32)
    beside = {f"random_{row}_accuracy" for row in right if f"random_{row}" in right}
    return {
        name: (jnp.sum(values, where=where, dtype=jnp.float32), count)
        for name, values in figures.items()
        if name.partition("/")[0] not in beside  # they are the trained layers' baselines already
    }


def _classify(model: SoundNet, variables: Variables, batch: Batch) -> Float[Array, "b c"]:
    x, _ = _trunk(model, variables, batch, train=False)
    return sound_tagger.logits(variables["params"]["net"]["head"], x)


def predict(
    model: SoundNet, features: Features, rows: Rows, variables: Variables, batch: Batch, key: Array
) -> dict[str, Array]:
    """The clip, its features, what they still hold of it (Griffin-Lim from the mel bands), and the guesses."""
    shown = sound_tagger.spectra(features, batch["waveform"])
    out = {
        "audio/clip": batch["waveform"],
        "audio/griffin_lim_of_mel": sound_tagger.rebuilt(features, shown["energy"], _time(batch), key),
        "heatmap/mel": shown["mel"],
        "heatmap/mfcc": shown["mfcc"],
        "scores/finetuned": jax.nn.softmax(_classify(model, variables, batch)),
    }
    if "label" in batch:  # not where a user predicts
        out["label/finetuned_target"] = batch["label"]
    if "fitted" not in variables:
        return out
    judged = judge(features, rows, variables, batch)
    for row in SHOWN:
        if row in judged:
            out[f"label/{row}"] = jnp.argmax(judged[row], -1).astype(jnp.int32)
            if "label" in batch:
                out[f"label/{row}_target"] = batch["label"]
    return out


def _time(batch: Batch) -> int:
    return batch["waveform"].shape[1]
