"""VGG-Face's importer: the exact count, both layouts of PyTorch's copies, and its own mean."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.errors import UserError
from mmjax.models.vision.vgg import FACE_MEAN, STAGES, vgg_face
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
