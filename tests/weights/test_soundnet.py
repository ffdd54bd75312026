"""SoundNet's weights in each layout: the activations of an independent NumPy network, and clear refusals."""

import contextlib
import functools
import io
import pickle
import struct

import jax
import numpy as np
import pytest
import torch7_writer
from torch7_writer import Cuda, Function, Object

from mmjax.errors import POINTER, UserError
from mmjax.models.sound.soundnet import SoundNet
from mmjax.weights import numpy_file, soundnet, torch7_file

OBJECTS, SCENES, WIDTH = 7, 5, 0.25
MODEL = SoundNet(objects=OBJECTS, scenes=SCENES, width=WIDTH, conv_bias=True)
# out, kernel, padding, pooling: the paper's table 2, written out here and not taken from the model
TABLE = [
    (16, 64, 32, 8),
    (32, 32, 16, 8),
    (64, 16, 8, 1),
    (128, 8, 4, 1),
    (256, 4, 2, 4),
    (512, 4, 2, 1),
    (1024, 4, 2, 1),
]


@pytest.fixture
def weights(rng):
    """{layer: its arrays} with kernels as (out in k)."""

    def conv(out, inside, kernel):
        scale = (2 / (inside * kernel)) ** 0.5
        return {"w": rng.normal(size=(out, inside, kernel)) * scale, "b": rng.normal(size=out) * 0.3}

    layers, inside = {}, 1
    for i, (out, kernel, _, _) in enumerate(TABLE, start=1):
        out = round(out * WIDTH)
        leaves = {"gamma": 0.5, "beta": -0.5, "mean": -0.5, "var": 0.5}
        norm = {leaf: rng.uniform(low, low + 1, out) for leaf, low in leaves.items()}
        layers[f"conv{i}"] = {**conv(out, inside, kernel), **norm}
        inside = out
    layers["object"], layers["scene"] = conv(OBJECTS, inside, 8), conv(SCENES, inside, 8)
    return {name: {leaf: value.astype(np.float32) for leaf, value in layer.items()} for name, layer in layers.items()}


def convolve(x, w, b, stride, padding):
    """x [t c], w (out in k) -> [u out]."""
    x = np.pad(x, [(padding, padding), (0, 0)])
    frames = np.lib.stride_tricks.sliding_window_view(x, w.shape[2], axis=0)[::stride]  # [u c k]
    return frames.reshape(len(frames), -1) @ w.reshape(len(w), -1).T + b


def forward(weights, x):
    """Activations of one waveform [t]: pool5 and the two heads, float64."""
    x = np.asarray(x, np.float64)[:, None]
    for i, (_, _, padding, pool) in enumerate(TABLE, start=1):
        layer = {leaf: value.astype(np.float64) for leaf, value in weights[f"conv{i}"].items()}
        x = convolve(x, layer["w"], layer["b"], 2, padding)
        x = (x - layer["mean"]) / np.sqrt(layer["var"] + 1e-5) * layer["gamma"] + layer["beta"]
        x = np.maximum(x, 0)
        x = x[: len(x) // pool * pool].reshape(-1, pool, x.shape[1]).max(axis=1)
        pool5 = x if i == 5 else pool5 if i > 5 else None
    return pool5, *(convolve(x, weights[head]["w"], weights[head]["b"], 2, 0) for head in ("object", "scene"))


def as_npy(weights, path):
    """TensorFlow's layout."""
    names = {"object": "conv8", "scene": "conv8_2"}
    tree = {
        names.get(layer, layer): {
            "weights": np.transpose(arrays["w"], (2, 1, 0))[:, None],
            "biases": arrays["b"],
            **{leaf: arrays[leaf] for leaf in ("gamma", "beta", "mean", "var") if leaf in arrays},
        }
        for layer, arrays in weights.items()
    }
    np.save(path, tree, allow_pickle=True)
    return path


def as_state_dict(weights, layout, dims):
    """PyTorch's names, with kernels of 3 or 4 axes."""
    heads = {"blocks": ("conv8.0", "conv8_2.0")}.get(layout, ("conv8_objs", "conv8_scns"))
    state = {}
    places = dict(zip([f"conv{i}" for i in range(1, 8)], (0, 4, 8, 11, 14, 18, 21), strict=True))
    for layer, arrays in weights.items():
        i = layer.removeprefix("conv")
        if layer in places:
            conv = {"blocks": f"{layer}.0", "flat": layer, "sequence": f"features.{places[layer]}"}[layout]
            follows = places[layer] + 1
            norm = {"blocks": f"{layer}.1", "flat": f"batchnorm{i}", "sequence": f"features.{follows}"}[layout]
            leaves = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "var"}
            state |= {f"{norm}.{theirs}": arrays[leaf] for theirs, leaf in leaves.items()}
            state[f"{norm}.num_batches_tracked"] = np.int64(9)
        else:
            conv = heads[layer == "scene"]
        state[f"{conv}.weight"] = arrays["w"] if dims == 3 else arrays["w"][..., None]
        state[f"{conv}.bias"] = arrays["b"]
    return state


