"""What sound tagging puts on SoundNet: a layer of classes, and features of one-second windows."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from mmjax.errors import OptionError
from mmjax.models.sound import soundnet
from mmjax.models.sound.soundnet import SoundNet
from mmjax.ops.sound.cepstral import cepstra
from mmjax.ops.sound.decibels import log_mel
from mmjax.ops.sound.mel import mel_filterbank, mel_spectrogram
from mmjax.ops.sound.phase import griffin_lim

RATE = 22_050
HEADS = "heads"  # what the last layer, the logits of both heads, is called in tables
SOUND = ("log_mel", "mfcc")  # the features that need no network


@dataclasses.dataclass(frozen=True)
class Features:
    """The features of a clip, a vector for each of its one-second windows.

    Attributes:
      layers: of SoundNet, from the input upwards; "heads" is the last one.
      window: seconds that a window sees.
      steps: time steps of a clip that are kept at most. Layers with more are averaged down to so many: 27 is what
        pool5 has in 10 s, so that from pool5 on the windows are the paper's.
      n_fft, hop, n_mels, n_mfcc: of the mel spectrogram and the MFCC, whose mean and deviation in each window are the
        features that need no training.
    """

    layers: tuple[str, ...]
    window: float = 1.0
    steps: int = 27
    n_fft: int = 2048
    hop: int = 512
    n_mels: int = 128
    n_mfcc: int = 20

    def width(self, steps: int, samples: int) -> int:
        """Steps in a window, of so many steps in so many samples: ceil(window / clip * steps), at least one."""
        seconds = samples / RATE
        return max(1, min(steps, -int(-steps * self.window // seconds)))

    def check(self, depth: int) -> Features:
        """Itself; raises OptionError for a layer that SoundNet does not have, and windows and steps that are none."""
        known = (*soundnet.layer_names(depth)[:-1], HEADS)
        wrong = [layer for layer in self.layers if layer not in known]
        if wrong:
            raise OptionError("layers", f"has {wrong[0]!r}: SoundNet-{depth} has {', '.join(known)}")
        if self.steps < 1:
            raise OptionError("steps", f"is {self.steps}: it must be at least 1")
        if not self.window > 0:
            raise OptionError("window", f"is {self.window}: it must be above 0 s")
        return self


def of_network(
    model: SoundNet, variables: Any, features: Features, waveform: Int[Array, "b t"], length: Int[Array, " b"]
) -> dict[str, Float[Array, "b s c"]]:
    """{layer: activations [b s c]} of a network that is not trained; s is at most features.steps."""
    last = soundnet.layer_names(model.depth)[-1]
    layers = tuple(last if layer == HEADS else layer for layer in features.layers)
    found: Any = model.apply(variables, soundnet.scale(waveform), length, layers=layers, method="activations")
    return {
        layer: averaged(found[at].astype(jnp.float32), features.steps) for layer, at in zip(features.layers, layers)
    }


def of_sound(features: Features, waveform: Int[Array, "b t"], length: Int[Array, " b"]) -> dict[str, Array]:
    """{"log_mel", "mfcc"}: the mean, then the variance, of each band or coefficient within a step, [b s 2c]."""
    tiled = soundnet.tile(waveform, length, waveform.shape[1])  # silence that was never recorded is no sound
    shown = spectra(features, tiled)
    found = {}
    for name, values in (("log_mel", shown["mel"]), ("mfcc", shown["mfcc"])):
        rows = jnp.swapaxes(values, 1, 2)  # [b frames c]
        mean = averaged(rows, features.steps)
        apart = rows - jnp.repeat(mean, run_of(rows.shape[1], features.steps), 1)[:, : rows.shape[1]]
        found[name] = jnp.concatenate([mean, averaged(jnp.square(apart), features.steps)], -1)
    return found


def spectra(features: Features, waveform: Int[Array, "b t"]) -> dict[str, Array]:
    """{"energy" [b n_mels frames], "mel" (the same in decibels), "mfcc" [b n_mfcc frames]}, librosa's conventions."""
    sound = waveform.astype(jnp.float32) / 32_768
    energy = mel_spectrogram(sound, RATE, n_fft=features.n_fft, hop=features.hop, n_mels=features.n_mels)
    mel = log_mel(energy)
    return {"energy": energy, "mel": mel, "mfcc": cepstra(mel, features.n_mfcc)}


