"""Sound tagging: what SoundNet's layers know of sounds, by a linear SVM on each; and SoundNet fine-tuned.

Aytar, Vondrick and Torralba 2016, section 5.1 (eval_esc50.lua, main_finetune.lua): every second of a clip is a sample,
the scores of a clip's seconds are averaged. The table has a row for each layer of the trained network, beside the same
layer with random weights and the majority; for MFCC and log-mel; and for the fine-tuned network.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
from jax import numpy as jnp
from ml_collections import ConfigDict

from mmjax.errors import UserError
from mmjax.known import soundnet_run
from mmjax.losses import classification
from mmjax.metrics import prior
from mmjax.models.sound import sound_tagger, soundnet
from mmjax.models.sound.sound_tagger import Features
from mmjax.models.sound.soundnet import SoundNet
from mmjax.ops import collective, linear_svm
from mmjax.ops.sound.mel import mel_filterbank
from mmjax.ops.sound.phase import griffin_lim
from mmjax.task import Fit, Task, Update

UNTRAINED = (
    "no trained SoundNet, so no row of its features, and fine-tuning starts from random weights: "
    "give config.model.soundnet, the workdir of configs/soundnet.py or the path of sound8.npy or a .pth"
)
SOUND = ("log_mel", "mfcc")
SHOWN = ("pool5", "random_pool5", "log_mel", "mfcc")  # rows whose guesses the report shows


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, features and svm."""
    model, trained = network(**config.model)
    features = Features(**config.features).check(model.depth)
    if not config.svm.cost > 0:
        raise UserError(f"config.svm.cost={config.svm.cost}: it must be above 0")
    rows = functools.partial(observe, model, features)
    return Task(
        fields=("waveform", "waveform_length", "label"),
        init=functools.partial(init, model, trained),
        updates=(Update("net", functools.partial(loss, model)),),
        metrics=functools.partial(metrics, model, features, rows),
        predict=functools.partial(predict, model, features, rows),
        fit=Fit(rows, functools.partial(solve, features, **config.svm)),
        names={"finetuned": "label", **dict.fromkeys(SHOWN, "label")},
        notes=() if trained else (UNTRAINED,),
    )


def network(*, soundnet, depth, width, dtype):
    """The SoundNet and its trained weights; a fresh one of the given size, and None, where there is no path."""
    if soundnet:
        return soundnet_run.load(soundnet, dtype)
    return SoundNet(depth=depth, width=width, dtype=dtype), None


def init(model, trained, key, batch):
    """The trained network twice, as it is and to be fine-tuned; a random one of its shape; a fresh layer of classes."""
    of_random, of_start, of_head = jax.random.split(key, 3)
    wave = jnp.zeros((1, 1))
    fresh = model.init(of_random, wave)
    start = trained if trained else model.init(of_start, wave)
    start = jax.tree.map(jnp.asarray, dict(start))
    classes, time = batch["label_names"].shape[0], _time(batch)
    trunk = {name: tree for name, tree in start["params"].items() if name not in ("object", "scene")}
    return {
        "params": {"net": {"trunk": trunk, "head": sound_tagger.fresh_head(of_head, model, time, classes)}},
        "state": {"net": start["state"], "random": fresh["state"], "prior": prior.fresh(classes)},
        "frozen": {"random": fresh["params"], **({"trained": start} if trained else {})},
    }


def loss(model, variables, batch, key):
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
    _, heard = _apply(model, random, batch, train=True)
    target = jax.nn.one_hot(batch["label"], classes)
    return value, ({"net": updated, "random": heard, "prior": prior.follow(state["prior"], target, where)}, {})


def _trunk(model, variables, batch, train):
    own = {"params": variables["params"]["net"]["trunk"], "state": variables["state"]["net"]}
    return _apply(model, own, batch, train)


def _apply(model, own, batch, train):
    """Activations of the trunk, and its batch statistics."""
    call = functools.partial(model.apply, layer=sound_tagger.top(model.depth), train=train, method="features")
    wave = soundnet.scale(batch["waveform"])
    if not train:
        return call(own, wave, batch["waveform_length"]), own["state"]
    x, updated = call(own, wave, batch["waveform_length"], mutable=["state"])
    return x, updated["state"]


def observe(model, features, variables, batch):
    """{row: features of the clip's steps [b s c]} of every row that an SVM judges; "label", and "time" in samples."""
    frozen, sound = variables["frozen"], (batch["waveform"], batch["waveform_length"])
    random = {"params": frozen["random"], "state": variables["state"]["random"]}
    rows = sound_tagger.of_network(model, frozen["trained"], features, *sound) if "trained" in frozen else {}
    noise = sound_tagger.of_network(model, random, features, *sound)
    rows = rows | {f"random_{layer}": x for layer, x in noise.items()}
    about = {"label": batch["label"], "time": jnp.full(len(batch["label"]), _time(batch), jnp.int32)}
    return rows | sound_tagger.of_sound(features, *sound) | about


