"""ResDAVEnet-VQ: how many numbers it learns, against a plain forward pass, its quantisers by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import OptionError
from mmjax.models.sound.quantiser import Quantiser, jitter
from mmjax.models.sound.resdavenet_vq import ResDavenetVQ

SMALL = {"widths": (4, 6, 6, 5, 7), "depths": (2, 1, 1, 1), "kernel": 3, "jitter": 0.0}


def numbers(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def test_sizes_of_the_official_script():
    model = ResDavenetVQ(widths=(128, 256, 256, 512, 1024), quantised=(3,))
    given = jax.ShapeDtypeStruct((2, 1024, 40), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.int32)
    made = jax.eval_shape(model.init, jax.random.key(0), *given)
    # Convolutions of 9 steps, projections, and two numbers a channel of each norm; the official network's first
    # BatchNorm, of one channel, is in its file and is never called.
    stages = [(128, 256), (256, 256), (256, 512), (512, 1024)]
    wanted = 40 * 128 + 2 * 128 + sum(9 * (a * b + 3 * b * b) + a * b + 10 * b for a, b in stages)
    assert numbers(made["params"]) == wanted == 46_490_880
    assert made["state"]["quantiser3"]["codebook"].shape == (1024, 256)
    heard = jax.eval_shape(model.apply, made, *given)
    assert heard.out.shape == (2, 64, 1024)
    assert {position: layer.shape[1] for position, (layer, _) in heard.layers.items()} == {
        1: 1024, 2: 512, 3: 256, 4: 128, 5: 64
    }  # fmt: skip


def plainly(variables, mel):
    """One utterance, without padding, step by step."""
    params, state = jax.tree.map(np.float64, (variables["params"], variables["state"]))

    def norm(x, *path):
        own, kept = params, state
        for name in path:
            own, kept = own[name], kept[name]
        return (x - kept["mean"]) / np.sqrt(kept["var"] + 1e-5) * own["scale"] + own["bias"]

    def conv(x, kernel, stride):
        x = np.pad(x, ((1, 1), (0, 0)))
        return np.stack([np.einsum("kc,kcd->d", x[i : i + 3], kernel) for i in range(0, len(x) - 2, stride)])

    def relu(x):
        return np.maximum(x, 0)

    x = relu(norm(mel @ params["bands"]["kernel"], "norm"))
    layers = [x]
    for stage, depth in enumerate(SMALL["depths"], 1):
        for i in range(depth):
            name, stride = f"stage{stage}_block{i}", 2 - (i > 0)
            own = params[name]
            y = relu(norm(conv(x, own["conv1"]["kernel"], stride), name, "norm1"))
            y = norm(conv(y, own["conv2"]["kernel"], 1), name, "norm2")
            if stride == 2:
                x = norm(x[::2] @ own["project"]["kernel"], name, "norm_project")
            x = relu(x + y)
        layers.append(x)
    return layers


def random_statistics(rng, variables):
    """Variables whose norms do something."""
    return jax.tree.map(lambda x: x + rng.uniform(0.1, 0.5, x.shape).astype(np.float32), jax.device_get(variables))


def test_against_a_plain_pass_whatever_lies_behind(rng):
    model = ResDavenetVQ(**SMALL)
    mel, count = rng.normal(size=(2, 21, 40)).astype(np.float32), np.array([21, 14], np.int32)
    variables = random_statistics(rng, jax.jit(model.init)(jax.random.key(0), mel, count))
    heard = jax.jit(model.apply)(variables, mel, count)
    for row, frames in enumerate(count):
        for position, wanted in enumerate(plainly(variables, mel[row, :frames].astype(np.float64)), 1):
            layer, where = heard.layers[position]
            assert where[row].sum() == len(wanted)
            np.testing.assert_allclose(layer[row, : len(wanted)], wanted, rtol=2e-4, atol=2e-4)
    np.testing.assert_array_equal(heard.out[1][~heard.where[1]], 0)
    mel[1, 14:] = 1e6  # behind the utterance: neither outputs nor statistics change
    again = jax.jit(model.apply)(variables, mel, count)
    np.testing.assert_array_equal(heard.out, again.out)


def test_what_lies_behind_is_in_no_statistics(rng):
    model = ResDavenetVQ(**SMALL, quantised=(2,), codes=4)
    mel, count = rng.normal(size=(2, 20, 40)).astype(np.float32), np.array([20, 9], np.int32)
    variables = jax.jit(model.init)(jax.random.key(0), mel, count)

    @jax.jit
    def trained(mel):
        return model.apply(variables, mel, count, train=True, mutable=["state"])

    one, kept = trained(mel)
    other = mel.copy()
    other[1, 9:] = 77
    jax.tree.map(np.testing.assert_array_equal, (one.out, kept), (trained(other)[0].out, trained(other)[1]))
    other[1, 8] = 77
    assert not np.allclose(one.out[0], trained(other)[0].out[0])  # the batch's statistics are of both


def test_a_quantiser_by_hand():
    model = Quantiser(2, decay=0.9)
    x, where = np.array([[[0.0], [1.0], [5.0], [90.0]]], np.float32), np.array([[True, True, True, False]])
    state = {"codebook": np.array([[0.5], [4.0]]), "sums": np.array([[0.5], [4.0]]), "counts": np.ones(2)}
    variables = {"state": jax.tree.map(np.float32, state)}
    found, new = model.apply(variables, x, where, True, mutable=["state"])
    assert found.codes.tolist() == [[0, 0, 1, 1]]
    np.testing.assert_allclose(found.vectors[0, :, 0], [0.5, 0.5, 4, 4])
    np.testing.assert_allclose(found.commitment[0, :3], [0.25, 0.25, 1])
    counts = [0.9 + 0.1 * 2, 0.9 + 0.1 * 1]
    sums = [0.9 * 0.5 + 0.1 * (0 + 1), 0.9 * 4 + 0.1 * 5]
    np.testing.assert_allclose(new["state"]["counts"], counts, rtol=1e-6)
    np.testing.assert_allclose(new["state"]["codebook"][:, 0], np.divide(sums, counts), rtol=1e-6)
    _, same = model.apply(variables, x, where, False, mutable=["state"])
    jax.tree.map(np.testing.assert_array_equal, same["state"], variables["state"])


def test_gradients_pass_a_quantiser_and_commit_to_it():
    model, where = Quantiser(2), np.ones((1, 3), bool)
    state = {"codebook": np.array([[0.0], [4.0]]), "sums": np.zeros((2, 1)), "counts": np.ones(2)}
    variables = {"state": jax.tree.map(np.float32, state)}
    x = np.array([[[1.0], [3.0], [5.0]]], np.float32)
    through = jax.grad(lambda x: jnp.sum(model.apply(variables, x, where).vectors ** 2))(x)
    np.testing.assert_allclose(through[0, :, 0], [0, 8, 8])  # twice the code
    towards = jax.grad(lambda x: jnp.sum(model.apply(variables, x, where).commitment))(x)
    np.testing.assert_allclose(towards[0, :, 0], [2, -2, 2])


def test_a_code_that_nothing_chooses_is_revived(rng):
    x, where = rng.normal(size=(2, 10, 3)).astype(np.float32), np.ones((2, 10), bool)
    where[1, 5:] = False
    model = Quantiser(4, revive=0.1)
    state = {"codebook": np.eye(4, 3) * 50, "sums": np.eye(4, 3) * 50, "counts": np.array([1, 1, 1, 1e-3])}
    state["codebook"][0] = 0
    variables = {"state": jax.tree.map(np.float32, state)}
    _, new = model.apply(variables, x, where, True, mutable=["state"], rngs={"revive": jax.random.key(0)})
    assert np.any(np.all(np.isclose(x[where], new["state"]["codebook"][3], rtol=1e-5), -1))
    assert new["state"]["counts"][3] == pytest.approx((0.99 * 3.001 + 0.01 * 15) / 4, rel=1e-5)
    np.testing.assert_allclose(new["state"]["codebook"][1:3], state["codebook"][1:3], rtol=1e-5)


def test_cold_quantisers_change_nothing_and_wait(rng):
    mel, count = rng.normal(size=(2, 20, 40)).astype(np.float32), np.array([20, 9], np.int32)
    model = ResDavenetVQ(**SMALL, quantised=(2, 3), codes=4)
    variables = jax.jit(model.init)(jax.random.key(0), mel, count)
    plain, asked = jax.jit(
        lambda: (ResDavenetVQ(**SMALL).apply(variables, mel, count), model.apply(variables, mel, count, cold=True))
    )()
    trained = jax.jit(lambda cold: model.apply(variables, mel, count, train=True, cold=cold, mutable=["state"]))
    cold, kept = trained(True)
    np.testing.assert_array_equal(asked.out, plain.out)
    np.testing.assert_array_equal(kept["state"]["quantiser2"]["codebook"], variables["state"]["quantiser2"]["codebook"])
    warm, kept = trained(False)
    assert not np.allclose(warm.out, cold.out)
    assert not np.allclose(kept["state"]["quantiser2"]["codebook"], variables["state"]["quantiser2"]["codebook"])


def test_jitter_takes_neighbours():
    x = np.broadcast_to(np.arange(4000, dtype=np.float32)[None, :, None], (2, 4000, 1))
    found = np.asarray(jax.jit(jitter, static_argnums=2)(jax.random.key(0), x, 0.12))
    np.testing.assert_array_equal(found[0], found[1])
    moved = found[0, 1:-1, 0] - x[0, 1:-1, 0]
    shares = [np.mean(moved == step) for step in (-1, 0, 1)]
    np.testing.assert_allclose(shares, [0.12, 0.76, 0.12], atol=0.02)
    assert found.min() == 0
    assert found.max() == 3999


def test_numbers_out_of_range_are_named():
    for name, value in {
        "widths": (1, 2),
        "kernel": 4,
        "quantised": (0,),
        "jitter": 0.6,
        "revive": 1.0,
        "codes": 0,
    }.items():
        with pytest.raises(OptionError, match=name):
            ResDavenetVQ(**{name: value}).checked()
