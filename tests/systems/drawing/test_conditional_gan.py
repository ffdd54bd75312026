"""The class-conditional GAN: what it is told, and who trains what."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.errors import UserError
from mmjax.systems.drawing import conditional_gan

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
    image = rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    boxes = np.tile(np.float32([0.2, 0.3, 0.6, 0.8]), (4, 1, 1))
    batch = {"image": image, "label": np.int32([3, 0, 3, 11]), "valid": np.ones(4, bool), "boxes": boxes}
    return task, jax.jit(task.init)(jax.random.key(0), batch), batch


def test_updates_alternate_and_keep_to_their_group(made):
    task, variables, batch = made
    assert [update.group for update in task.updates] == ["disc", "gen"]
    for update, other in zip(task.updates, ("gen", "disc")):

        def value(params, update=update):
            return update.loss({**variables, "params": params}, batch, jax.random.key(1))[0]

        slope = jax.jit(jax.grad(value))(variables["params"])
        assert max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(slope[update.group])) > 0
        if other == "gen":  # what was drawn is a constant to the discriminator
            assert all(not np.any(x) for x in jax.tree.leaves(slope[other]))


def test_a_picture_needs_a_class_only(made):
    task, variables, batch = made
    found = jax.jit(task.predict)(variables, {"label": batch["label"]}, jax.random.key(0))
    assert found["image/generated"].shape == (4, 32, 32, 3)
    np.testing.assert_array_equal(found["image/codes"][:, :, :32], found["image/generated"])
    assert not np.array_equal(found["image/codes"][:, :, 32:64], found["image/generated"])


def test_the_classes_shares_are_the_majority_baseline(made):
    task, variables, batch = made
    _, (state, _) = task.updates[0].loss(variables, batch, jax.random.key(1))
    figures = jax.jit(task.metrics)({**variables, "state": state}, batch)
    total, count = figures["class_right/majority"]
    assert (float(total), float(count)) == (2, 4)  # 3 occurs twice
    np.testing.assert_allclose(figures["class_right/chance"][0], 4 / 12, rtol=1e-6)


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
