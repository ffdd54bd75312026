"""Features of frozen networks: losses are those of pictures, bit for bit, and a store is of exactly one content."""

import dataclasses
import functools
import shutil

import flax.linen as nn
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from ml_collections import ConfigDict
from shared import get_config, one_device

from mmjax import data, systems
from mmjax.data import fingerprints, pipeline
from mmjax.engine import config as configs
from mmjax.engine import features, loop, mesh, prepare
from mmjax.engine import step as steps
from mmjax.errors import UserError
from mmjax.known import encoders
from mmjax.known.network import Network
from mmjax.task import Features, Task, bind

EXAMPLES = 13


class Patches(nn.Module):
    """A linear map of each 8 x 8 pixels: the least that is a frozen encoder."""

    width: int = 6

    @nn.compact
    def __call__(self, image, *, train=False):
        del train
        b, side = len(image), image.shape[1] // 8
        x = image.astype(jnp.float32).reshape(b, side, 8, side, 8, 3).swapaxes(2, 3).reshape(b, side, side, 192) / 255
        found = jnp.tanh(nn.Dense(self.width, name="out")(x))
        return {"map": found, "features": jnp.mean(found, (1, 2))}


def weights(seed, width=6):
    kernel = np.random.default_rng(seed).normal(size=(192, width)).astype(np.float32) / 10
    return {"params": {"out": {"kernel": kernel, "bias": np.zeros(width, np.float32)}}}


@functools.wraps(encoders.make)  # with its options, which are asked for
def encoder(name="", layer="", trained=False, statistics="batch", **_):
    del name
    return Network(Patches(), layer or "map", 0, weights, (0,), lambda *_: None, trained, statistics)


FROZEN = {
    "captioning": {"train_encoder": False, "objects": ()},
    "vqa": {"train_encoder": False},
    "joint_embedding": {"image.trained": False},
}


@pytest.fixture
def compiled_quickly():
    """Most of the time is the compiler's: what it makes of such small networks need not be fast."""
    jax.config.update("jax_disable_most_optimizations", True)
    with one_device():
        yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.usefixtures("compiled_quickly")
