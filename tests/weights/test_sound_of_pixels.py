"""The released layout: the numbers of an independent forward pass in torch, a stored one without it, and refusals."""

import jax
import numpy as np
import pytest
import torch_writer

from mmjax.errors import UserError
from mmjax.models.joint.sound_of_pixels import FrameHead
from mmjax.models.sound.unet import UNet
from mmjax.models.vision.resnet import MEAN, STD, ResNet
from mmjax.weights import sound_of_pixels

LEVELS, WIDTH, MAPS = 5, 2, 3  # the least that the official code builds


def pattern(size, start, scale):
    """Numbers that are the same everywhere."""
    return (scale * np.sin(start + 1.7 * np.arange(np.prod(size)))).reshape(size).astype(np.float32)


class Written(dict):
    """A state dict in the official names and shapes, written out here and not taken from the reader."""

    def conv(self, name, out, inside, kernel, bias=False):
        self[f"{name}.weight"] = pattern((out, inside, kernel, kernel), len(self), (2 / (inside * kernel**2)) ** 0.5)
        if bias:
            self[f"{name}.bias"] = pattern((out,), len(self), 0.1)

    def norm(self, name, width):
        for leaf, low in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self[f"{name}.{leaf}"] = low + pattern((width,), len(self), 0.3)
        self[f"{name}.num_batches_tracked"] = np.int64(7)


def sound_weights():
    w = Written()
    w.norm("bn0", 1)
    widths = [WIDTH * min(2**i, 8) for i in range(LEVELS)]
    at = "unet_block.model"
    w.conv(f"{at}.0", widths[0], 1, 4)
    w.conv(f"{at}.4", MAPS, 2 * widths[0], 3, bias=True)
    for i in range(1, LEVELS):
        at += ".1.model" if i == 1 else ".3.model"
        w.conv(f"{at}.1", widths[i], widths[i - 1], 4)
        if i < LEVELS - 1:
            w.norm(f"{at}.2", widths[i])
            w.conv(f"{at}.6", widths[i - 1], 2 * widths[i], 3)
            w.norm(f"{at}.7", widths[i - 1])
        else:
            w.conv(f"{at}.4", widths[i - 1], widths[i], 3)
            w.norm(f"{at}.5", widths[i - 1])
    return w


def frame_weights():
    w = Written()
    w.conv("features.0", 64, 3, 7)
    w.norm("features.1", 64)
    inside = 64
    for stage in range(4):
        width = 64 * 2**stage
        for block in range(2):
            at = f"features.{4 + stage}.{block}"
            for i, source in enumerate((inside, width), start=1):
                w.conv(f"{at}.conv{i}", width, source, 3)
                w.norm(f"{at}.bn{i}", width)
            if inside != width:
                w.conv(f"{at}.downsample.0", width, inside, 1)
                w.norm(f"{at}.downsample.1", width)
            inside = width
    w.conv("fc", MAPS, 512, 3, bias=True)
    return w


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("released")
    torch_writer.write_zip(place / "sound_best.pth", dict(sound_weights()))
    torch_writer.write_zip(place / "frame_best.pth", dict(frame_weights()))
    torch_writer.write_zip(
        place / "synthesizer_best.pth", {"scale": pattern((MAPS,), 1, 1.0), "bias": pattern((1,), 2, 1.0)}
    )
    return place


@pytest.fixture(scope="module")
def loaded(folder):
    return sound_of_pixels.load(folder, LEVELS, WIDTH, MAPS)


def heard(loaded, x):
    return jax.jit(UNet(MAPS, LEVELS, WIDTH).apply)(loaded["sound"], x)


def seen(loaded, pictures):
    def run(pictures):
        maps = ResNet(18, 0, dilated=True).apply(loaded["encoder"], pictures)["stage4"]
        return FrameHead(MAPS).apply({"params": loaded["head"]["params"]}, maps[None])

    return jax.jit(run)(pictures)


SOUND = pattern((1, 32, 64), 3, 2.0)
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)


