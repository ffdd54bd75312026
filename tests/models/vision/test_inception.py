"""FID's Inception: the whole network against PyTorch, its two poolings by hand, and what is said of a wrong file."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from safetensors.numpy import save_file

from mmjax.errors import UserError
from mmjax.models.vision import inception
from mmjax.models.vision.inception import InceptionFid
from mmjax.weights import inception as weights

torch = pytest.importorskip("torch")
F = torch.nn.functional

CHANNELS = 17_216  # outputs of all convolutions: one row of a normalisation's four vectors
PARAMETERS = 21_751_136 + 2 * CHANNELS


class Reference:
    """The network of pytorch-fid in PyTorch; a layer's weights are drawn when it first sees a map."""

    def __init__(self, seed):
        self.rng, self.tensors = np.random.default_rng(seed), {}

    def draw(self, name, channels, into, kernel):
        scale = (2 / (into * kernel[0] * kernel[1])) ** 0.5
        drawn = {
            "conv.weight": scale * self.rng.standard_normal((channels, into, *kernel), np.float32),
            "bn.weight": self.rng.uniform(0.5, 1.5, channels),
            "bn.bias": self.rng.normal(0, 0.2, channels),
            "bn.running_mean": self.rng.normal(0, 0.2, channels),
            "bn.running_var": self.rng.uniform(0.5, 1.5, channels),
        }
        self.tensors |= {f"{name}.{leaf}": torch.tensor(value, dtype=torch.float32) for leaf, value in drawn.items()}

    def conv(self, x, name, channels, kernel, stride=1, padding=0):
        if f"{name}.conv.weight" not in self.tensors:
            self.draw(name, channels, x.shape[1], kernel)
        own = {leaf: self.tensors[f"{name}.bn.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")}
        x = F.conv2d(x, self.tensors[f"{name}.conv.weight"], stride=stride, padding=padding)
        return F.relu(F.batch_norm(x, **own, eps=0.001))

    def block5(self, x, name, pool):
        one = self.conv(x, f"{name}.branch1x1", 64, (1, 1))
        five = self.conv(x, f"{name}.branch5x5_1", 48, (1, 1))
        five = self.conv(five, f"{name}.branch5x5_2", 64, (5, 5), padding=2)
        three = self.conv(x, f"{name}.branch3x3dbl_1", 64, (1, 1))
        three = self.conv(three, f"{name}.branch3x3dbl_2", 96, (3, 3), padding=1)
        three = self.conv(three, f"{name}.branch3x3dbl_3", 96, (3, 3), padding=1)
        mean = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return torch.cat([one, five, three, self.conv(mean, f"{name}.branch_pool", pool, (1, 1))], 1)

    def block6a(self, x):
        three = self.conv(x, "Mixed_6a.branch3x3", 384, (3, 3), 2)
        double = self.conv(x, "Mixed_6a.branch3x3dbl_1", 64, (1, 1))
        double = self.conv(double, "Mixed_6a.branch3x3dbl_2", 96, (3, 3), padding=1)
        double = self.conv(double, "Mixed_6a.branch3x3dbl_3", 96, (3, 3), 2)
        return torch.cat([three, double, F.max_pool2d(x, 3, 2)], 1)

    def block6(self, x, name, inside):
        wide, high = {"kernel": (1, 7), "padding": (0, 3)}, {"kernel": (7, 1), "padding": (3, 0)}
        one = self.conv(x, f"{name}.branch1x1", 192, (1, 1))
        seven = self.conv(x, f"{name}.branch7x7_1", inside, (1, 1))
        seven = self.conv(seven, f"{name}.branch7x7_2", inside, **wide)
        seven = self.conv(seven, f"{name}.branch7x7_3", 192, **high)
        double = self.conv(x, f"{name}.branch7x7dbl_1", inside, (1, 1))
        double = self.conv(double, f"{name}.branch7x7dbl_2", inside, **high)
        double = self.conv(double, f"{name}.branch7x7dbl_3", inside, **wide)
        double = self.conv(double, f"{name}.branch7x7dbl_4", inside, **high)
        double = self.conv(double, f"{name}.branch7x7dbl_5", 192, **wide)
        mean = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return torch.cat([one, seven, double, self.conv(mean, f"{name}.branch_pool", 192, (1, 1))], 1)

    def block7a(self, x):
        three = self.conv(x, "Mixed_7a.branch3x3_1", 192, (1, 1))
        three = self.conv(three, "Mixed_7a.branch3x3_2", 320, (3, 3), 2)
        seven = self.conv(x, "Mixed_7a.branch7x7x3_1", 192, (1, 1))
        seven = self.conv(seven, "Mixed_7a.branch7x7x3_2", 192, (1, 7), padding=(0, 3))
        seven = self.conv(seven, "Mixed_7a.branch7x7x3_3", 192, (7, 1), padding=(3, 0))
        seven = self.conv(seven, "Mixed_7a.branch7x7x3_4", 192, (3, 3), 2)
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)

    def block7(self, x, name, pooled):
        def fork(y, own):
            wide = self.conv(y, f"{own}a", 384, (1, 3), padding=(0, 1))
            return torch.cat([wide, self.conv(y, f"{own}b", 384, (3, 1), padding=(1, 0))], 1)

        one = self.conv(x, f"{name}.branch1x1", 320, (1, 1))
        three = fork(self.conv(x, f"{name}.branch3x3_1", 384, (1, 1)), f"{name}.branch3x3_2")
        double = self.conv(x, f"{name}.branch3x3dbl_1", 448, (1, 1))
        double = self.conv(double, f"{name}.branch3x3dbl_2", 384, (3, 3), padding=1)
        double = fork(double, f"{name}.branch3x3dbl_3")
        return torch.cat([one, three, double, self.conv(pooled, f"{name}.branch_pool", 192, (1, 1))], 1)

    def features(self, image):
        """[b 2048] of pictures [b h w 3], 0..255."""
        x = torch.tensor(image).permute(0, 3, 1, 2) / 255
        x = 2 * F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False) - 1
        x = self.conv(x, "Conv2d_1a_3x3", 32, (3, 3), 2)
        x = self.conv(x, "Conv2d_2a_3x3", 32, (3, 3))
        x = F.max_pool2d(self.conv(x, "Conv2d_2b_3x3", 64, (3, 3), padding=1), 3, 2)
        x = self.conv(x, "Conv2d_3b_1x1", 80, (1, 1))
        x = F.max_pool2d(self.conv(x, "Conv2d_4a_3x3", 192, (3, 3)), 3, 2)
        for letter, pool in (("b", 32), ("c", 64), ("d", 64)):
            x = self.block5(x, f"Mixed_5{letter}", pool)
        x = self.block6a(x)
        for letter, inside in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
            x = self.block6(x, f"Mixed_6{letter}", inside)
        x = self.block7a(x)
        x = self.block7(x, "Mixed_7b", F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))
        x = self.block7(x, "Mixed_7c", F.max_pool2d(x, 3, 1, 1))
        return x.mean((2, 3)).numpy()


