"""VGG-Face's importer: the exact count, its authors' three files, both layouts of PyTorch's copies, its own mean."""

import caffe_writer
import jax
import numpy as np
import pytest
import scipy.io
import torch7_writer
from jax import numpy as jnp

from mmjax.errors import UserError
from mmjax.models.vision.vgg import FACE_MEAN, STAGES, vgg_face
from mmjax.weights import caffe_file, matconvnet_file
from mmjax.weights import vgg_face as reader

SMALL = {"channels": (4, 4, 6, 6, 8), "hidden": 10, "classes": 5}


def published(rng):
    """A state dict with the names of vgg_face_dag.pth, random."""
    found, before = {}, 3
    for stage, (count, width) in enumerate(zip(STAGES[16], SMALL["channels"], strict=True), 1):
        for i in range(1, count + 1):
            found[f"conv{stage}_{i}.weight"] = rng.normal(size=(width, before, 3, 3)) * np.sqrt(2 / (9 * before))
            found[f"conv{stage}_{i}.bias"] = 0.1 * rng.normal(size=width)
            before = width
    for name, wide in (("fc6", SMALL["hidden"]), ("fc7", SMALL["hidden"]), ("fc8", SMALL["classes"])):
        before = before * 49 if name == "fc6" else before
        found[f"{name}.weight"] = rng.normal(size=(wide, before)) / np.sqrt(before)
        found[f"{name}.bias"] = 0.1 * rng.normal(size=wide)
        before = wide
    return {name: array.astype(np.float32) for name, array in found.items()}


def test_the_published_count():
    shapes = jax.eval_shape(vgg_face().init, jax.random.key(0), jnp.zeros((1, 224, 224, 3), jnp.uint8))
    assert sum(x.size for x in jax.tree.leaves(shapes)) == 145_002_878
    assert {f"{theirs}.{leaf}" for _, theirs, _ in reader.layers() for leaf in ("weight", "bias")} == {
        *published(np.random.default_rng(0))
    }


def test_the_first_layout_gives_what_pytorch_computes(rng):
    torch = pytest.importorskip("torch")
    model = vgg_face(**SMALL)
    variables = reader.convert(published(np.random.default_rng(0)), model, "vgg_face_dag.pth")
    weights = {name: torch.from_numpy(array) for name, array in published(np.random.default_rng(0)).items()}
    image = rng.integers(0, 256, (2, 224, 224, 3), np.uint8)
    image[0] //= 2
    x = torch.from_numpy((image - np.array(FACE_MEAN)).astype(np.float32).transpose(0, 3, 1, 2))  # nothing is divided
    for stage, count in enumerate(STAGES[16], 1):
        for i in range(1, count + 1):
            name = f"conv{stage}_{i}"
            x = torch.relu(torch.nn.functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1))
        x = torch.nn.functional.max_pool2d(x, 2)
    x = x.flatten(1)
    for name in ("fc6", "fc7", "fc8"):
        x = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        x = x if name == "fc8" else torch.relu(x)
        if name == "fc7":
            feature = x
    found = jax.jit(model.apply)(variables, image)
    scale = float(x.abs().max())
    np.testing.assert_allclose(found["logits"] / scale, x.numpy() / scale, atol=1e-4)
    np.testing.assert_allclose(found["fc7"] / scale, feature.numpy() / scale, atol=1e-4)
    assert np.std(x.numpy() / scale, 0).min() > 1e-3


def test_torchvisions_names_hold_the_same_and_other_weights_are_refused(rng):
    own = published(rng)
    model, at, renamed = vgg_face(**SMALL), 0, {}
    for stage, count in enumerate(STAGES[16], 1):
        for i in range(1, count + 1):
            renamed |= {f"features.{at}.{leaf}": own[f"conv{stage}_{i}.{leaf}"] for leaf in ("weight", "bias")}
            at += 2
        at += 1
    for number, name in ((0, "fc6"), (3, "fc7"), (6, "fc8")):
        renamed |= {f"classifier.{number}.{leaf}": own[f"{name}.{leaf}"] for leaf in ("weight", "bias")}
    one, two = (reader.convert(names, model, "x.pth") for names in (own, renamed))
    jax.tree.map(np.testing.assert_array_equal, one, two)
    with pytest.raises(UserError, match=r"x\.pth: these are not the weights of this network; missing: conv5_3"):
        reader.convert({k: v for k, v in own.items() if not k.startswith("conv5_3")}, model, "x.pth")


def pairs(weights, bgr=False):
    """{layer: [kernel, bias]} of a state dict, with a first kernel that reads BGR."""
    names = [name.removesuffix(".bias") for name in weights if name.endswith(".bias")]
    found = {name: [weights[f"{name}.weight"], weights[f"{name}.bias"]] for name in names}
    if bgr:
        found["conv1_1"][0] = np.ascontiguousarray(found["conv1_1"][0][:, ::-1])
    return found