def run_of(steps: int, most: int) -> int:
    """How many of so many steps `averaged` makes one of."""
    return -(-steps // most)


def averaged(x: Float[Array, "b u c"], most: int) -> Float[Array, "b s c"]:
    """The means of runs of ceil(u / most) steps, the last of which may be shorter: s = ceil(u / run) <= most."""
    run = run_of(x.shape[1], most)
    if run == 1:
        return x
    count = -(-x.shape[1] // run)
    full = jnp.pad(x, ((0, 0), (0, count * run - x.shape[1]), (0, 0)))
    size = np.minimum(run, x.shape[1] - run * np.arange(count)).astype(np.float32)
    return jnp.sum(full.reshape(x.shape[0], count, run, x.shape[2]), 2) / size[None, :, None]


def windows(x: Float[Array, "n s c"], width: int) -> Float[Array, "n w width*c"]:
    """Every run of `width` steps, one vector each, w = s - width + 1."""
    count = x.shape[1] - width + 1
    return jnp.concatenate([x[:, i : i + count] for i in range(width)], -1)


def moments(x: Float[Array, "n s 2c"], width: int) -> Float[Array, "n w 2c"]:
    """Mean and standard deviation of every run of `width` steps, from the mean and the variance of each step.

    The variance of a run is the mean of its steps' plus that of their means: nothing large is subtracted, where the
    mean square less the squared mean keeps no digit of a deviation below 1e-3 of the mean.
    """
    count, half = x.shape[1] - width + 1, x.shape[2] // 2
    steps = [x[:, i : i + count] for i in range(width)]
    mean = sum((step[..., :half] for step in steps[1:]), steps[0][..., :half]) / width
    parts = [step[..., half:] + jnp.square(step[..., :half] - mean) for step in steps]
    return jnp.concatenate([mean, jnp.sqrt(sum(parts[1:], parts[0]) / width)], -1)


def rebuilt(
    features: Features, energy: Float[Array, "b mel frames"], time: int, key: Key[Array, ""]
) -> Int[Array, "b time"]:
    """Sound with these mel energies, int16: magnitudes by the filters' pseudo-inverse, phases by Griffin-Lim."""
    filters = mel_filterbank(RATE, features.n_fft, features.n_mels)
    inverse = jnp.asarray(np.linalg.pinv(filters), jnp.float32)
    magnitude = jnp.sqrt(jnp.maximum(jnp.einsum("fm,bmt->bft", inverse, energy), 0.0))
    sound = griffin_lim(magnitude, features.n_fft, features.hop, key=key, length=time)
    return jnp.round(jnp.clip(sound, -1, 1) * 32_767).astype(jnp.int16)


# -- the layer of classes that fine-tuning puts on the trunk ---------------------------------------------------------


def top(depth: int) -> str:
    """The last layer of the trunk."""
    return next(name for name in reversed(soundnet.layer_names(depth)[:-1]) if name.startswith("conv"))


def trunk_of(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a SoundNet without those of its heads."""
    return {name: tree for name, tree in variables["params"].items() if name not in ("object", "scene")}


def trunk(
    model: SoundNet, own: Any, waveform: Int[Array, "b t"], length: Int[Array, " b"], train: bool
) -> tuple[Float[Array, "b s c"], Any]:
    """Activations of the trunk, and its statistics, which follow the batch in training.

    Args:
      model: whose trunk it is.
      own: {"params": the trunk's, "state": its statistics}.
      waveform, length: int16, and the samples of each row that are sound.
      train: as for the model.
    """
    call = functools.partial(model.apply, layer=top(model.depth), train=train, method="features")
    if not train:
        x: Any = call(own, soundnet.scale(waveform), length)
        return x, own["state"]
    x, updated = call(own, soundnet.scale(waveform), length, mutable=["state"])
    return x, updated["state"]


def fresh_head(key: Key[Array, ""], model: SoundNet, samples: int, classes: int) -> dict[str, Array]:
    """A convolution from the trunk to the classes that sees 5 s, as main_finetune.lua's; Torch's initialisation.

    Args:
      key: draws it.
      model: whose trunk it stands on.
      samples: of a clip; what is shorter than 5 s is seen whole.
      classes: how many.
    """
    layer = top(model.depth)
    shape = jax.eval_shape(
        lambda: model.init_with_output(key, jnp.zeros((1, samples)), layer=layer, method="features")[0]
    ).shape
    span = min(soundnet.output_steps(5 * RATE, model.depth, layer), shape[1])
    bound = (span * shape[2]) ** -0.5
    of_kernel, of_bias = jax.random.split(key)
    return {
        "kernel": jax.random.uniform(of_kernel, (span, shape[2], classes), jnp.float32, -bound, bound),
        "bias": jax.random.uniform(of_bias, (classes,), jnp.float32, -bound, bound),
    }


def logits(head: Mapping[str, Array], x: Float[Array, "b s c"]) -> Float[Array, "b classes"]:
    """The class layer on activations of the trunk, averaged over its output steps; float32."""
    span, channels, classes = head["kernel"].shape
    flat = windows(x, span).reshape(-1, span * channels)
    steps = flat @ head["kernel"].reshape(span * channels, classes).astype(x.dtype)
    return jnp.mean(steps.astype(jnp.float32).reshape(x.shape[0], -1, classes), 1) + head["bias"][None]