def as_torch7(weights, path, old=False):
    """The original: nn.Sequential, convolutions (out in k 1), the heads beside one another; `old` as Torch of 2015."""

    def conv(name):
        layer = weights[name]
        kernel = layer["w"] if old else layer["w"][..., None]  # older ones are matrices
        kernel = kernel.reshape(len(kernel), -1) if old else kernel
        sizes = {"nInputPlane": layer["w"].shape[1], "kH": layer["w"].shape[2], "kW": 1}
        return Object("cudnn.SpatialConvolution", weight=kernel, bias=Cuda(layer["b"]), gradWeight=None, **sizes)

    def norm(name):
        layer = weights[name]
        variance = {"running_std": (layer["var"].astype(np.float64) + 1e-5) ** -0.5} if old else {}
        variance = variance or {"running_var": layer["var"]}
        arrays = {"weight": layer["gamma"], "bias": layer["beta"], "running_mean": layer["mean"]}
        return Object("nn.SpatialBatchNormalization", 2 - old, eps=1e-5, **arrays, **variance)

    trunk = [make(f"conv{i}") for i in range(1, 8) for make in (conv, norm, lambda _: Object("nn.ReLU", inplace=True))]
    heads = Object("nn.ConcatTable", modules=[conv("object"), conv("scene")])
    return torch7_writer.write(path, Object("nn.Sequential", modules=[*trunk, heads], accept=Function()))


def saved(state, path):
    torch = pytest.importorskip("torch")
    torch.save({name: torch.from_numpy(np.array(value)) for name, value in state.items()}, path)
    return path


@functools.cache
def network(conv_bias):
    model = MODEL.clone(conv_bias=conv_bias)
    heads = jax.jit(lambda v, x: model.apply(v, x))
    return heads, jax.jit(lambda v, x: model.apply(v, x, layer="pool5", method="features"))


def check(weights, variables, rng, conv_bias=True):
    x = (rng.standard_normal(220_500) * 60).astype(np.float32)
    pool5, objects, scenes = forward(weights, x)
    heads, features = network(conv_bias)
    found = heads(variables, x[None])
    for ours, wanted in ((features(variables, x[None]), pool5), (found["object"], objects), (found["scene"], scenes)):
        np.testing.assert_allclose(ours[0], wanted, atol=2e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("conv_bias", [True, False])
def test_npy(weights, tmp_path, rng, conv_bias):
    variables = soundnet.load(as_npy(weights, tmp_path / "sound8.npy"), MODEL.clone(conv_bias=conv_bias))
    assert ("bias" in variables["params"]["conv1"]) == conv_bias
    check(weights, variables, rng, conv_bias)


@pytest.mark.parametrize(("layout", "dims"), [("blocks", 4), ("flat", 4), ("flat", 3), ("sequence", 4)])
def test_pth(weights, tmp_path, rng, layout, dims):
    path = saved(as_state_dict(weights, layout, dims), tmp_path / "soundnet8.pth")
    check(weights, soundnet.load(path, MODEL), rng)


@pytest.mark.parametrize("old", [False, True])
def test_t7(weights, tmp_path, old):
    found = soundnet.load(as_torch7(weights, tmp_path / "soundnet8_final.t7", old), MODEL)
    wanted = soundnet.load(as_npy(weights, tmp_path / "sound8.npy"), MODEL)
    jax.tree.map(lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-5 if old else 0), found, wanted)


def test_values_of_torch7(tmp_path):
    base = np.arange(12, dtype=np.float32)
    view = base.reshape(3, 4)[1:, ::2]
    shared = {"x": 1.5, "n": 3, "s": "grün", "ok": True, "none": None}
    tree = {
        "f": Function(),
        "a": base,
        "v": view,
        "t": [shared, shared],
        "o": Object("nn.X", 3, w=base),
        "c": Cuda(base),
    }
    tree["self"] = tree
    found = torch7_file.read(torch7_writer.write(tmp_path / "a.t7", tree))
    assert found["self"] is found
    assert found["f"] is None
    assert found["t"][1] is found["t"][2]
    assert found["t"][1] == shared
    assert found["o"].kind == "nn.X"
    for name, wanted in {"a": base, "v": view, "c": base}.items():
        np.testing.assert_array_equal(found[name], wanted)
    assert np.shares_memory(found["a"], found["v"])


def test_damaged_t7(weights, tmp_path):
    path = as_torch7(weights, tmp_path / "n.t7")
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for at in (0, 3, 40, *rng.integers(0, len(whole), 20)):
        path.write_bytes(whole[:at])
        with pytest.raises(UserError, match=r"n\.t7: not a binary \.t7 that can be read"):
            torch7_file.read(path)
    for _ in range(200):  # bits of the first layers' descriptions: read as something else, or one line
        raw = bytearray(whole[:4000])
        raw[rng.integers(0, 400)] ^= 1 << rng.integers(0, 8)
        path.write_bytes(raw)
        with contextlib.suppress(UserError):  # and nothing else
            torch7_file.read(path)
    whole = torch7_writer.write(path, np.arange(4.0)).read_bytes()
    path.write_bytes(whole.replace(struct.pack("<iq", 1, 4), struct.pack("<iq", 1, 9)))
    with pytest.raises(UserError, match="reaches beyond its storage"):
        torch7_file.read(path)
    path = torch7_writer.write(path, Object("nn.Sequential", modules=[Object("nn.Linear")]))
    with pytest.raises(UserError, match="0 convolutions and 0 normalisations, and not 9 and 7"):
        soundnet.load(path, MODEL)


