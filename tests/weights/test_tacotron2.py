"""Tacotron 2 in NVIDIA's and torchaudio's layout: where each number goes, torchaudio's own outputs, and refusals."""

import functools

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from mmjax.errors import UserError
from mmjax.models.sound.tacotron2 import Tacotron2
from mmjax.weights import tacotron2

SIZES = {
    "symbols": 9, "mels": 4, "embed": 8, "encoder_layers": 2, "prenet": 6, "attention_units": 7, "decoder_units": 5,
    "attention": 4, "filters": 3, "window": 5, "postnet_layers": 3, "postnet_units": 6, "kernel": 3,
}  # fmt: skip
STILL = {"dropout": 0.0, "prenet_dropout": 0.0, "state_dropout": 0.0}


def nvidias(rng):
    """A state dict in NVIDIA's names and shapes, written out here and not taken from the reader."""
    found = {"embedding.weight": (9, 8)}

    def conv_norm(at, out, inside):
        found[f"{at}.0.conv.weight"], found[f"{at}.0.conv.bias"] = (out, inside, 3), (out,)
        found.update({f"{at}.1.{leaf}": (out,) for leaf in ("weight", "bias", "running_mean", "running_var")})
        found[f"{at}.1.num_batches_tracked"] = ()

    def cell(at, units, inside, suffix=""):
        found.update({f"{at}.weight_ih{suffix}": (4 * units, inside), f"{at}.weight_hh{suffix}": (4 * units, units)})
        found.update({f"{at}.bias_{x}h{suffix}": (4 * units,) for x in "ih"})

    for i in range(2):
        conv_norm(f"encoder.convolutions.{i}", 8, 8)
    cell("encoder.lstm", 4, 8, "_l0")
    cell("encoder.lstm", 4, 8, "_l0_reverse")
    cell("decoder.attention_rnn", 7, 6 + 8)
    cell("decoder.decoder_rnn", 5, 7 + 8)
    layers = {"prenet.layers.0": (6, 4), "prenet.layers.1": (6, 6), "gate_layer": (1, 13), "linear_projection": (4, 13)}
    looks = {"query_layer": (4, 7), "memory_layer": (4, 8), "v": (1, 4), "location_layer.location_dense": (4, 3)}
    layers |= {f"attention_layer.{name}": shape for name, shape in looks.items()}
    found |= {f"decoder.{name}.linear_layer.weight": shape for name, shape in layers.items()}
    found |= {f"decoder.{name}.linear_layer.bias": layers[name][:1] for name in ("gate_layer", "linear_projection")}
    found["decoder.attention_layer.location_layer.location_conv.conv.weight"] = (3, 2, 5)
    for i, (out, inside) in enumerate(((6, 4), (6, 6), (4, 6))):
        conv_norm(f"postnet.convolutions.{i}", out, inside)
    return {
        name: rng.uniform(0.5 if name.endswith("_var") else -0.9, 1.1, shape).astype(np.float32)
        for name, shape in found.items()
    }


def torchaudios(weights):
    """The same numbers under torchaudio's names."""
    return {name.replace(".conv.", ".").replace(".linear_layer.", "."): x for name, x in weights.items()}


def test_each_number_has_its_place_in_either_layout(tmp_path, rng):
    weights, model = nvidias(rng), Tacotron2(**SIZES)
    save_file(weights, tmp_path / "nvidia.safetensors")
    save_file(torchaudios(weights), tmp_path / "torchaudio.safetensors")
    found = tacotron2.load(tmp_path / "nvidia.safetensors", model)
    again = tacotron2.load(tmp_path / "torchaudio.safetensors", model)
    jax.tree.map(np.testing.assert_array_equal, found, again)
    p = found["params"]
    ours = np.concatenate([p["attend_frame"], p["attend_context"]])  # [inputs, gates i f o g]
    theirs = weights["decoder.attention_rnn.weight_ih"]  # (gates i f g o, inputs)
    for ours_at, theirs_at in ((0, 0), (1, 1), (2, 3), (3, 2)):
        one, other = slice(7 * ours_at, 7 * ours_at + 7), slice(7 * theirs_at, 7 * theirs_at + 7)
        np.testing.assert_array_equal(ours[:, one], theirs[other].T)
    np.testing.assert_array_equal(p["symbol"], weights["embedding.weight"])
    filters = weights["decoder.attention_layer.location_layer.location_conv.conv.weight"]
    np.testing.assert_array_equal(p["location_filter"][4, 1, 2], filters[2, 1, 4])
    np.testing.assert_array_equal(
        found["state"]["postnet"]["conv2"]["norm"]["var"], weights["postnet.convolutions.2.1.running_var"]
    )


