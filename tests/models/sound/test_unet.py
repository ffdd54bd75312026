"""The U-Net: its sizes, that any length goes, and enlargement by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.models.sound.unet import UNet, twice


@pytest.mark.parametrize(("levels", "count"), [(7, 30_274_210), (5, 12_444_322)])
def test_it_has_the_parameters_of_the_official_code(levels, count):
    model = UNet(levels=levels)
    made = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 256, 256)))
    assert sum(x.size for x in jax.tree.leaves(made["params"])) == count
    out = jax.eval_shape(model.apply, made, jnp.zeros((3, 256, 256)))
    assert out.shape == (3, 256, 256, 32)


def test_enlargement_by_hand():
    x = jnp.array([[0.0, 3.0], [6.0, 9.0]])[None, :, :, None]
    by_hand = np.array([0, 1, 2, 3])[None] + np.array([0, 2, 4, 6])[:, None]
    np.testing.assert_allclose(twice(x)[0, :, :, 0], by_hand, atol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda x: twice(x).sum())(x).sum(), 16, rtol=1e-6)


def aligned(size):
    """[2 size, size]: what a row of twice as many is made of, by interpolation at places aligned at both ends."""
    places = np.linspace(0, size - 1, 2 * size)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(size)))


@pytest.mark.parametrize("size", [(5, 7), (1, 4), (2, 1)])
def test_the_gradient_of_an_enlargement_is_its_transpose(rng, size):
    x = rng.normal(size=(2, *size, 3)).astype(np.float32)
    dy = rng.normal(size=(2, 2 * size[0], 2 * size[1], 3)).astype(np.float32)
    down, across = aligned(size[0]), aligned(size[1])
    y, back = jax.jit(lambda x: jax.vjp(twice, x))(x)
    np.testing.assert_allclose(y, np.einsum("ih,jw,bhwc->bijc", down, across, x), atol=1e-5)
    np.testing.assert_allclose(back(dy)[0], np.einsum("ih,jw,bijc->bhwc", down, across, dy), atol=1e-5)
    np.testing.assert_allclose(jax.jvp(twice, (x,), (2 * x,))[1], 2 * y, atol=1e-5)


def test_any_length_and_the_rest_of_a_sound_does_not_move_its_beginning(rng):
    model = UNet(2, 2, 4)
    sound = jnp.asarray(rng.normal(size=(1, 9, 70)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), sound)
    run = jax.jit(model.apply)
    whole, start = run(variables, sound), run(variables, sound[..., :41])
    assert whole.shape == (1, 9, 70, 2)
    padded = jnp.pad(sound, ((0, 0), (0, 3), (0, 2)), mode="edge")  # to multiples of 4
    np.testing.assert_allclose(whole, run(variables, padded)[:, :9, :70], atol=1e-6)
    # What one place sees reaches a few blocks far; enlargement is aligned at both ends and so depends on the length.
    assert np.corrcoef(np.ravel(whole[:, :, :20]), np.ravel(start[:, :, :20]))[0, 1] > 0.9
