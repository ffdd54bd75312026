"""Tacotron 2 at NVIDIA's sizes, mmjax against torchaudio and librosa, alternating in one run.

    python benchmarks/tacotron2_step.py [--quick] [--part step|speak|sound] [--batch 16] [--frames 400] [--units 64] ...

step: a whole training step in float32: forward with all dropouts, the three losses, backward, clipping of the gradient
and Adam with its weight decay, as NVIDIA's train.py takes it. Sentences are of full length, so that both sides' losses
are the same. Ours makes the products of the decoder's LSTM for all steps at once and leaves its state's alone in the
loop; torchaudio's 400 steps are a loop of Python.
speak: sentences of so many units, spoken for --speak-frames frames (the gate never opens: both have as much to do), by
one call; by torchaudio's batched infer; and one by one, as NVIDIA's released code does it, of which a few are taken and
the time of all is told.
sound: Griffin-Lim of clips of --seconds from magnitudes, 32 iterations, against librosa's; and from log-mel frames of
one clip, whose inversion librosa solves by L-BFGS.

Weights are torchaudio's, fresh, read by mmjax.weights.tacotron2; without dropout both sides' outputs must agree before
the clock starts. results/tacotron2_step.json is written only by a full run of all parts at the default sizes that began
on a machine with at most half a core busy; any other run prints why it was not.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import tempfile
import warnings
from unittest import mock

import _side_by_side as side_by_side
import _step_peers as peers
import jax
import jax.numpy as jnp
import librosa
import numpy as np
import optax
import torch
import torchaudio
from safetensors.numpy import save_file
from torch.nn import functional as F
from torchaudio.models import tacotron2 as theirs

from mmjax.engine import memory
from mmjax.losses import speech
from mmjax.models.sound.tacotron2 import Tacotron2
from mmjax.ops.sound import phase, speech_mel
from mmjax.weights import tacotron2 as weights

RESULT = pathlib.Path(__file__).parent / "results" / "tacotron2_step.json"
SIZES = {"batch": 16, "frames": 400, "units": 64, "sentences": 32, "speak_frames": 200, "clips": 16, "seconds": 5.0}
PARTS = ("step", "speak", "sound")
SYMBOLS, RATE, DECAY, CLIP, ONE_BY_ONE = 148, 1e-3, 1e-6, 1.0, 2
STILL = {"dropout": 0.0, "prenet_dropout": 0.0, "state_dropout": 0.0}


def main() -> None:
    """The command line."""
    parser = side_by_side.parser(__doc__, SIZES)
    parser.add_argument("--part", choices=PARTS, default="", help="one of the three alone")
    options = parser.parse_args()
    options.load = side_by_side.load()
    memory.keep()
    torch.set_num_threads(os.cpu_count() or 1)
    options.rounds, options.limit = (3, 10.0) if options.quick else (7, 60.0)
    figures = {part: globals()[part](options) for part in PARTS if options.part in ("", part)}
    settings = peers.settings(options, SIZES)
    versions = peers.versions(torchaudio=torchaudio.__version__, librosa=librosa.__version__)
    own = not options.part and settings == SIZES
    about = {"versions": versions, "settings": settings}
    found = {**about, "cores_busy_before": round(options.load, 2), **figures}
    side_by_side.keep_of_device(found, RESULT, side_by_side.unwritten(options, own))
    for part, figure in figures.items():
        for peer, ratio in figure["ratios"].items():
            print(f"ratio {ratio:.2f} {part}: mmjax over {peer}")


@functools.cache
def networks():
    """torchaudio's network, ours and its variables: the same numbers."""
    torch.manual_seed(0)
    network = theirs.Tacotron2()  # all is of full length; what masks padding writes over what the gradient needs
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "weights.safetensors"
        save_file({name: value.numpy() for name, value in network.state_dict().items()}, path)
        return network, Tacotron2(SYMBOLS), weights.load(path, Tacotron2(SYMBOLS))