def test_the_same_numbers_as_torch(loaded):
    torch = pytest.importorskip("torch")
    f = torch.nn.functional

    def layers(written):
        w = {name: torch.from_numpy(np.array(value)) for name, value in written.items()}

        def conv(x, name, stride=1, pad=1, dilation=1):
            bias = w.get(f"{name}.bias")
            return f.conv2d(x, w[f"{name}.weight"], bias, stride=stride, padding=pad, dilation=dilation)

        def norm(x, name):
            return f.batch_norm(x, *(w[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")))

        return conv, norm

    conv, norm = layers(sound_weights())

    def block(x, at, level):
        if level == LEVELS:
            return None
        first, last = level == 0, level == LEVELS - 1
        y = conv(x if first else f.leaky_relu(x, 0.2), f"{at}.{0 if first else 1}", stride=2)
        y = y if first or last else norm(y, f"{at}.2")
        if not last:
            y = torch.cat([y, block(y, f"{at}.{1 if first else 3}.model", level + 1)], 1)
        y = f.interpolate(f.relu(y), scale_factor=2, mode="bilinear", align_corners=True)
        y = conv(y, f"{at}.{4 if first or last else 6}")
        return y if first else norm(y, f"{at}.{5 if last else 7}")

    wanted = block(norm(torch.from_numpy(SOUND)[:, None], "bn0"), "unet_block.model", 0)
    np.testing.assert_allclose(heard(loaded, SOUND), wanted.permute(0, 2, 3, 1), atol=1e-4)

    conv, norm = layers(frame_weights())
    x = (torch.from_numpy(PICTURES).float() - torch.tensor(MEAN)) / torch.tensor(STD)
    x = f.relu(norm(conv(x.permute(0, 3, 1, 2), "features.0", 2, 3), "features.1"))
    x = f.max_pool2d(x, 3, 2, 1)
    for stage in range(4):
        for number in range(2):
            at, wide = f"features.{4 + stage}.{number}", stage == 3
            stride = 2 if 0 < stage < 3 and number == 0 else 1
            apart = 2 if wide and number else 1
            y = f.relu(norm(conv(x, f"{at}.conv1", stride, apart, apart), f"{at}.bn1"))
            apart = 2 if wide else 1
            y = norm(conv(y, f"{at}.conv2", 1, apart, apart), f"{at}.bn2")
            if stage and number == 0:
                x = norm(conv(x, f"{at}.downsample.0", stride, 0), f"{at}.downsample.1")
            x = f.relu(x + y)
    vector = torch.sigmoid(conv(x, "fc").amax((0, 2, 3)))
    np.testing.assert_allclose(seen(loaded, PICTURES)[0], vector, atol=1e-4)


def test_the_same_numbers_as_torch_once_gave(loaded):
    """What the test above compared, stored, for where there is no torch."""
    maps = np.asarray(heard(loaded, SOUND))
    assert maps.shape == (1, 32, 64, MAPS)
    np.testing.assert_allclose(maps[0, [3, 17, 31], [5, 40, 63], [0, 1, 2]], GOLDEN_SOUND, atol=1e-4)
    np.testing.assert_allclose(seen(loaded, PICTURES)[0], GOLDEN_FRAME, atol=1e-4)
    np.testing.assert_allclose(loaded["synthesiser"]["params"]["scale"], np.sin(1 + 1.7 * np.arange(3)), rtol=1e-6)


GOLDEN_SOUND = [0.042353757, -0.048853666, 0.28046334]
GOLDEN_FRAME = [0.55096394, 0.52413845, 0.4889957]


def test_what_is_not_these_networks_is_refused(folder, tmp_path, capsys):
    with pytest.raises(UserError, match=r"no sound_best\.pth"):
        sound_of_pixels.find(tmp_path)
    with pytest.raises(UserError, match="not the weights of this network"):
        sound_of_pixels.load(folder, LEVELS + 1, WIDTH, MAPS)
    with pytest.raises(UserError, match="wrong shape"):
        sound_of_pixels.load(folder, LEVELS, WIDTH, MAPS + 1)
