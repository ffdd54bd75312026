"""VGG-Face's importer: the exact count, its authors' three files, both layouts of PyTorch's copies, its own mean."""

import contextlib

import caffe_writer
import jax
import numpy as np
import pytest
import scipy.io
import torch7_writer
from jax import numpy as jnp

from mmjax.errors import POINTER, UserError
from mmjax.models.vision.vgg import FACE_MEAN, STAGES, vgg_face
from mmjax.weights import caffe_file, matconvnet_file, matlab_file
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
    "OLDER.MAT": lambda weights, path: as_matconvnet(weights, path, top=False, old=True),
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
        with pytest.raises(UserError, match=rf"{name}: (not a|no network|these are not)"):
            reader.convert(reader.read(path), vgg_face(**SMALL), str(path))
    AUTHORS[name]({k: v for k, v in own.items() if not k.startswith("conv5_3")}, path)
    with pytest.raises(UserError, match=rf"{name}: these are not the weights of"):
        reader.convert(reader.read(path), vgg_face(**SMALL), str(path))
    path.write_bytes(POINTER + b"v1\n")
    with pytest.raises(UserError, match="is a pointer of Git LFS"):
        reader.read(path)
    with pytest.raises(UserError, match=r"absent\.\w+: no such file"):
        reader.read(tmp_path / name.replace(name.partition(".")[0], "absent"))


@pytest.mark.parametrize("name", AUTHORS)
def test_a_changed_byte_is_one_line_or_another_number(name, tmp_path, rng):
    # SciPy, which reads .mat as well, ends the process for some of these.
    own = {k: v[:, :49] if k == "fc6.weight" else v for k, v in published(rng).items()}  # small
    path = AUTHORS[name](own, tmp_path / name)
    whole = path.read_bytes()
    heads = np.flatnonzero(np.frombuffer(whole, np.uint8) < 20)  # tags, sizes and ranks rather than floats
    for at in rng.choice(heads, 200, replace=False):
        raw = bytearray(whole)
        raw[at] = rng.integers(0, 256)
        path.write_bytes(raw)
        with contextlib.suppress(UserError):  # and nothing else
            reader.read(path)


def test_a_layer_that_does_not_fit_is_named(tmp_path, rng):
    own = pairs(published(rng), bgr=True)
    path = tmp_path / "odd.caffemodel"

    def refused(said, **layers):
        caffe_writer.write(path, {**own, **layers})
        with pytest.raises(UserError, match=rf"odd\.caffemodel: these are not the weights of .*{said}") as caught:
            reader.convert(reader.read(path), vgg_face(**SMALL), str(path))
        assert str(caught.value).isprintable()

    kernel, bias = own["conv1_2"]
    refused(r"conv1_2 has no kernel and bias", conv1_2=[kernel])
    refused(r"conv1_2 has no kernel and bias", conv1_2=[kernel, bias[:0]])
    refused(r"conv1_2 has no kernel and bias", conv1_2=[np.array(1.0), bias])
    refused(r"conv1_2 is \(3, 3, 4, 4\) with 4 biases", conv1_2=[kernel.transpose(2, 3, 1, 0), bias])
    refused(r"wrong shape: conv1_2\.weight is \(4, 4, 9\)", conv1_2=[kernel.reshape(4, 4, 9, 1), bias])
    refused(r"fc8 is \(10, 5\) with 5 biases", fc8=[own["fc8"][0].T, own["fc8"][1]])  # transposed, as Caffe can
    refused(r"wrong shape: fc6\.weight", fc6=[own["fc6"][0].reshape(10, -1, 7, 1), own["fc6"][1]])
    refused(r"unexpected: a\?b\?\.weight", **{"a\nb\x1b": own["fc7"]})


def test_one_name_stands_for_one_layer(tmp_path, rng):
    own = pairs(published(rng), bgr=True)
    one = caffe_writer.write(tmp_path / "one.caffemodel", own)
    again = caffe_writer.write(tmp_path / "again.caffemodel", {"fc8": own["fc7"]})
    both = tmp_path / "both.caffemodel"
    both.write_bytes(one.read_bytes() + again.read_bytes())
    with pytest.raises(UserError, match=r"both\.caffemodel: two layers are called fc8"):
        caffe_file.read(both)
    bare = caffe_writer.write(tmp_path / "bare.caffemodel", {"fc8": []})
    both.write_bytes(one.read_bytes() + bare.read_bytes())  # of no weights: a second phase's
    np.testing.assert_array_equal(caffe_file.read(both)["fc8"][0], own["fc8"][0])


def test_what_is_not_such_a_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"bare\.caffemodel: .*no layer with weights"):
        caffe_file.read(caffe_writer.write(tmp_path / "bare.caffemodel", {"conv1_1": []}))
    scipy.io.savemat(tmp_path / "faces.mat", {"net": np.zeros((2, 3))})
    with pytest.raises(UserError, match=r"faces\.mat: no network of MatConvNet's"):
        matconvnet_file.read(tmp_path / "faces.mat")
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(UserError, match=r"new\.mat: not a \.mat .* is of version 7\.3: save it with -v7"):
        matconvnet_file.read(tmp_path / "new.mat")


def test_layers_that_hold_each_other_have_an_end(tmp_path):
    path = tmp_path / "VGG_FACE.t7"
    pair = torch7_writer.Object("nn.Sequential", modules=[])
    for _ in range(20):
        pair = torch7_writer.Object("nn.Sequential", modules=[pair, pair])
    torch7_writer.write(path, pair)
    with pytest.raises(UserError, match=r"VGG_FACE\.t7: these are not .*more than 10,000 layers"):
        reader.read(path)
    ring = torch7_writer.Object("nn.Sequential", modules=[])
    ring.fields["modules"].append(ring)
    torch7_writer.write(path, ring)
    with pytest.raises(UserError, match="0 layers with weights, wanted 16"):
        reader.read(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_values_of_matlab(compressed, tmp_path, rng):
    cell = np.empty((2, 2), object)
    cell[:] = [["a", np.arange(3)], [{"x": 1.5}, np.zeros((0, 0))]]
    numbers = {"f": rng.normal(size=(2, 3, 4)), "i": rng.integers(-9, 9, (2, 5), np.int16), "u": np.uint8([[255]])}
    path = tmp_path / "values.mat"
    scipy.io.savemat(
        path,
        {**numbers, "cell": cell, "s": [{"x": 1.0}, {"x": 2.0}], "z": np.ones(3) * 1j, "other": 1.0},
        do_compression=compressed,
    )
    found = matlab_file.read(path, (*numbers, "cell", "s", "z", "absent"))
    assert set(found) == {*numbers, "cell", "s", "z"}
    for name, wanted in numbers.items():
        np.testing.assert_array_equal(found[name], wanted)
        assert found[name].dtype == wanted.dtype
    a, record, three, nothing = found["cell"]  # column by column
    assert (a, record["x"].item(), nothing.size) == ("a", 1.5, 0)
    np.testing.assert_array_equal(three, [[0, 1, 2]])
    assert [record["x"].item() for record in found["s"]] == [1, 2]
    assert found["z"] is None


def test_a_variable_that_swells_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "zeros.mat", {"net": np.zeros(2**22), "other": np.ones(2)}, do_compression=True)
    with pytest.raises(UserError, match=r"zeros\.mat: .*a compressed variable of more than"):
        matlab_file.read(tmp_path / "zeros.mat", ("net",))
    assert matlab_file.read(tmp_path / "zeros.mat", ("other",))["other"].tolist() == [
        [1, 1]
    ]  # the rest is not unpacked