def test_what_is_not_tacotron_2_is_named(tmp_path, rng):
    weights = nvidias(rng)
    weights["decoder.extra.weight"] = weights.pop("decoder.gate_layer.linear_layer.bias")
    save_file(weights, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"missing: decoder\.gate_layer\.bias; unexpected: decoder\.extra\.weight"):
        tacotron2.load(tmp_path / "other.safetensors", Tacotron2(**SIZES))
    save_file(nvidias(rng), tmp_path / "nvidia.safetensors")
    with pytest.raises(UserError, match=r"embedding\.weight is \(9, 8\), wanted \(8, 8\)"):
        tacotron2.load(tmp_path / "nvidia.safetensors", Tacotron2(**{**SIZES, "symbols": 8}))


def test_outputs_are_torchaudios(tmp_path, rng, monkeypatch):
    """Its prenet drops half of its units even in eval(), so that both sides run without dropout."""
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torchaudio.models.tacotron2", exc_type=ImportError)
    monkeypatch.setattr(theirs.F, "dropout", lambda x, *_, **__: x)
    network = theirs.Tacotron2(
        mask_padding=True, n_mels=4, n_symbol=9, symbol_embedding_dim=8, encoder_embedding_dim=8,
        encoder_n_convolution=2, encoder_kernel_size=3, decoder_rnn_dim=5, decoder_max_step=7, attention_rnn_dim=7,
        attention_hidden_dim=4, attention_location_n_filter=3, attention_location_kernel_size=5, prenet_dim=6,
        postnet_n_convolution=3, postnet_kernel_size=3, postnet_embedding_dim=6, gate_threshold=1.0,
    ).eval()  # fmt: skip
    weights = torchaudios(nvidias(rng))
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()}, strict=False)
    torch.save({"state_dict": network.state_dict(), "iteration": 3}, tmp_path / "theirs.pth")
    model = Tacotron2(**SIZES, **STILL)
    variables = tacotron2.load(tmp_path / "theirs.pth", model)
    units, length = rng.integers(0, 9, (2, 6)).astype(np.int32), np.full(2, 6, np.int32)
    mel, frames = rng.normal(size=(2, 7, 4)).astype(np.float32), np.full(2, 7, np.int32)
    tokens = torch.from_numpy(units.astype(np.int64))
    with torch.no_grad():
        lengths = torch.from_numpy(length.astype(np.int64)), torch.from_numpy(frames.astype(np.int64))
        wanted = network(tokens, lengths[0], torch.from_numpy(mel).transpose(1, 2), lengths[1])
        with pytest.warns(UserWarning, match="max decoder steps"):
            spoken = network.infer(tokens, lengths[0])
    found = jax.jit(model.apply)(variables, units, length, mel, frames)
    before, after, gate, attention = (one.numpy() for one in wanted)
    wanted = {"before": before.swapaxes(1, 2), "after": after.swapaxes(1, 2), "gate": gate, "attention": attention}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), found, wanted)
    speak = functools.partial(model.apply, steps=7, threshold=1.0, method="speak")
    said = jax.jit(speak)(variables, units, length)
    np.testing.assert_allclose(said["after"], spoken[0].numpy().swapaxes(1, 2), atol=1e-4)
    np.testing.assert_allclose(said["attention"], spoken[2].numpy(), atol=1e-4)
