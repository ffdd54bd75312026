"""Boxes: their coordinates, what is seen in them, what is painted into them, and their density against SciPy's."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from PIL import Image
from scipy import stats

from mmjax.errors import UserError
from mmjax.models.drawing.placed import PlacedDiscriminator, PlacedGenerator, bounded, glimpse, unbounded


def init(model, *inputs):
    """Jitted: each operation of an eager init would be compiled by itself."""
    return jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), *inputs)


BOXES = jnp.float32([[0.25, 0.5, 0.75, 0.75], [0.1, 0.2, 0.4, 0.8]])  # top, left, bottom, right


@pytest.fixture(scope="module")
def made():
    """(generator, how it draws, its variables, codes, texts) of two pictures of 16 x 16."""
    rng = np.random.default_rng(0)
    model = PlacedGenerator(size=16, ground=4, sheet=4, text=8)
    code, text = (jnp.asarray(rng.normal(size=(2, n)), jnp.float32) for n in (12, 5))
    draw = jax.jit(functools.partial(model.apply, train=False))
    return model, draw, init(model, code, text), code, text


def test_any_four_numbers_are_a_box_and_back():
    np.testing.assert_allclose(bounded(unbounded(BOXES)), BOXES, atol=1e-6)
    # by hand: centre 1/2 and 5/8, sides 1/2 and 1/4
    want = [0.0, np.log(5 / 3), 2 * np.log(3 / 2), 2 * np.log(3 / 4)]
    np.testing.assert_allclose(unbounded(BOXES)[0], want, atol=1e-6)
    sides = bounded(jnp.float32([[0, 0, 99, -99]]))
    np.testing.assert_allclose(sides[0], [0, 0.475, 1, 0.525], atol=1e-6)


def test_a_glimpse_is_what_a_picture_library_cuts_out(rng):
    image = rng.random((2, 32, 32, 1)).astype(np.float32)
    cut = jax.jit(glimpse, static_argnums=2)
    found = np.asarray(cut(image, BOXES, 24, 1.0))
    for k, (top, left, bottom, right) in enumerate(32 * np.asarray(BOXES)):
        flat = Image.fromarray(image[k, ..., 0])
        across, down = (right - left) / 24, (bottom - top) / 24
        turned = flat.transform((24, 24), Image.Transform.AFFINE, (across, 0, left, 0, down, top), Image.BILINEAR)
        np.testing.assert_allclose(found[k, ..., 0], np.asarray(turned), atol=2e-3)
    # twice the room: half the resolution, the same middle; outside of the picture there is nothing
    wide = np.asarray(cut(np.ones((1, 32, 32, 1), np.float32), np.float32([[0, 0, 1, 1]]), 8, 2.0))[0, ..., 0]
    np.testing.assert_allclose(wide[2:6, 2:6], 1.0)
    np.testing.assert_allclose(wide[0], 0.0)


def test_an_object_is_painted_into_its_box(made):
    _, draw, variables, code, text = made
    boxes = jnp.float32([[0.25, 0.25, 0.5, 0.5], [0.5, 0.5, 0.75, 1.0]])
    first, second = (draw(variables, code, text, boxes=x) for x in (boxes, boxes[::-1]))
    apart = np.abs(np.asarray(first - second)).max((0, 3)) > 1e-6
    rows, columns = np.nonzero(apart)
    # two boxes with 7.5 % of room and the width of a sheet's cell on each side
    assert rows.min() >= 16 * 0.25 - 1.5
    assert rows.max() <= 16 * 0.75 + 1.5
    assert columns.min() >= 16 * 0.25 - 1.5
    assert apart[5:7, 5:7].all()
    assert apart[9:11, 9:14].all()


def test_without_a_box_the_code_chooses_one(made):
    model, draw, variables, code, text = made
    mean, factor = model.apply(variables, text, method=lambda module, x: module.places(x))
    boxes = bounded(mean + jnp.einsum("bij,bj->bi", factor, code[:, :4]))
    own = draw(variables, code, text)
    np.testing.assert_allclose(own, draw(variables, code, text, boxes=boxes), atol=1e-6)
    assert np.abs(own - draw(variables, code.at[:, :2].add(2.0), text)).max() > 0.01


def test_surprise_is_scipys_density(made):
    model, _, variables, _, text = made
    found = jax.jit(lambda boxes: model.apply(variables, text, boxes, method="surprise"))(BOXES)
    mean, factor = model.apply(variables, text, method=lambda module, x: module.places(x))
    for k in range(2):
        own = np.asarray(factor[k], np.float64)
        assert np.all(np.triu(own, 1) == 0)
        want = -stats.multivariate_normal(np.asarray(mean[k]), own @ own.T).logpdf(np.asarray(unbounded(BOXES)[k]))
        np.testing.assert_allclose(found[k], want, rtol=1e-4)


def test_the_inner_judge_sees_the_box_alone(rng):
    model = PlacedDiscriminator(features=4, inside=4, room=1.0, embed=3)
    image = jnp.asarray(rng.uniform(-1, 1, (2, 16, 16, 3)), jnp.float32)
    texts = [jnp.asarray(rng.normal(size=(2, 5)), jnp.float32)]
    variables = init(model, image, texts)
    look = jax.jit(lambda image, boxes: model.apply(variables, image, texts, train=False, boxes=boxes))
    (before,), embeddings = look(image, BOXES)
    assert [x.shape for x in embeddings] == [(2, 3), (2, 3)]
    (after,), _ = look(image.at[:, 14:].set(1.0), BOXES)  # below both boxes
    assert np.abs(before[0] - after[0]).max() > 1e-4
    np.testing.assert_array_equal(before[1], after[1])
    (after,), _ = look(image.at[:, 5].set(1.0), BOXES)
    assert np.abs(before[1] - after[1]).min() > 1e-4
    (whole,), seen = look(image, None)
    assert len(whole) == len(seen) == 1
    np.testing.assert_allclose(whole[0], before[0], atol=1e-6)


def test_codes_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match="even number, at least 8"):
        jax.eval_shape(
            lambda: PlacedGenerator().init(jax.random.key(0), jnp.zeros((2, 9)), jnp.zeros((2, 4)), train=False)
        )
