"""The recogniser: its size, what its heads read, and that it is blind to nothing it should see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.models.blocks.pictures import Block, Separable, space_to_depth
from mmjax.models.vision.recogniser import Recogniser


def test_size_and_shapes():
    image = jax.ShapeDtypeStruct((2, 112, 112, 3), jnp.uint8)
    out, variables = jax.eval_shape(Recogniser(12, 8).init_with_output, jax.random.key(0), image)
    assert {name: value.shape for name, value in out.items()} == {
        "object": (2, 12),
        "scene": (2, 8),
        "map": (2, 7, 7, 96),
        "features": (2, 192),
    }
    # By hand: 3x3 convolutions 12-32, 32-32, 32-64, 64-64, 64-96, 96-96, each with gain and bias; heads from 192.
    pairs = ((12, 32), (32, 32), (32, 64), (64, 64), (64, 96), (96, 96))
    expected = sum(9 * i * o + 2 * o for i, o in pairs) + 193 * 20
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == expected == 210_836
    separable = jax.eval_shape(Recogniser(12, 8, separable=True).init, jax.random.key(0), image)["params"]
    # The first as it was; then 9 numbers a channel, the product, and gain and bias of both.
    expected = 9 * 12 * 32 + 2 * 32 + sum(9 * i + i * o + 2 * i + 2 * o for i, o in pairs[1:]) + 193 * 20
    assert sum(leaf.size for leaf in jax.tree.leaves(separable)) == expected == 33_780
    half = jax.eval_shape(Recogniser(12, 8, dtype=jnp.bfloat16).apply, variables, image)
    assert (half["map"].dtype, half["object"].dtype) == (jnp.bfloat16, jnp.float32)


def test_space_to_depth_keeps_each_square_together(rng):
    x = rng.normal(size=(2, 4, 6, 3)).astype(np.float32)
    y = space_to_depth(jnp.asarray(x), 2)
    assert y.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(y[1, 1, 2], x[1, 2:4, 4:6].reshape(-1))


def test_heads_read_mean_and_maximum(rng):
    model = Recogniser(3, 2, widths=(8, 8, 8), depths=(1, 1, 1))
    image = rng.integers(0, 256, (2, 32, 48, 3)).astype(np.uint8)
    variables = jax.jit(model.init)(jax.random.key(0), image)
    out = jax.jit(model.apply)(variables, image)
    places = np.asarray(out["map"]).reshape(2, -1, 8)
    np.testing.assert_allclose(out["features"], np.concatenate([places.mean(1), places.max(1)], -1), atol=1e-5)
    head = jax.tree.map(np.asarray, variables["params"]["object"])
    expected = np.asarray(out["features"]) @ head["kernel"] + head["bias"]
    np.testing.assert_allclose(out["object"], expected, atol=1e-5)


@pytest.mark.parametrize(("channels", "stride", "skips"), [(4, 1, True), (6, 1, False), (4, 2, False)])
def test_block_adds_its_input_between_equal_shapes(rng, channels, stride, skips):
    x = jnp.asarray(rng.normal(size=(2, 4, 4, 4)), jnp.float32)
    for kind, norm in ((Block, "norm"), (Separable, "across_norm")):
        block = kind(channels, stride, jnp.float32)
        variables = block.init(jax.random.key(0), x, train=False)
        variables["params"][norm]["scale"] *= 0.0
        y = block.apply(variables, x, train=False)
        np.testing.assert_array_equal(y, x if skips else jnp.zeros_like(y))