@pytest.mark.parametrize("system", FROZEN)
def test_losses_are_those_of_the_pictures_in_every_epoch(system, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(encoders, "make", encoder)
    config = get_config(system)
    with config.unlocked():
        config.update_from_flattened_dict(FROZEN[system])
        config.data.tokens.length, config.data.image_size = 5, 32
        config.data.examples, config.steps = EXAMPLES, 4  # two epochs and a half
    ready = prepare.prepare(config, tmp_path)
    assert f"image features of {EXAMPLES} examples" in capsys.readouterr().out
    seen = {}
    for name, source in (("pictures", ready.sources["train"]), ("features", ready.training)):
        batches = pipeline.train_batches(source, 8, config.seed, 0, **config.loader)
        state, logs, shown = jax.tree.map(jnp.copy, ready.state), [], []  # a step consumes what it is given
        call = loop._caller(ready)
        for _ in range(config.steps):
            batch = next(batches)
            state, figures = call(state, [batch])
            logs.append(jax.device_get(figures))
            shown.append(batch)
        seen[name] = (logs, shown)
    ready.saver.close()
    for with_pictures, without in zip(seen["pictures"][1], seen["features"][1], strict=True):
        assert "image" in with_pictures
        assert "image" not in without
        assert without["image_features"].shape[0] == 8
        for field in set(with_pictures) - {"image"}:  # the other fields are the same draws of the same examples
            np.testing.assert_array_equal(with_pictures[field], without[field])
    assert len(seen["features"][0]) == 4
    for one, other in zip(seen["pictures"][0], seen["features"][0], strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            np.testing.assert_allclose(other[name], value, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("system", FROZEN)
def test_a_trained_network_has_no_features(system, monkeypatch):
    monkeypatch.setattr(encoders, "make", encoder)
    config = get_config(system)
    assert systems.build(config).features is None
    with config.unlocked():
        config.update_from_flattened_dict(FROZEN[system])
    assert systems.build(config).features.field == "image"


# -- which content a store is of ---------------------------------------------------------------------------------------


def squares(power, own, image):
    return {"features": jnp.mean(image.astype(jnp.float32), (1, 2)) ** power * own["scale"]}


def task(power=2.0):
    whole = Features("image", lambda variables: variables["frozen"], bind(squares, power))
    return Task(("image", "label"), None, (), None, None, features=whole)


SQUARES = task()


class Run:
    """What `features.training` needs of a run, and what it said."""

    def __init__(self, workdir, **changes):
        self.workdir, self.said = workdir, []
        self.config = configs.engine("toy")
        self.config.batch_size, self.config.steps = 4, 10
        self.config.data = ConfigDict({"name": "sounding_scenes", "examples": EXAMPLES, "image_size": 32})
        self.config.update_from_flattened_dict(changes)

    def training(self, task=SQUARES, scale=1.0):
        state = steps.TrainState(jnp.int32(0), {}, {}, {}, {"scale": jnp.float32(scale)})
        source = data.open("train", task.fields, **self.config.data)
        batch = next(pipeline.eval_batches(source, 4, **self.config.loader))
        known = fingerprints.of(source, task.fields)
        self.said = []
        with one_device():
            found = features.training(
                task, self.config, self.workdir, source, known, batch, state, mesh.Jitted(), self.said.append
            )
        return source, found

    def stores(self):
        return {path.name for path in (self.workdir / "features").glob("*")}


def test_a_store_is_found_again_and_made_again_where_it_is_damaged(tmp_path, monkeypatch):
    run = Run(tmp_path)
    source, found = run.training()
    expected = [np.mean(np.float64(source[i]["image"]), (0, 1)) ** 2 for i in range(EXAMPLES)]
    first = np.array([found[i]["image_features"] for i in range(EXAMPLES)])  # a copy of what is mapped
    np.testing.assert_allclose(first, expected, rtol=1e-5)
    assert [found[i]["label"] for i in range(EXAMPLES)] == [source[i]["label"] for i in range(EXAMPLES)]
    assert "computed once" in run.said[0]

    (path,) = (path for path in (tmp_path / "features").rglob("*") if path.is_file())
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    _, again = run.training()
    np.testing.assert_array_equal(again[0]["image_features"], first[0])
    assert "computed once" in run.said[0]

    monkeypatch.setattr(features, "_fill", None)  # nothing is computed
    _, again = run.training()
    np.testing.assert_array_equal(again[12]["image_features"], first[12])
    assert "found there" in run.said[0]


CHANGES = {
    "weights": ({}, {"scale": 2.0}),
    "function": ({}, {"task": task(3.0)}),
    "pixels": ({"loader.pixels": 16}, {}),
    "content": ({"data.seed": 1}, {}),
    "options": ({"data.objects": (1, 2)}, {}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_other_content_has_another_store(what, tmp_path):
    changes, options = CHANGES[what]
    run, other = Run(tmp_path), Run(tmp_path, **changes)
    run.training()
    before = run.stores()
    source, found = other.training(**options)
    after = other.stores()
    assert len(after) == 1  # the old one is gone from the workdir
    assert after != before
    power, scale = (3 if "task" in options else 2), options.get("scale", 1.0)
    picture = pipeline.Fit(pixels=other.config.loader.pixels)(source[5])["image"]
    expected = np.mean(np.float64(picture), (0, 1)) ** power * scale
    np.testing.assert_allclose(found[5]["image_features"], expected, rtol=1e-5)


def test_what_changes_no_picture_keeps_the_store_and_a_folder_is_shared(tmp_path):
    shared = str(tmp_path / "shared")
    one = Run(tmp_path / "one", **{"feature_cache": shared})
    one.training()
    other = Run(tmp_path / "two", **{"feature_cache": shared, "data.tokens": {"length": 7}, "loader.threads": 1})
    other.training(task=dataclasses.replace(SQUARES, fields=("image", "caption_tokens")))
    assert "found there" in other.said[0]
    other.training(scale=3.0)
    assert len([*(tmp_path / "shared").iterdir()]) == 2  # that of another run is left alone


def test_a_field_that_losses_need_stays_beside_its_features(tmp_path):
    run = Run(tmp_path)
    source, found = run.training(
        task=dataclasses.replace(SQUARES, features=dataclasses.replace(SQUARES.features, beside=True))
    )
    _, without = run.training()
    for index in range(len(source)):
        np.testing.assert_array_equal(found[index]["image"], source[index]["image"])
        own = {name: value for name, value in found[index].items() if name != "image"}
        jax.tree.map(np.testing.assert_array_equal, own, without[index])
        assert any(name.startswith("image_") for name in own)


def test_nothing_is_stored_where_nothing_is_gained(tmp_path, monkeypatch):
    for run in (Run(tmp_path, **{"feature_cache": ""}), Run(tmp_path, steps=3)):
        source, found = run.training()
        assert found is source
        assert run.said == []
    usage = shutil.disk_usage(tmp_path)._replace(free=500)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    run = Run(tmp_path)
    source, found = run.training()
    assert found is source
    assert "more than half" in run.said[0]
    assert run.stores() == set()
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"config\.feature_cache="):
        Run(tmp_path, **{"feature_cache": str(tmp_path / "file")}).training()


def test_a_picture_that_is_drawn_anew_is_not_stored(tmp_path, monkeypatch):
    run = Run(tmp_path)
    opened = data.open("train", ("image", "label"), **run.config.data)
    monkeypatch.setattr(type(opened), "draw", lambda self, index, rng: self[index], raising=False)
    source, found = run.training()
    assert found is source
    assert "each visit draws another" in run.said[0]


def test_features_of_any_float_go_to_the_devices():
    batch = {"half": np.zeros(2, jnp.bfloat16), "whole": np.zeros(2, np.int32), "text": np.array(["a", "b"], object)}
    assert set(mesh.numeric(batch)) == {"half", "whole"}
