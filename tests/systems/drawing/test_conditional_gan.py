"""The class-conditional GAN: what it is told, and who trains what."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.errors import UserError
from mmjax.systems.drawing import conditional_gan
from mmjax.text import vocabulary

ROOT = Path(__file__).parents[3]


def config_of(variant="tiny", **changes):
    loaded = importlib.util.spec_from_file_location("conditional_gan", ROOT / "configs" / "conditional_gan.py")
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    config = module.get_config(variant)
    config.update_from_flattened_dict(changes)
    return config


@pytest.fixture(scope="module")
def made():
    """(task, variables, batch) of the tiny variant."""
    rng, task = np.random.default_rng(0), conditional_gan.build(config_of())
    image = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    boxes = np.tile(np.float32([0.2, 0.3, 0.6, 0.8]), (4, 1, 1))
    batch = {"image": image, "label": np.int32([3, 0, 3, 11]), "valid": np.ones(4, bool), "boxes": boxes}
    return task, jax.jit(task.init)(jax.random.key(0), batch), batch


@pytest.fixture(scope="module")
def slopes(made):
    """(gradient in all groups, state after it) of each of its updates, compiled once."""
    task, variables, batch = made
    found = []
    for update in task.updates:

        def value(params, variables, update=update):
            loss, (state, _) = update.loss({**variables, "params": params}, batch, jax.random.key(1))
            return loss, state

        found.append(jax.jit(jax.grad(value, has_aux=True))(variables["params"], variables))
    return found


def test_updates_alternate_and_keep_to_their_group(made, slopes):
    task, _, _ = made
    assert [update.group for update in task.updates] == ["disc", "gen"]
    for (slope, _), update, other in zip(slopes, task.updates, ("gen", "disc")):
        assert max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(slope[update.group])) > 0
        if other == "gen":  # what was drawn is a constant to the discriminator
            assert all(not np.any(x) for x in jax.tree.leaves(slope[other]))


def test_a_picture_needs_a_class_only(made):
    task, variables, batch = made
    found = jax.jit(task.predict)(variables, {"label": batch["label"]}, jax.random.key(0))
    assert found["image/generated"].shape == (4, 16, 16, 3)
    np.testing.assert_array_equal(found["image/codes"][:, :, :16], found["image/generated"])
    assert not np.array_equal(found["image/codes"][:, :, 16:32], found["image/generated"])


def test_the_classes_shares_are_the_majority_baseline(made, slopes):
    task, variables, batch = made
    judged = {**variables, "state": slopes[0][1], "judges": {judge.name: judge.load() for judge in task.judges}}
    figures = jax.jit(task.metrics)(judged, batch)
    total, count = figures["class_right/majority"]
    assert (float(total), float(count)) == (2, 4)  # 3 occurs twice
    np.testing.assert_allclose(figures["class_right/chance"][0], 4 / 12, rtol=1e-6)


def test_what_the_judge_sees_stands_beside_the_class(made):
    task, variables, batch = made
    assert task.names["class"][3] == "clock"
    judged = {**variables, "judges": {"recogniser": task.judges[0].load()}}
    shapes = jax.eval_shape(task.predict, judged, batch, jax.random.key(0))
    assert shapes["label/class"].dtype == shapes["label/class_target"].dtype == np.int32
    alone = jax.eval_shape(task.predict, variables, batch, jax.random.key(0))
    assert set(alone) == {"image/generated", "image/codes", "image/real"}


def test_two_builds_are_one_task():
    one, two = (conditional_gan.build(config_of()) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)


def test_a_typed_class_is_a_batch_of_one(made):
    task, variables, _ = made
    batch, notes = task.ask("Dog", variables, {})
    assert (batch["label"].tolist(), batch["label"].dtype, notes) == ([4], np.int32, ())
    own = {"label_names": vocabulary.spell(["tulip", "rose"])}  # the data's names come before the recogniser's
    assert task.ask("rose", variables, own)[0]["label"].tolist() == [1]
    unseen = conditional_gan.build(config_of(classes=7, seen=False))
    assert unseen.ask("6", variables, {})[0]["label"].tolist() == [6]
    with pytest.raises(UserError, match="numbers, 0 to 6"):
        unseen.ask("7", variables, {})


def test_the_paper_is_whole():
    task = conditional_gan.build(config_of("paper"))
    batch = {"image": np.zeros((2, 64, 64, 3), np.uint8), "label": np.zeros(2, np.int32)}
    shapes = jax.eval_shape(task.init, jax.random.key(0), batch)
    count = {group: sum(x.size for x in jax.tree.leaves(tree)) for group, tree in shapes["params"].items()}
    # the counts of GAN-CLS with 12 numbers in place of 1024 before each network's first linear map
    assert count == {"gen": 18_905_472 - 1012 * 128, "disc": 4_030_080 - 1012 * 128}


def test_mistakes_have_one_line():
    with pytest.raises(UserError, match=r"config\.seen"):
        conditional_gan.build(config_of(classes=10))
    with pytest.raises(UserError, match="between two classes"):
        conditional_gan.build(config_of(**{"loss.interpolate": 1.0}))
    with pytest.raises(UserError, match=r"config\.generator\.kind"):
        conditional_gan.build(config_of(**{"generator.kind": "stylegan"}))
