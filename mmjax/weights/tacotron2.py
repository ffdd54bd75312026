"""Tacotron 2's weights by the path of a file, in NVIDIA's layout or in torchaudio's, without its wrappers' names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from mmjax.models.sound.tacotron2 import Tacotron2
from mmjax.weights import tensors, torch_layout

# NVIDIA's layers are wrapped once more: encoder.convolutions.0.0.conv.weight, decoder.gate_layer.linear_layer.bias.
_WRAPPED = re.compile(r"\.(?:conv|linear_layer)(?=\.(?:weight|bias)$)")
_CONV = {"weight": "kernel", "bias": "bias"}
_NORM = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
_GATES = (0, 1, 3, 2)  # PyTorch's order is input, forget, candidate, output
_PLAIN = {
    "symbol": "embedding.weight",
    "prenet1": "decoder.prenet.layers.0.weight",
    "prenet2": "decoder.prenet.layers.1.weight",
    "query": "decoder.attention_layer.query_layer.weight",
    "key": "decoder.attention_layer.memory_layer.weight",
    "score": "decoder.attention_layer.v.weight",
    "location_filter": "decoder.attention_layer.location_layer.location_conv.weight",
    "location": "decoder.attention_layer.location_layer.location_dense.weight",
    "mel": "decoder.linear_projection.weight",
    "mel_bias": "decoder.linear_projection.bias",
    "gate": "decoder.gate_layer.weight",
    "gate_bias": "decoder.gate_layer.bias",
}
_CELLS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {  # theirs: ours, and what goes in, in their order
    "decoder.attention_rnn.{}": ((), "attend_", ("frame", "context")),
    "decoder.decoder_rnn.{}": ((), "decode_", ("attended", "context")),
    "encoder.lstm.{}_l0": (("encoder", "lstm"), "forward_", ("input",)),
    "encoder.lstm.{}_l0_reverse": (("encoder", "lstm"), "backward_", ("input",)),
}
Key = tuple[str, ...]  # where an array stands in our tree


def load(path: str | Path, model: Tacotron2) -> dict[str, Any]:
    """Loads the weights of Tacotron 2.

    Args:
      path: what `tensors.read` reads: NVIDIA's tacotron2_statedict.pt and checkpoints, torchaudio's
        tacotron2_english_*.pth, a .safetensors, read without PyTorch and without running anything in it.
      model: what the weights are for.

    Returns:
      {"params": tree, "state": tree} of float32 NumPy arrays.

    Raises:
      UserError: no such file, another kind of file, or the weights of another network, with what does not fit.
    """
    given = {_WRAPPED.sub("", name): value for name, value in tensors.read(path).items()}
    given = {name: value for name, value in given.items() if not name.endswith("num_batches_tracked")}
    shapes, wanted = _shapes(model), dict(_tensors(model))
    theirs = {name: _their_shape([shapes[key] for key in keys], name) for name, keys in wanted.items()}
    torch_layout.compare({name: value.shape for name, value in given.items()}, theirs, str(path))
    flat: dict[Key, np.ndarray] = {}
    for name, keys in wanted.items():
        ends = np.cumsum([shapes[key][0] for key in keys[:-1]], dtype=int)
        flat |= dict(zip(keys, np.split(_ours(given[name], name), ends)))
    return traverse_util.unflatten_dict(flat)


def _shapes(model: Tacotron2) -> dict[Key, tuple[int, ...]]:
    """Every array of the network."""
    one, rngs = np.ones(1, np.int32), {"params": jax.random.key(0), "prenet": jax.random.key(0)}
    speaker = np.zeros((1, model.speaker), np.float32) if model.speaker else None
    mel = np.zeros((1, model.reduction, model.mels), np.float32)
    tree = jax.eval_shape(lambda: model.init(rngs, one[None], one, mel, one, speaker))
    return {key: leaf.shape for key, leaf in traverse_util.flatten_dict(tree).items()}


def _tensors(model: Tacotron2) -> Iterator[tuple[str, list[Key]]]:
    """(the file's name, the arrays of ours that its tensor holds one behind another)."""
    for ours, theirs in _PLAIN.items():
        yield theirs, [("params", ours)]
    for part, layers in (("encoder", model.encoder_layers), ("postnet", model.postnet_layers)):
        for i in range(layers):
            for leaf in ("weight", "bias"):
                yield f"{part}.convolutions.{i}.0.{leaf}", [("params", part, f"conv{i}", _CONV[leaf])]
            for leaf, ours in _NORM.items():
                collection = "state" if ours in ("mean", "var") else "params"
                yield f"{part}.convolutions.{i}.1.{leaf}", [(collection, part, f"conv{i}", "norm", ours)]
    for theirs, (path, prefix, inputs) in _CELLS.items():
        names = {"weight_ih": inputs, "weight_hh": ("hidden",), "bias_ih": ("bias",), "bias_hh": ("hidden_bias",)}
        for leaf, parts in names.items():
            yield theirs.format(leaf), [("params", *path, f"{prefix}{part}") for part in parts]


def _their_shape(shapes: list[tuple[int, ...]], name: str) -> tuple[int, ...]:
    shape = (sum(one[0] for one in shapes), *shapes[0][1:])
    return shape if name == _PLAIN["symbol"] else shape[::-1]


def _ours(array: np.ndarray, name: str) -> np.ndarray:
    """float32; axes reversed, (out in k) -> [k in out], but of symbols; the gates of an LSTM in our order."""
    array = np.asarray(array, np.float32)
    array = array if name == _PLAIN["symbol"] else array.T
    if ".lstm." not in name and "_rnn." not in name:
        return array
    return np.concatenate([np.split(array, 4, -1)[i] for i in _GATES], -1)