def compared(sides, rounds, limit, scale=None):
    """Medians of seconds in turn, and ratios of the peers' to ours; `scale` multiplies a side's seconds."""
    times = side_by_side.alternate(sides, rounds, limit)
    times = {name: [(scale or {}).get(name, 1.0) * value for value in values] for name, values in times.items()}
    ratios = {name: round(value, 3) for name, value in peers.ratios(times).items()}
    return {"seconds": peers.rounded(peers.medians(times)), "ratios": ratios}


@contextlib.contextmanager
def still():
    """torchaudio without dropout: its prenet's is on even in eval()."""
    with mock.patch.object(theirs.F, "dropout", lambda x, *_, **__: x):
        yield


def step(options):
    """A training step."""
    network, model, variables = networks()
    rng = np.random.default_rng(0)
    units = rng.integers(0, SYMBOLS, (options.batch, options.units)).astype(np.int32)
    length, frames = (np.full(options.batch, n, np.int32) for n in (options.units, options.frames))
    mel = rng.normal(-5, 2, (options.batch, options.frames, 80)).astype(np.float32)
    given = (units, length, mel, frames)
    tokens, *_ = tensors = [torch.from_numpy(x) for x in given]
    tensors = [tokens.long(), tensors[1].long(), tensors[2].transpose(1, 2).contiguous(), tensors[3].long()]
    gate = torch.zeros(options.batch, options.frames)
    gate[:, -1] = 1

    with torch.no_grad(), still():
        wanted = network.eval()(*tensors)[1].transpose(1, 2).numpy()
    found = jax.jit(Tacotron2(SYMBOLS, **STILL).apply)(variables, *given)["after"]
    np.testing.assert_allclose(found, wanted, atol=1e-3)

    optimiser = optax.chain(optax.clip_by_global_norm(CLIP), optax.add_decayed_weights(DECAY), optax.adam(RATE))
    where = np.ones((options.batch, options.frames), bool)

    def loss(params, state, key):
        keys = jax.random.split(key)
        rngs = {"dropout": keys[0], "prenet": keys[1]}
        out, new = model.apply({"params": params, "state": state}, *given, train=True, mutable=["state"], rngs=rngs)
        values = speech.mel_error(out["before"], mel, where) + speech.mel_error(out["after"], mel, where)
        return jnp.mean(values + speech.gate_error(out["gate"], frames)), new["state"]

    @functools.partial(jax.jit, donate_argnums=0)
    def ours(carry, key):
        params, state, moments = carry
        (value, state), gradient = jax.value_and_grad(loss, has_aux=True)(params, state, key)
        change, moments = optimiser.update(gradient, moments, params)
        return (optax.apply_updates(params, change), state, moments), value

    params, state = jax.tree.map(jnp.array, (variables["params"], variables["state"]))
    carry, number = (params, state, optimiser.init(params)), 0

    def mmjax_step():
        nonlocal carry, number
        number += 1
        carry, value = ours(carry, jax.random.key(number))
        jax.block_until_ready(carry)
        return float(value)

    adam = torch.optim.Adam(network.train().parameters(), RATE, weight_decay=DECAY)

    def torch_step():
        adam.zero_grad(set_to_none=True)
        before, after, logits, _ = network(*tensors)
        value = F.mse_loss(before, tensors[2]) + F.mse_loss(after, tensors[2])
        value = value + F.binary_cross_entropy_with_logits(logits, gate)
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        adam.step()
        return value.item()

    # Not the same numbers are dropped: the first losses are near each other, not equal.
    np.testing.assert_allclose(mmjax_step(), torch_step(), rtol=2e-2)
    return compared({peers.OURS: mmjax_step, "torchaudio": torch_step}, options.rounds, options.limit)


