"""The recognition task: its targets, its baselines, what counts in its figures, both placements, and that it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.core import FrozenDict
from ml_collections import ConfigDict

from mmjax.engine import mesh, optim
from mmjax.engine import step as steps
from mmjax.models.vision.recogniser import Recogniser
from mmjax.systems import recognition
from mmjax.task import bind


@pytest.fixture
def config():
    return ConfigDict(
        {
            "names": {"object": ("a", "b", "c"), "scene": ("in", "out")},
            "model": {"widths": (8, 8, 8), "depths": (1, 1, 1), "dtype": "float32"},
            "loss": {"flip": True},
        }
    )


def make_batch(rng, rows=8):
    """Pictures whose red, green and blue say which object is largest, and whose brightness says the scene."""
    objects = np.stack([rng.permutation(3)[:2] for _ in range(rows)]).astype(np.int32)
    scene = rng.integers(0, 2, rows).astype(np.int32)
    image = rng.integers(0, 20, (rows, 32, 32, 3)) + 100 * scene[:, None, None, None]
    image[np.arange(rows), :, :, objects[:, 0]] += 100
    areas = np.tile(np.float32([0.3, 0.1]), (rows, 1))
    return {
        "image": image.astype(np.uint8),
        "objects": objects,
        "areas": areas,
        "scene": scene,
        "valid": np.ones(rows, bool),
    }


def test_targets_by_hand():
    batch = {
        "objects": jnp.asarray([[2, 0, -1], [1, 1, 2], [-1, -1, -1]]),
        "areas": jnp.asarray([[0.3, 0.1, 0.0], [0.2, 0.1, 0.1], [0.0, 0.0, 0.0]]),
        "scene": jnp.asarray([1, -1, 0]),
    }
    truth = recognition.targets(Recogniser(3, 2), batch)
    np.testing.assert_allclose(truth["object"][0], [[0.25, 0, 0.75], [0, 0.75, 0.25], [0, 0, 0]], atol=1e-6)
    np.testing.assert_array_equal(truth["object"][1], [True, True, False])
    np.testing.assert_array_equal(truth["scene"][0][0], [0, 1])
    np.testing.assert_array_equal(truth["scene"][1], [True, False, True])


def test_baselines_are_the_mean_and_the_majority_of_the_training_batches(config, rng):
    task = recognition.build(config)
    variables = jax.jit(task.init)(jax.random.key(0), make_batch(rng))
    loss = jax.jit(task.updates[0].loss)
    batches = [make_batch(rng) for _ in range(3)]
    seen = []
    for batch in batches:
        _, (state, logs) = loss(variables, batch, jax.random.key(1))
        variables = {**variables, "state": state}
        seen.append(recognition.targets(Recogniser(3, 2), batch)["object"][0])
        assert set(logs) == {"cross_entropy/object", "cross_entropy/scene"}
    prior = variables["state"]["prior"]["object"]
    # The uniform prior counts as one batch, so that no class is ever impossible.
    mean = (np.mean(seen, 1).sum(0) + 1 / 3) / 4
    np.testing.assert_allclose(prior["mean"], mean, rtol=1e-5)
    # The baselines in the figures: of a fourth batch with one row of padding.
    batch = {**make_batch(rng), "valid": np.arange(8) < 7}
    figures = jax.jit(task.metrics)(variables, batch)
    target = np.asarray(recognition.targets(Recogniser(3, 2), batch)["object"][0])[:7]
    tops = np.bincount(np.concatenate([t.argmax(-1) for t in seen]), minlength=3)
    assert tuple(map(float, figures["object_top1/majority"])) == ((target.argmax(-1) == tops.argmax()).sum(), 7)
    expected = (target * np.log(np.where(target > 0, target, 1) / mean)).sum()
    np.testing.assert_allclose(figures["object_kl/training_mean"][0], expected, rtol=1e-4)
    assert float(figures["object_present/majority"][0]) == (target[:, tops.argmax()] > 0).sum()


def test_padding_changes_no_figure(config, rng):
    task = recognition.build(config)
    batch = make_batch(rng)
    variables = jax.jit(task.init)(jax.random.key(0), batch)
    padded = {k: np.concatenate([v, v[-1:]]) for k, v in batch.items()}
    padded["valid"][-1] = False
    padded["image"][-1] = 255
    metrics = jax.jit(task.metrics)
    first, second = metrics(variables, batch), metrics(variables, padded)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-5, err_msg=name)
        assert first[name][1] == 8
        assert name.count("/") == 1 or any(other.startswith(f"{name}/") for other in first)


def test_flip_mirrors_and_nothing_else(config, rng):
    batch = make_batch(rng)
    symmetric = {**batch, "image": np.maximum(batch["image"], batch["image"][:, :, ::-1])}
    values = {}
    for flip in (True, False):
        config.loss.flip = flip
        task = recognition.build(config)
        variables = jax.jit(task.init)(jax.random.key(0), batch)
        loss = jax.jit(task.updates[0].loss)
        values[flip] = [float(loss(variables, b, jax.random.key(3))[0]) for b in (batch, symmetric)]
    assert values[True][1] == values[False][1]
    assert values[True][0] != values[False][0]


SGD = FrozenDict({"net": optim.make("sgd", 1e-2, steps=5)})


@functools.cache
def alone(task):
    """(batches, state before, state after, logs) of three steps on one device; the states are on the host."""
    rng = np.random.default_rng(0)
    batches = [make_batch(rng, 16) for _ in range(3)]
    for empty, batch in zip(([0, 1, 2, 9], np.arange(3, 16), np.arange(16)), batches):
        batch["objects"][empty], batch["areas"][empty] = -1, 0.0
    first = state = jax.jit(bind(steps.create, task, SGD))(jax.random.key(0), batches[0])
    step, logs = jax.jit(bind(steps.train_step, task, SGD)), []
    for batch in batches:
        state, reported = step(state, batch, jax.random.key(0))
        logs.append(jax.tree.map(np.asarray, reported))
    return batches, *jax.tree.map(np.asarray, (first, state)), logs


@pytest.mark.parametrize("placement", [mesh.Jitted, mesh.Replicated])
def test_eight_devices_train_as_one(config, placement):
    """Also where devices hold different numbers of pictures with an object: none, one, two, and three in all."""
    config.loss.flip = False  # each device draws its own flips
    task = recognition.build(config)
    batches, first, last, expected = alone(task)
    eight, laid = placement(), mesh.Jitted().place(first)
    call = eight.compile(bind(steps.train_step, task, SGD), laid)
    state = eight.place(laid)
    for batch, one in zip(batches, expected):
        state, logs = call(state, eight.put(batch), jax.random.key(0))
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-6), logs, one)
    assert float(logs["cross_entropy/object"]) == 0  # the last batch shows no object
    single = eight.single(state)
    assert int(single.state["prior"]["object"]["batches"]) == 3
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=2e-3, atol=2e-5),
        (single.params, single.state),
        (last.params, last.state),
    )


def test_learns(config, rng):
    task = recognition.build(config)
    optimisers = {"net": optax.adam(1e-2)}
    state = jax.jit(lambda batch: steps.create(task, optimisers, jax.random.key(0), batch))(make_batch(rng))
    step = jax.jit(lambda state, batch: steps.train_step(task, optimisers, state, batch, jax.random.key(1)))
    for _ in range(60):
        state, _ = step(state, make_batch(rng, 16))
    figures = {k: float(a / b) for k, (a, b) in jax.jit(task.metrics)(state.variables, make_batch(rng, 64)).items()}
    assert figures["object_top1"] > 0.9 > figures["object_top1/majority"] + 0.3
    assert figures["scene_accuracy"] > 0.9 > figures["scene_accuracy/majority"] + 0.2
    assert figures["object_kl"] < 0.5 * figures["object_kl/training_mean"]
    shown = jax.jit(task.predict)(state.variables, make_batch(rng), jax.random.key(0))
    assert shown["image/picture"].dtype == np.uint8
    for head in task.names:
        assert shown[f"scores/{head}"].shape == shown[f"scores/{head}_target"].shape == (8, len(task.names[head]))
        np.testing.assert_allclose(shown[f"scores/{head}"].sum(-1), 1, rtol=1e-5)


def test_two_builds_are_one_task(config):
    one, two = recognition.build(config), recognition.build(config)
    assert one == two
    assert hash(one) == hash(two)
    config.loss.flip = False
    assert one != recognition.build(config)
