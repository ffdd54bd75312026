"""Weights in torchvision's layout: the same numbers as an independent forward pass, and clear refusals."""

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from mmjax.errors import UserError
from mmjax.models.vision.resnet import MEAN, STAGES, STD, ResNet
from mmjax.weights import resnet


def random_weights(rng, depth, classes):
    """A state dict in torchvision's names and shapes, written out here and not taken from the importer."""
    weights = {}

    def conv(name, out, inside, kernel):
        scale = (2 / (inside * kernel**2)) ** 0.5
        weights[f"{name}.weight"] = rng.normal(size=(out, inside, kernel, kernel)).astype(np.float32) * np.float32(
            scale
        )

    def norm(name, width):
        for leaf, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
            weights[f"{name}.{leaf}"] = rng.uniform(low, low + 1, width).astype(np.float32)
        weights[f"{name}.num_batches_tracked"] = np.int64(3)

    conv("conv1", 64, 3, 7)
    norm("bn1", 64)
    inside, expansion = 64, 4 if depth >= 50 else 1
    for stage, blocks in enumerate(STAGES[depth], start=1):
        width = 32 * 2**stage
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            sizes = [(inside, width, 3), (width, width, 3)]
            if depth >= 50:
                sizes = [(inside, width, 1), (width, width, 3), (width, 4 * width, 1)]
            for i, (source, out, kernel) in enumerate(sizes, start=1):
                conv(f"{at}.conv{i}", out, source, kernel)
                norm(f"{at}.bn{i}", out)
            if block == 0 and inside != width * expansion:
                conv(f"{at}.downsample.0", width * expansion, inside, 1)
                norm(f"{at}.downsample.1", width * expansion)
            inside = width * expansion
    weights["fc.weight"] = rng.normal(size=(classes, inside)).astype(np.float32) * np.float32(0.05)
    weights["fc.bias"] = rng.normal(size=classes).astype(np.float32)
    return weights


def reference(torch, weights, image, depth):
    """The forward pass of torchvision's network in plain torch functions."""
    f = torch.nn.functional
    w = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}

    def layer(x, conv, norm, stride=1):
        kernel = w[f"{conv}.weight"]
        x = f.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        return f.batch_norm(x, *(w[f"{norm}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")))

    x = (torch.from_numpy(image).float() - torch.tensor(MEAN)) / torch.tensor(STD)
    x = f.max_pool2d(f.relu(layer(x.permute(0, 3, 1, 2), "conv1", "bn1", 2)), 3, 2, 1)
    for stage, blocks in enumerate(STAGES[depth], start=1):
        for block in range(blocks):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            strides = (1, stride, 1) if depth >= 50 else (stride, 1)
            y = x
            for i, step in enumerate(strides, start=1):
                y = layer(y, f"{at}.conv{i}", f"{at}.bn{i}", step)
                y = f.relu(y) if i < len(strides) else y
            if f"{at}.downsample.0.weight" in w:
                x = layer(x, f"{at}.downsample.0", f"{at}.downsample.1", stride)
            x = f.relu(x + y)
    return f.linear(x.mean((2, 3)), w["fc.weight"], w["fc.bias"]).numpy()


@pytest.mark.parametrize("depth", [18, 50])
def test_logits_equal_an_independent_forward_pass(tmp_path, rng, depth):
    torch = pytest.importorskip("torch")
    weights = random_weights(rng, depth, 365)
    # The form of the Places365 file: an old stream, data-parallel names, under "state_dict" among other things.
    inside = {f"module.{name}": torch.from_numpy(np.array(value)) for name, value in weights.items()}
    path = tmp_path / f"resnet{depth}_places365.pth.tar"
    content = {"epoch": 90, "arch": f"resnet{depth}", "state_dict": inside, "best_prec1": torch.tensor(54.0)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    variables = resnet.load(path, depth, 365)
    image = rng.integers(0, 256, (2, 64, 48, 3)).astype(np.uint8)
    out = jax.jit(lambda v, x: ResNet(depth, 365).apply(v, x)["logits"])(variables, image)
    expected = reference(torch, weights, image, depth)
    np.testing.assert_allclose(out, expected, atol=1e-4 * np.abs(expected).max())


def test_safetensors_and_torch_files_give_the_same(tmp_path, rng):
    torch = pytest.importorskip("torch")
    weights = random_weights(rng, 18, 10)
    save_file({name: np.asarray(value) for name, value in weights.items()}, tmp_path / "w.safetensors")
    torch.save({name: torch.from_numpy(np.array(value)) for name, value in weights.items()}, tmp_path / "w.pth")
    first, second = resnet.load(tmp_path / "w.safetensors", 18, 10), resnet.load(tmp_path / "w.pth", 18, 10)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    np.testing.assert_array_equal(first["state"]["stage2_block0"]["norm1"]["var"], weights["layer2.0.bn1.running_var"])


def test_a_file_that_does_not_fit_is_told_apart(tmp_path, rng):
    weights = random_weights(rng, 18, 10)
    path = tmp_path / "w.safetensors"
    save_file(weights := {name: np.asarray(value) for name, value in weights.items()}, path)
    with pytest.raises(UserError, match=r"wrong shape: fc\.weight is \(10, 512\), wanted \(365, 512\), fc\.bias"):
        resnet.load(path, 18, 365)
    with pytest.raises(UserError, match=r"missing: layer1\.0\.conv3\.weight, .* and \d+ more; wrong shape"):
        resnet.load(path, 50, 10)
    weights["extra.weight"] = weights.pop("bn1.bias")
    save_file(weights, path)
    with pytest.raises(UserError, match=r"w\.safetensors: .*missing: bn1\.bias; unexpected: extra\.weight$"):
        resnet.load(path, 18, 10)
    with pytest.raises(UserError, match="no such file"):
        resnet.load(tmp_path / "absent.safetensors")
    path.write_bytes(b"not one")
    with pytest.raises(UserError, match="not a safetensors file"):
        resnet.load(path)