def as_torch7(weights, path):
    """As `VGG_FACE.t7`: an nn.Sequential of SpatialConvolutionMM, whose kernels have two axes, and others."""
    modules = []
    for name, (kernel, bias) in pairs(weights, bgr=True).items():
        flat = {"weight": kernel.reshape(len(kernel), -1), "bias": bias, "gradBias": bias[:0]}
        sizes = {"nInputPlane": kernel.shape[1], "kH": 3, "kW": 3} if name.startswith("conv") else {}
        kind = "nn.SpatialConvolutionMM" if sizes else "nn.Linear"
        modules += [torch7_writer.Object(kind, **flat, **sizes), torch7_writer.Object("nn.ReLU", inplace=True)]
    return torch7_writer.write(path, torch7_writer.Object("nn.Sequential", modules=modules[:-1]))


def as_caffe(weights, path, old):
    return caffe_writer.write(path, {"data": [], **pairs(weights, bgr=True)}, old)


def as_matconvnet(weights, path, top, old):
    """As `vgg_face.mat` (fields of `net`) or, with `top`, `vgg-face.mat`; `old`: with `filters` and `biases`."""
    cells = []
    for name, (kernel, bias) in pairs(weights).items():
        sides = kernel.shape[2:] or ((7, 7) if name == "fc6" else (1, 1))
        filters = kernel.reshape(len(kernel), -1, *sides).transpose(2, 3, 1, 0)
        both = np.empty((1, 2), object)
        both[0, 0], both[0, 1] = filters, bias[:, None]
        arrays = {"filters": filters, "biases": bias[None]} if old else {"weights": both}
        cells += [{"type": "conv", "name": name, "stride": 1.0, **arrays}, {"type": "relu", "name": "relu"}]
    layers = np.empty((1, len(cells)), object)
    layers[0] = cells
    network = {"layers": layers, "meta": {"averageImage": np.array(FACE_MEAN)}}
    scipy.io.savemat(path, network if top else {"net": network})
    return path


AUTHORS = {
    "VGG_FACE.t7": as_torch7,
    "VGG_FACE.caffemodel": lambda weights, path: as_caffe(weights, path, old=True),
    "newer.caffemodel": lambda weights, path: as_caffe(weights, path, old=False),
    "vgg_face.mat": lambda weights, path: as_matconvnet(weights, path, top=False, old=False),
    "vgg-face.mat": lambda weights, path: as_matconvnet(weights, path, top=True, old=False),
    "older.mat": lambda weights, path: as_matconvnet(weights, path, top=False, old=True),
}


@pytest.mark.parametrize("name", AUTHORS)
def test_its_authors_files_hold_the_same(name, tmp_path, rng):
    own, model = published(rng), vgg_face(**SMALL)
    path = AUTHORS[name](own, tmp_path / name)
    wanted = reader.convert(own, model, "x.pth")
    jax.tree.map(np.testing.assert_array_equal, reader.convert(reader.read(path), model, name), wanted)


@pytest.mark.parametrize("name", AUTHORS)
def test_damaged_files_and_other_networks_are_one_line(name, tmp_path, rng):
    own = published(rng)
    path = AUTHORS[name](own, tmp_path / name)
    whole = path.read_bytes()
    for at in (0, 3, 200, len(whole) // 2):
        path.write_bytes(whole[:at])
        with pytest.raises(UserError, match=rf"{name}: (not a|these are not)"):
            reader.convert(reader.read(path), vgg_face(**SMALL), str(path))
    AUTHORS[name]({k: v for k, v in own.items() if not k.startswith("conv5_3")}, path)
    with pytest.raises(UserError, match=rf"{name}: these are not the weights of"):
        reader.convert(reader.read(path), vgg_face(**SMALL), str(path))
    with pytest.raises(UserError, match=r"absent\.\w+: no such file"):
        reader.read(tmp_path / name.replace(name.partition(".")[0], "absent"))


def test_a_layer_that_does_not_fit_is_named(tmp_path, rng):
    own = published(rng)
    own["fc7.weight"] = own["fc7.weight"][:, :-1].ravel()[:-1]
    path = as_caffe(own, tmp_path / "odd.caffemodel", old=False)
    with pytest.raises(UserError, match=r"odd\.caffemodel: these are not the weights of VGG-Face; fc7 is \(89,\)"):
        reader.read(path)
    path = caffe_writer.write(path, {"conv1_1": [own["conv1_1.weight"]]})
    with pytest.raises(UserError, match=r"odd\.caffemodel: .* conv1_1 has 1 arrays, wanted 2"):
        reader.read(path)


def test_a_description_without_weights_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"bare\.caffemodel: .*no layer with weights"):
        caffe_file.read(caffe_writer.write(tmp_path / "bare.caffemodel", {"conv1_1": []}))
    scipy.io.savemat(tmp_path / "faces.mat", {"faces": np.zeros((2, 3))})
    with pytest.raises(UserError, match=r"faces\.mat: not a network of MatConvNet's"):
        matconvnet_file.read(tmp_path / "faces.mat")
