"""Resemblyzer's encoder: the count, an independent forward pass of whole utterances, and what does not fit."""

import jax
import numpy as np
import pytest
import scipy.signal
from speaker_weights import published
from torch_writer import write_zip

from mmjax.errors import UserError
from mmjax.models.sound.speaker_encoder import SpeakerEncoder
from mmjax.ops.sound.mel import mel_filterbank
from mmjax.weights import resemblyzer


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def embedded(weights, mel):
    """One window [160 40] as PyTorch's LSTM reads it, float64."""
    x = mel
    for layer in range(3):
        h, c, states = np.zeros(256), np.zeros(256), []
        for row in x:
            gates = weights[f"lstm.weight_ih_l{layer}"] @ row + weights[f"lstm.bias_ih_l{layer}"]
            gates = gates + weights[f"lstm.weight_hh_l{layer}"] @ h + weights[f"lstm.bias_hh_l{layer}"]
            i, f, g, o = np.split(gates, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            states.append(h)
        x = states
    raw = np.maximum(weights["linear.weight"] @ x[-1] + weights["linear.bias"], 0)
    return raw / np.linalg.norm(raw)


def of_utterance(weights, speech):
    """The package's embed_utterance of samples at 22,050 Hz, and how many windows it takes."""
    level = np.sqrt(np.mean(speech.astype(np.float64) ** 2))
    sound = scipy.signal.resample_poly(speech / level * 10**-1.5, 320, 441)
    frames = int(np.ceil((len(sound) + 1) / 160))
    starts = list(range(0, max(1, frames - 160 + 77 + 1), 77))
    if (len(sound) - starts[-1] * 160) / 25_600 < 0.75 and len(starts) > 1:
        starts.pop()
    sound = np.pad(sound, (200, 200 + max(0, (starts[-1] + 160) * 160 - len(sound))))
    window = scipy.signal.get_window("hann", 400)
    framed = np.lib.stride_tricks.sliding_window_view(sound, 400)[::160]
    mel = np.abs(np.fft.rfft(framed * window)) ** 2 @ mel_filterbank(16_000, 400, 40).T
    mean = np.mean([embedded(weights, mel[start : start + 160]) for start in starts], 0)
    return mean / np.linalg.norm(mean), len(starts)


def test_utterances_of_several_lengths_are_as_the_package_hears_them(rng):
    weights = published(rng)
    lengths = (15_000, 42_000, 75_000)  # shorter than a window; one and a half; three and a half
    speech = np.zeros((3, 88_200), np.int16)
    for row, length in enumerate(lengths):
        time = np.arange(length) / 22_050
        tone = sum(np.sin(2 * np.pi * k * (120 + 40 * row) * time * (1 + 0.1 * time)) / k for k in range(1, 20))
        speech[row, :length] = 3000 * (row + 1) * tone * (0.5 + 0.5 * np.sin(20 * time)) + rng.normal(size=length) * 50
    speech[np.arange(3), np.array(lengths) - 1] = 7  # the last sample is not silent
    model = SpeakerEncoder()
    assert sum(x.size for x in jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0), speech))) == 1_420_544
    variables = resemblyzer.convert(weights, "pretrained.pt")
    found = np.asarray(jax.jit(model.apply)(variables, speech)["features"])
    wanted = [of_utterance(weights, row[:length]) for row, length in zip(speech, lengths)]
    assert [count for _, count in wanted] == [1, 1, 3]
    np.testing.assert_allclose(found, np.stack([feature for feature, _ in wanted]), atol=1e-4)
    assert np.abs(found[0] - found[2]).max() > 0.02
    np.testing.assert_allclose(jax.jit(model.apply)(variables, speech // 3)["features"], found, atol=0.01)


def test_a_checkpoint_is_read_and_another_network_refused(rng, tmp_path):
    weights = published(rng)
    path = tmp_path / "pretrained.pt"
    checkpoint = {"step": 3, "model_state": {**weights, "similarity_weight": np.ones(1, np.float32)}}
    write_zip(path, checkpoint)
    found = resemblyzer.load(path)["params"]
    assert set(found) == set(resemblyzer.convert(weights, "")["params"])
    np.testing.assert_array_equal(found["linear"]["kernel"], weights["linear.weight"].T)
    with pytest.raises(UserError, match=r"not the weights of this network; missing: linear\.bias"):
        resemblyzer.convert({k: v for k, v in weights.items() if k != "linear.bias"}, "x")