def test_names_cover_the_whole_published_network():
    shapes = soundnet._shapes(SoundNet(conv_bias=True))
    for layout in soundnet.layouts().values():
        assert set(layout) == set(shapes)
        assert len(set(layout.values())) == len(layout)
    count = sum(int(np.prod(shape)) for key, shape in shapes.items() if key[0] == "params")
    assert count == 14_352_713  # the network of the paper, as models/sound/soundnet.py counts it


def test_python_2_pickles(weights, tmp_path):
    """Protocol 2 with byte strings, as the published file was written."""
    tree = np.array({"conv1": {"biases": weights["conv1"]["b"]}}, dtype=object)
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
    pickle.dump(tree, stream, protocol=2)
    path = tmp_path / "old.npy"
    path.write_bytes(stream.getvalue())
    np.testing.assert_array_equal(numpy_file.read(path)["conv1.biases"], weights["conv1"]["b"])


def test_fortran_order_and_byte_order(tmp_path):
    array = np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3))
    np.save(tmp_path / "a.npy", {"a": {"b": array}, "n": 3}, allow_pickle=True)
    found = numpy_file.read(tmp_path / "a.npy")
    assert list(found) == ["a.b"]
    np.testing.assert_array_equal(found["a.b"], array)


class Hostile:
    """Writes itself as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def test_no_code_runs(tmp_path):
    mark = tmp_path / "mark"
    for function, argument in ((eval, f"open({str(mark)!r}, 'w')"), (exec, f"open({str(mark)!r}, 'w')")):
        np.save(tmp_path / "evil.npy", {"conv1": Hostile(function, argument)}, allow_pickle=True)
        with pytest.raises(UserError, match=r"refused, because it asks for builtins\.(eval|exec)"):
            soundnet.load(tmp_path / "evil.npy", MODEL)
    np.save(tmp_path / "evil.npy", {"conv1": Hostile(np.fromfile, str(mark))}, allow_pickle=True)
    with pytest.raises(UserError, match=r"missing conv1\.weights"):  # of a package's name a record, and no array
        soundnet.load(tmp_path / "evil.npy", MODEL)
    assert not mark.exists()


def test_damaged_files(weights, tmp_path):
    path = as_npy(weights, tmp_path / "sound8.npy")
    whole = path.read_bytes()
    for contents in (whole[: len(whole) // 2], b"text", b""):
        path.write_bytes(contents)
        with pytest.raises(UserError, match=r"not a \.npy file that can be read"):
            soundnet.load(path, MODEL)
    np.save(path, np.zeros(3))
    with pytest.raises(UserError, match="one array of float64, not a dict"):
        soundnet.load(path, MODEL)
    with pytest.raises(UserError, match="no such file"):
        soundnet.load(tmp_path / "nowhere.npy", MODEL)


def test_wrong_weights(weights, tmp_path):
    def refused(change, message, model=MODEL):
        changed = {name: dict(layer) for name, layer in weights.items()}
        change(changed)
        with pytest.raises(UserError, match=message):
            soundnet.load(as_npy(changed, tmp_path / "sound8.npy"), model)

    refused(lambda w: w["conv5"].pop("mean"), r"missing conv5\.mean")
    refused(lambda w: w.pop("scene"), r"missing conv8_2\.weights, conv8_2\.biases")
    refused(lambda w: w.update(conv9=w["conv1"]), r"unexpected conv9\.weights.* and 2 more")
    refused(lambda w: w["conv2"].update(var=-w["conv2"]["var"]), r"conv2\.var holds what no weights do")
    refused(lambda w: None, r"conv1\.weights has shape \(64, 1, 1, 4\), which is no \(64, 1, 16\)", SoundNet())
    refused(lambda w: None, "8-layer", SoundNet(depth=5))
    only_scenes = MODEL.clone(objects=0)
    found = soundnet.load(as_npy(weights, tmp_path / "sound8.npy"), only_scenes)
    assert "object" not in found["params"]  # a head that the model leaves out is no fault


@pytest.mark.parametrize("name", ["sound8.npy", "soundnet8_final.t7", "SOUND8.NPY"])
def test_a_pointer_of_git_lfs_is_no_file_of_weights(name, tmp_path):
    (tmp_path / name).write_bytes(POINTER + b"v1\noid sha256:0\nsize 1\n")
    with pytest.raises(UserError, match=rf"{name} is a pointer of Git LFS"):
        soundnet.load(tmp_path / name, MODEL)