def solve(features, variables, observed, *, cost, standardise):
    """{row: its SVM, and the mean and deviation by which the row's features are standardised}.

    The paper takes the network's features as they are; MFCC and log-mel, in decibels, are always standardised.
    """
    known = observed["label"] >= 0
    label, classes = observed["label"][known], len(variables["state"]["prior"]["mean"])
    fitted = {}
    for row in observed.keys() - {"label", "time"}:
        x = samples(features, int(observed["time"][0]), row, jnp.asarray(observed[row][known]))
        count, x = x.shape[1], x.reshape(-1, x.shape[-1])
        mean, deviation = jnp.zeros(x.shape[1]), jnp.ones(x.shape[1])
        if standardise or row in SOUND:
            mean, deviation = jnp.mean(x, 0), jnp.maximum(jnp.std(x, 0), 1e-6)
        svm = linear_svm.fit((x - mean[None]) / deviation[None], np.repeat(label, count), classes, cost)
        fitted[row] = {**svm._asdict(), "mean": mean, "deviation": deviation}
    return jax.tree.map(np.asarray, fitted)


def samples(features, time, row, x):
    """A row's one-second windows, [n w d], of clips of `time` samples."""
    width = features.width(x.shape[1], time)
    return sound_tagger.moments(x, width) if row in SOUND else sound_tagger.windows(x, width)


def judge(features, rows, variables, batch):
    """{row: scores [b c]}, those of the clip's seconds averaged."""
    observed, judged = rows(variables, batch), {}
    for row, fit in variables["fitted"].items():
        x = samples(features, _time(batch), row, observed[row])
        svm = linear_svm.LinearSVM(jnp.asarray(fit["weights"]), jnp.asarray(fit["bias"]))
        judged[row] = jnp.mean(svm.scores((x - fit["mean"][None, None]) / fit["deviation"][None, None]), 1)
    return judged


def metrics(model, features, rows, variables, batch):
    """Accuracy of every row beside the majority; a layer of the trained network beside that layer of the random one."""
    label, where = batch["label"], batch["valid"] & (batch["label"] >= 0)
    majority = prior.majority(variables["state"]["prior"])[None] == label
    right = {"finetuned": jnp.argmax(_classify(model, variables, batch), -1) == label}
    if "fitted" in variables:
        judged = judge(features, rows, variables, batch)
        right |= {row: jnp.argmax(scores, -1) == label for row, scores in judged.items()}
    figures = {}
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


def _classify(model, variables, batch):
    x, _ = _trunk(model, variables, batch, train=False)
    return sound_tagger.logits(variables["params"]["net"]["head"], x)


def predict(model, features, rows, variables, batch, key):
    """The clip, its features, what they still hold of it (Griffin-Lim from the mel bands), and the guesses."""
    shown = sound_tagger.spectra(features, batch["waveform"])
    out = {
        "audio/clip": batch["waveform"],
        "audio/griffin_lim_of_mel": _rebuild(features, shown["energy"], batch["waveform"].shape[1], key),
        "heatmap/mel": shown["mel"],
        "heatmap/mfcc": shown["mfcc"],
        "scores/finetuned": jax.nn.softmax(_classify(model, variables, batch)),
        "label/finetuned_target": batch["label"],
    }
    if "fitted" not in variables:
        return out
    judged = judge(features, rows, variables, batch)
    for row in SHOWN:
        if row in judged:
            guess = jnp.argmax(judged[row], -1).astype(jnp.int32)
            out |= {f"label/{row}": guess, f"label/{row}_target": batch["label"]}
    return out


def _rebuild(features, energy, samples, key):
    """Sound with these mel energies, int16 [b t]: magnitudes by the filters' pseudo-inverse, phases by Griffin-Lim."""
    filters = mel_filterbank(sound_tagger.RATE, features.n_fft, features.n_mels)
    inverse = jnp.asarray(np.linalg.pinv(filters), jnp.float32)
    magnitude = jnp.sqrt(jnp.maximum(jnp.einsum("fm,bmt->bft", inverse, energy), 0.0))
    sound = griffin_lim(magnitude, features.n_fft, features.hop, key=key, length=samples)
    return jnp.round(jnp.clip(sound, -1, 1) * 32_767).astype(jnp.int16)


def _time(batch):
    return batch["waveform"].shape[1]