def speak(options):
    """Inference of a batch."""
    networks.cache_clear()  # trained a little above
    network, model, variables = networks()
    network.eval()
    network.decoder.gate_threshold, network.decoder.decoder_max_step = 1.0, options.speak_frames
    units = np.random.default_rng(1).integers(0, SYMBOLS, (options.sentences, options.units)).astype(np.int32)
    length = np.full(options.sentences, options.units, np.int32)
    tokens, lengths = (torch.from_numpy(x).long() for x in (units, length))
    warnings.filterwarnings("ignore", "Reached max decoder steps")
    limits = {"steps": options.speak_frames, "threshold": 1.0, "method": "speak"}

    with torch.no_grad(), still():
        wanted = network.infer(tokens[:2], lengths[:2])[0].transpose(1, 2).numpy()
    found = jax.jit(functools.partial(Tacotron2(SYMBOLS, **STILL).apply, **limits))(variables, units[:2], length[:2])
    np.testing.assert_allclose(found["after"], wanted, atol=1e-2)

    @jax.jit
    def spoken(variables, units, length, key):
        return model.apply(variables, units, length, rngs={"prenet": key}, **limits)["after"]

    placed = jax.tree.map(jnp.asarray, variables)

    def ours():
        return jax.block_until_ready(spoken(placed, units, length, jax.random.key(0)))

    def batched():
        with torch.no_grad():
            return network.infer(tokens, lengths)

    def one_by_one():
        with torch.no_grad():
            return [network.infer(tokens[i : i + 1], lengths[i : i + 1]) for i in range(ONE_BY_ONE)]

    ours()
    sides = {peers.OURS: ours, "torchaudio, batched": batched, "torchaudio, one by one": one_by_one}
    scale = {"torchaudio, one by one": options.sentences / ONE_BY_ONE}
    return compared(sides, options.rounds, options.limit, scale)


def sound(options):
    """Griffin-Lim."""
    spec, rng = speech_mel.SpeechMel(), np.random.default_rng(2)
    time = np.arange(round(options.seconds * spec.sample_rate)) / spec.sample_rate
    pitch = rng.uniform(90, 270, (options.clips, 1)) * (1 + 0.1 * np.sin(5 * time))
    waves = sum(np.sin(k * np.cumsum(2 * np.pi * pitch / spec.sample_rate, 1)) / k for k in range(1, 20))
    waves = (0.1 * waves * (1 + np.sin(17 * time)) + 0.003 * rng.normal(size=waves.shape)).astype(np.float32)
    about = {"n_fft": spec.n_fft, "hop_length": spec.hop}
    magnitude = np.abs(librosa.stft(waves, **about)).astype(np.float32)
    made = jax.jit(functools.partial(phase.griffin_lim, n_fft=spec.n_fft, hop=spec.hop, n_iter=32))

    def ours():
        return jax.block_until_ready(made(magnitude))

    def librosas():
        return librosa.griffinlim(magnitude, n_iter=32, init=None, **about)

    for found in (ours(), librosas()):
        again = np.abs(librosa.stft(np.asarray(found), **about))[..., : magnitude.shape[-1]]
        print(f"spectral convergence {np.linalg.norm(again - magnitude) / np.linalg.norm(magnitude):.4f}")
    figures = compared({peers.OURS: ours, "librosa": librosas}, options.rounds, options.limit)

    log_mel = np.asarray(spec(waves[:1]))
    inverted = jax.jit(lambda x: speech_mel.from_log_mel(x, spec=spec))

    def ours_of_mel():
        return jax.block_until_ready(inverted(log_mel))

    def librosas_of_mel():
        bands = np.exp(log_mel[0].T)
        return librosa.feature.inverse.mel_to_audio(
            bands, sr=spec.sample_rate, power=1.0, n_iter=32, fmax=spec.fmax, pad_mode="reflect", **about
        )

    print(f"from log-mel: spectral convergence {float(ours_of_mel().convergence[0]):.4f}")
    sides = {peers.OURS: ours_of_mel, "librosa, from log-mel": librosas_of_mel}
    of_mel = compared(sides, 2, options.limit)
    return {**figures, "ratios": figures["ratios"] | of_mel["ratios"], "seconds_from_log_mel": of_mel["seconds"]}


if __name__ == "__main__":
    main()