@pytest.fixture(scope="module")
def reference():
    """(tensors in the published layout, a picture, its features)."""
    network, image = Reference(0), np.random.default_rng(1).integers(0, 256, (1, 64, 48, 3), np.uint8)
    found = network.features(image)
    head = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    counter = {"Conv2d_1a_3x3.bn.num_batches_tracked": torch.tensor(0)}
    return network.tensors | head | counter, image, found


def test_features_against_pytorch(reference, tmp_path):
    tensors, image, want = reference
    path = tmp_path / weights.FILE
    torch.save(tensors, path, _use_new_zipfile_serialization=False)  # the form of the published file's time
    model, variables = InceptionFid(), weights.load(path)
    got = jax.jit(model.apply)(variables, image)
    assert got.shape == (1, inception.FEATURES)
    assert got.dtype == jnp.float32
    assert want.std() > 0.1 * want.mean() > 0  # features that tell nothing apart would agree as well
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * want.mean())


def test_parameters(reference):
    variables = jax.eval_shape(InceptionFid().init, jax.random.key(0), jnp.zeros((1, 8, 8, 3), jnp.uint8))
    sizes = {key: sum(x.size for x in jax.tree.leaves(tree)) for key, tree in variables.items()}
    assert sizes == {"params": PARAMETERS, "state": 2 * CHANNELS}
    ours = [t for name, t in reference[0].items() if not name.startswith("fc.") and "num_batches" not in name]
    assert sum(t.numel() for t in ours) == PARAMETERS + 2 * CHANNELS
    assert len(list(inception.names())) == 94


