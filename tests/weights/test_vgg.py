"""VGG's importer: parity with PyTorch, and weights of another network."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.errors import UserError
from mmjax.models.vision.vgg import STAGES, VGG, adaptive_mean
from mmjax.weights import torch_file, vgg

torch = pytest.importorskip("torch")
nn = torch.nn

SMALL = {"channels": (4, 4, 6, 6, 8), "hidden": 10, "classes": 5}


class Peer(nn.Module):
    """The same network with torchvision's names."""

    def __init__(self, depth, channels, hidden, classes):
        super().__init__()
        layers, wide = [], 3
        for count, width in zip(STAGES[depth], channels, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(wide, width, 3, padding=1), nn.ReLU()]
                wide = width
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        head = [nn.Linear(wide * 49, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU()]
        self.classifier = nn.Sequential(*head, nn.Dropout(), nn.Linear(hidden, classes))

    def forward(self, x):
        maps = self.features[:-1](x)
        pooled = nn.functional.adaptive_avg_pool2d(self.features[-1](maps), 7)
        return maps, self.classifier(torch.flatten(pooled, 1))


@pytest.mark.parametrize("side", [64, 224])  # 224 leaves 7 x 7 places, 64 has to spread 2 x 2 over them
def test_the_importer_gives_what_pytorch_computes(side, rng, tmp_path):
    torch.manual_seed(0)
    depth = 16 if side == 64 else 19
    peer = Peer(depth, **SMALL).eval()
    for weight in (p for p in peer.parameters() if p.ndim > 1):
        nn.init.kaiming_normal_(weight)  # PyTorch's own would shrink the signal to nothing
    torch.save(peer.state_dict(), tmp_path / "vgg.pth")
    model = VGG(depth, **SMALL)
    variables = vgg.convert(torch_file.read(tmp_path / "vgg.pth"), model, "vgg.pth")
    image = rng.integers(0, 256, (2, side, side, 3), np.uint8)
    layers = jax.jit(model.apply)(variables, image)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = torch.from_numpy(((image / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad():
        maps, logits = peer(x)
    np.testing.assert_allclose(layers["conv5"], maps.numpy().transpose(0, 2, 3, 1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(layers["logits"], logits.numpy(), rtol=1e-3, atol=1e-4)
    assert np.std(logits.numpy(), 0).min() > 1e-3


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(Peer(19, **SMALL).state_dict(), tmp_path / "vgg.pth")
    with pytest.raises(UserError, match=r"vgg\.pth: these are not the weights of this network"):
        vgg.convert(torch_file.read(tmp_path / "vgg.pth"), VGG(16, **SMALL), "vgg.pth")
    with pytest.raises(UserError, match=r"not the weights of this network; wrong shape"):
        vgg.load(tmp_path / "vgg.pth", 19)


def test_adaptive_mean_is_pytorchs(rng):
    x = rng.normal(size=(2, 10, 3, 4)).astype(np.float32)
    wanted = nn.functional.adaptive_avg_pool2d(torch.from_numpy(x.transpose(0, 3, 1, 2)), 7).numpy()
    np.testing.assert_allclose(adaptive_mean(jnp.asarray(x), 7), wanted.transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-6)
