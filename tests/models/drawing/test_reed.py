"""Generators and discriminators: exact counts against the official layer tables, pasting against a picture library."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from PIL import Image

from mmjax.errors import UserError
from mmjax.models.drawing.layered import LayeredDiscriminator, LayeredGenerator, paste, tents
from mmjax.models.drawing.reed import ReedDiscriminator, ReedGenerator


def shapes(model, *arguments):
    return jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), *arguments)


def init(model, *arguments):
    """Jitted: each operation of an eager init would be compiled by itself."""
    return jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), *arguments)


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def of_bottleneck(wide, narrow):
    """1x1 down, 3x3, 3x3 up, and a gain and an offset for each channel of the three."""
    return wide * narrow + 9 * narrow**2 + 9 * narrow * wide + 2 * (2 * narrow + wide)


def test_the_official_generator_counted_by_hand():
    variables = shapes(ReedGenerator(), jnp.zeros((2, 100)), jnp.zeros((2, 1024)))
    n = 128
    want = 1024 * 128 + 128  # text
    want += 228 * 16 * 8 * n + 2 * 8 * n + of_bottleneck(8 * n, 2 * n)  # 4 x 4
    want += 16 * 8 * n * 4 * n + 2 * 4 * n + of_bottleneck(4 * n, n)  # 8 x 8
    want += 16 * 4 * n * 2 * n + 2 * 2 * n + 16 * 2 * n * n + 2 * n + 16 * n * 3  # 16, 32, 64
    # The official file has a bias for each convolution as well, 4,227 of them, held at zero.
    biases = 8 * n + (2 * n + 2 * n + 8 * n) + 4 * n + (n + n + 4 * n) + 2 * n + n + 3
    assert biases == 4227
    assert count(variables["params"]) == want == 18_905_472
    assert jax.eval_shape(
        functools.partial(ReedGenerator().apply, train=False), variables, jnp.zeros((2, 100)), jnp.zeros((2, 1024))
    ).shape == (2, 64, 64, 3)


def test_the_official_discriminator_counted_by_hand():
    variables = shapes(ReedDiscriminator(), jnp.zeros((2, 64, 64, 3)), [jnp.zeros((2, 1024))])
    n = 64
    want = 16 * (3 * n + n * 2 * n + 2 * n * 4 * n + 4 * n * 8 * n) + 2 * (2 + 4 + 8) * n
    want += of_bottleneck(8 * n, 2 * n)
    want += (1024 * 128 + 128) + 2 * 128 + (8 * n + 128) * 8 * n + 2 * 8 * n + 16 * 8 * n
    assert count(variables["params"]) == want == 4_030_080
    # running means and variances: of the picture's side, the text's and the joint layer
    assert count(variables["state"]) == 2 * ((2 + 4 + 8) * n + (2 * 2 * n + 8 * n) + 128 + 8 * n)


def test_a_sheet_is_pasted_where_it_should_be(rng):
    sheet = jnp.asarray(rng.random((1, 8, 8, 1)), jnp.float32)
    # half as wide as a canvas of 16 cells: each cell a pixel, the corner at row 6, column 2
    rows, columns = (
        tents(jnp.float32([10 / 16]), jnp.float32([0.5]), 16, 8),
        tents(jnp.float32([6 / 16]), jnp.float32([0.5]), 16, 8),
    )
    want = np.zeros((16, 16))
    want[6:14, 2:10] = sheet[0, ..., 0]
    np.testing.assert_allclose(paste(sheet, rows, columns)[0, ..., 0], want, atol=1e-5)
    # scaled up by 1.5 it is what bilinear resizing makes of it
    rows = tents(jnp.float32([0.5]), jnp.float32([12 / 16]), 16, 8)
    found = paste(sheet, rows, rows)[0, ..., 0]
    resized = np.asarray(Image.fromarray(np.asarray(sheet[0, ..., 0])).resize((12, 12), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(found[3:13, 3:13], resized[1:11, 1:11], atol=1e-5)


def test_pose_and_mask_have_a_gradient(rng):
    model = LayeredGenerator(size=16, ground=4, sheet=4, text=8)
    code, text = jnp.asarray(rng.normal(size=(4, 12)), jnp.float32), jnp.asarray(rng.normal(size=(4, 5)), jnp.float32)
    variables = init(model, code, text)

    def bright(params):
        picture, _ = model.apply({**variables, "params": params}, code, text, train=True, mutable=["state"])
        return jnp.sum(picture * jnp.linspace(-1, 1, 16).reshape(1, 16, 1, 1))

    slope = jax.jit(jax.grad(bright))(variables["params"])
    assert all(float(jnp.max(jnp.abs(x))) > 0 for x in jax.tree.leaves((slope["pose"]["kernel"], slope["object"])))


def test_layers_of_two_objects_share_their_painter():
    code, text = jnp.zeros((2, 50)), jnp.zeros((2, 6))
    one, two = (shapes(LayeredGenerator(objects=k), code[:, : 10 * (1 + 2 * k)], text) for k in (1, 2))
    assert count(one["params"]["object"]) == count(two["params"]["object"])
    assert two["params"]["pose"]["kernel"].shape == (64, 6)


@pytest.mark.parametrize("spectral", [True, False])
def test_a_discriminator_judges_pairs(rng, spectral):
    model = LayeredDiscriminator(features=4, embed=3, spectral=spectral, one_way=False)
    image = jnp.asarray(rng.uniform(-1, 1, (3, 16, 16, 3)), jnp.float32)
    texts = [jnp.asarray(rng.normal(size=(3, 5)), jnp.float32) for _ in range(2)]
    variables = init(model, image, texts)
    judge = jax.jit(functools.partial(model.apply, train=False))
    (first, second), embedding = judge(variables, image, texts)
    assert [x.shape for x in first] == [(3, 1), (3, 64), (3, 1)]  # joint, each place of 8 x 8, picture alone
    assert embedding.shape == (3, 3)
    assert not np.allclose(first[0], second[0])
    assert not np.allclose(first[1], second[1])
    np.testing.assert_array_equal(first[2], second[2])
    # one text at a time is the same
    (alone,), _ = judge(variables, image, texts[1:])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), alone, second)
    assert ("u" in variables["state"]["joint"]) if spectral else ("norm1" in variables["state"])


def test_sizes_that_doubling_does_not_reach_are_refused():
    with pytest.raises(UserError, match="8, 16, 32, 64"):
        shapes(LayeredGenerator(size=48), jnp.zeros((2, 12)), jnp.zeros((2, 6)))
    with pytest.raises(UserError, match="multiple of 5, at least 15"):
        shapes(LayeredGenerator(objects=2), jnp.zeros((2, 12)), jnp.zeros((2, 6)))