def test_a_mean_does_not_count_the_padding():
    x = jnp.arange(1.0, 7.0).reshape(1, 2, 3, 1)  # 1 2 3 / 4 5 6
    rows = inception.mean_inside(x)[0, :, :, 0]
    np.testing.assert_allclose(rows, [[3, 3.5, 4]] * 2)  # (1+2+4+5)/4, all six, (2+3+5+6)/4


@pytest.mark.parametrize("shape", [(64, 48), (299, 299), (320, 700)])
def test_resizing_against_pytorch(rng, shape):
    image = rng.integers(0, 256, (2, *shape, 3), np.uint8)
    planes = torch.tensor(image).permute(0, 3, 1, 2) / 255
    want = 2 * F.interpolate(planes, size=(299, 299), mode="bilinear", align_corners=False).permute(0, 2, 3, 1) - 1
    for dtype in (np.uint8, np.float32):
        np.testing.assert_allclose(inception.prepare(jnp.asarray(image.astype(dtype))), want.numpy(), atol=2e-4)


def test_another_network_is_refused(reference):
    tensors = {name: np.broadcast_to(np.float32(0), tensor.shape) for name, tensor in reference[0].items()}
    tensors["AuxLogits.conv0.conv.weight"] = np.zeros((128, 768, 1, 1), np.float32)  # torchvision's file has it
    del tensors["Mixed_7c.branch_pool.bn.bias"]
    tensors["layer1.weight"] = np.zeros(3, np.float32)
    tensors["Mixed_5b.branch_pool.bn.weight"] = np.zeros(64, np.float32)
    with pytest.raises(UserError) as error:
        weights.convert(tensors, "other.pth")
    assert str(error.value) == (
        "other.pth: these are not the weights of this network; missing: Mixed_7c.branch_pool.bn.bias; "
        "unexpected: layer1.weight; wrong shape: Mixed_5b.branch_pool.bn.weight is (64,), wanted (32,)"
    )


def test_a_safetensors_file_is_read_and_named(tmp_path):
    save_file({"conv1.weight": np.zeros((1, 1), np.float32)}, tmp_path / "a.safetensors")
    with pytest.raises(
        UserError, match=r"a\.safetensors: .* missing: Conv2d_1a_3x3\.conv\.weight, .* and 466 more; un"
    ):
        weights.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("path", ["", "nowhere.pth", "~/nowhere.safetensors"])
def test_a_missing_file_is_one_line(path):
    with pytest.raises(UserError) as error:
        weights.load(path)
    assert str(error.value) == (
        f"path={path!r}: no such file; pt_inception-2015-12-05-6726825d.pth is on pytorch-fid's release "
        "page, https://github.com/mseitzer/pytorch-fid/releases"
    )


def test_torchvisions_weights_are_refused(reference):
    tensors = {name: np.broadcast_to(np.float32(0), tensor.shape) for name, tensor in reference[0].items()}
    tensors["fc.weight"] = np.zeros((1000, 2048), np.float32)
    with pytest.raises(UserError, match="tells 1000 classes apart and not 1008: this is torchvision's"):
        weights.convert(tensors, "inception_v3_google.pth")
