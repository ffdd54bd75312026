"""Channels that are left out: dead ones change nothing, the weakest go first, and a run goes on from what is left."""

import dataclasses

import jax
import numpy as np
import pytest
import shared

from mmjax import systems
from mmjax.distil import pruning
from mmjax.engine import built
from mmjax.errors import UserError
from mmjax.models.sound.soundnet import SoundNet
from mmjax.models.vision.recogniser import Recogniser

QUICK = {"xla_backend_optimization_level": 0}
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
SOUND = np.random.default_rng(0).normal(0, 50, (1, 4000)).astype(np.float32)
WIDE = {"objects": 5, "scenes": 3}
NETWORKS = {
    "recogniser": (Recogniser(**WIDE, widths=(6, 8, 10)), {"widths": (4, 8, 5)}, PICTURES),
    "separable": (Recogniser(**WIDE, widths=(6, 8, 10), separable=True), {"widths": (4, 8, 5)}, PICTURES),
    "soundnet": (SoundNet(5, **WIDE, width=0.125, conv="accelerator"), {"width": 0.0625, "stem": 0.1}, SOUND),
}


def random(tree, rng):
    """Values of a trained network's kind: gains of both signs, no statistic as it began."""

    def drawn(at, x):
        value = rng.normal(0, 0.5, x.shape).astype(np.float32)
        return np.abs(value) + np.float32(0.1) if at[-1].key == "var" else value

    return jax.tree_util.tree_map_with_path(drawn, tree)


@pytest.mark.parametrize("name", NETWORKS)
def test_without_dead_channels_the_answers_are_the_same(name):
    wide, changes, given = NETWORKS[name]
    slim, rng = wide.clone(**changes), np.random.default_rng(1)
    shapes = {net: jax.eval_shape(net.init, jax.random.key(0), given) for net in (wide, slim)}
    tree = random(shapes[wide], rng)
    arrays, wanted = pruning.places(tree), {at: x.shape for at, x in pruning.places(shapes[slim]).items()}
    groups = wide.channels("params", "state")
    for group in groups:
        place, (axes, times) = next(iter(group.items()))
        count = arrays[place].shape[axes[0]] // times
        dead = rng.permutation(count)[wanted[place][axes[0]] // times :]
        for at in group:
            if at.endswith(("/scale", "/bias")) and "norm" in at:
                arrays[at][dead] = 0.0  # in place: of the tree as well
    kept = pruning.narrowed(groups, arrays, wanted)
    assert {at: x.shape for at, x in kept.items()} == wanted
    narrow = jax.tree_util.tree_map_with_path(
        lambda at, _: kept[jax.tree_util.keystr(at, simple=True, separator="/")], shapes[slim]
    )
    want, got = (
        jax.jit(net.apply, compiler_options=QUICK)(variables, given)
        for net, variables in ((wide, tree), (slim, narrow))
    )
    for head in ("object", "scene"):
        assert np.ptp(want[head]) > 0.1
        np.testing.assert_allclose(got[head], want[head], rtol=1e-5, atol=1e-5)


def test_the_weakest_go_and_the_others_keep_their_order():
    wide = {
        "a/kernel": np.arange(8.0).reshape(2, 4),
        "n/scale": np.array([-3.0, 0.5, 1.0, 2.0]),
        "m/scale": np.zeros(4),
    }
    wide |= {"b/kernel": np.arange(16.0).reshape(8, 2)}
    groups = ({"a/kernel": ((1,), 1), "n/scale": ((0,), 1), "m/scale": ((0,), 1), "b/kernel": ((0,), 2)},)
    shapes = {"a/kernel": (2, 2), "n/scale": (2,), "m/scale": (2,), "b/kernel": (4, 2)}
    found = pruning.narrowed(groups, wide, shapes)
    assert found["a/kernel"].tolist() == [[0, 3], [4, 7]]
    assert found["n/scale"].tolist() == [-3, 2]
    assert found["b/kernel"].tolist() == [[0, 1], [6, 7], [8, 9], [14, 15]]  # both copies of each
    wide["m/scale"] = np.array([0.0, 5.0, 0.0, 0.0])  # a channel of several sums matters in each of them
    assert pruning.narrowed(groups, wide, shapes)["n/scale"].tolist() == [-3, 0.5]
    with pytest.raises(ValueError, match=r"has 4 channels in a/kernel, fewer than the 5"):
        pruning.narrowed(groups, wide, {**shapes, "a/kernel": (2, 5)})
    with pytest.raises(ValueError, match=r"differs in more than channels: a/kernel is \(2, 2\), and \(3, 2\) here"):
        pruning.narrowed(groups, wide, {**shapes, "a/kernel": (3, 2)})
    with pytest.raises(ValueError, match=r"is of another network: m/scale is not in both"):
        pruning.narrowed(groups, wide, {name: shape for name, shape in shapes.items() if name != "m/scale"})


@dataclasses.dataclass(frozen=True)
class Run:
    """In the place of a wider run's workdir."""

    path: str = "runs/wide"
    system: str = "recognition"
    config: str = ""

    def load(self):
        return random(fresh("recognition"), np.random.default_rng(2))


def fresh(name, **model):
    """The shapes of a tiny config's variables."""
    config = shared.get_config(name)
    config.model.update(model)
    return jax.eval_shape(systems.build(config).init, jax.random.key(0), {"image": PICTURES})


def test_a_run_begins_as_another_ones_channels():
    task, slim = systems.build(shared.get_config("recognition")), fresh("recognition", widths=(4, 8, 6))
    filled = pruning.task(task, Run()).fill(slim, {})
    assert jax.tree.map(np.shape, filled) == jax.tree.map(np.shape, slim)
    wide = pruning.places({part: Run().load()[part] for part in ("params", "state")})
    want = pruning.narrowed(task.channels, wide, {at: np.shape(x) for at, x in pruning.places(slim).items()})
    for at, value in pruning.places(filled).items():
        np.testing.assert_array_equal(value, want[at])
    wider, other = fresh("recognition", widths=(4, 9, 6)), fresh("recognition", separable=True)
    with pytest.raises(UserError, match=r"^config\.prune='runs/wide' has 8 channels in .*, fewer than the 9 of this"):
        pruning.task(task, Run()).fill(wider, {})
    with pytest.raises(UserError, match=r"^config\.prune='runs/wide' is of another network: .*/kernel is not in both"):
        pruning.task(task, Run()).fill(other, {})


def test_who_cannot_be_pruned_says_so(tmp_path):
    config = shared.get_config("soundnet")
    config.prune = str(tmp_path)
    task, _ = built.of(config, taught=True)  # a run that goes on has all that it needs
    with pytest.raises(UserError, match=r"^config\.prune='.*' is no workdir"):
        [need() for need in task.needs]
    config = shared.get_config("vqa")
    config.prune = str(tmp_path)
    with pytest.raises(UserError, match="vqa does not say what its channels are"):
        built.of(config, taught=True)
