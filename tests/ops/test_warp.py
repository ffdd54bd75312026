"""The warp: a NumPy solution of its own, what it leaves alone, gradients, and what a user may ask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from mmjax.data.sets import sounding_scenes
from mmjax.errors import UserError
from mmjax.ops import warp


def reference(source, target, height, width, regularisation, corners):
    """The flow of one picture in float64, by the textbook's system and a loop over its points."""
    edge = np.array([(0, 0), (0.5, 0), (1, 0), (1, 0.5), (1, 1), (0.5, 1), (0, 1), (0, 0.5)][:corners], float)
    at = np.concatenate([target.astype(float), edge.reshape(-1, 2)])
    moved = np.concatenate([target.astype(float) - source, np.zeros_like(edge.reshape(-1, 2))])

    def phi(positions):
        distance = np.linalg.norm(positions[:, None] - at[None], axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(distance > 1e-5, distance**2 * np.log(distance), 0.0)

    n, plane = len(at), np.c_[at, np.ones(len(at))]
    system = np.block([[phi(at) + regularisation * np.eye(n), plane], [plane.T, np.zeros((3, 3))]])
    solved = np.linalg.solve(system, np.r_[moved, np.zeros((3, 2))])
    rows, columns = np.indices((height, width))
    places = np.stack([(columns.ravel() + 0.5) / width, (rows.ravel() + 0.5) / height], -1)
    return (phi(places) @ solved[:n] + np.c_[places, np.ones(len(places))] @ solved[n:]).reshape(height, width, 2)


def faces(count, side=224):
    source = sounding_scenes.source("train", ("face", "landmarks"), face_size=side)
    examples = [source[i] for i in range(count)]
    picture = np.stack([example["face"] for example in examples]).astype(np.float32) / 255
    return picture, np.stack([example["landmarks"] for example in examples])


def test_the_flow_of_68_drawn_landmarks_is_that_of_a_solution_in_float64():
    _, landmarks = faces(3, 32)
    source, target = landmarks, np.roll(landmarks, 1, 0)
    found = jax.jit(warp.flow, static_argnums=(2, 3))(source, target, 40, 56)
    for own, one, other in zip(found, source, target, strict=True):
        wanted = reference(one, other, 40, 56, 1e-4, 8)
        assert np.abs(wanted).max() > 0.02
        np.testing.assert_allclose(own, wanted, atol=1e-5)


@pytest.mark.parametrize(("n", "border", "corners"), [(72, 0, 0), (5, 2, 8)])
def test_without_regularisation_each_landmark_arrives(rng, n, border, corners):
    grid = np.stack(np.meshgrid(np.linspace(0.1, 0.9, 9), np.linspace(0.1, 0.9, 8)), -1).reshape(-1, 2)
    grid = rng.permutation(grid)[None, :n].astype(np.float32)
    source, target = (grid + rng.uniform(-0.03, 0.03, grid.shape).astype(np.float32) for _ in range(2))
    found = jax.jit(lambda a, b: warp.flow(a, b, 24, 24, 0.0, border))(source, target)
    np.testing.assert_allclose(found[0], reference(source[0], target[0], 24, 24, 0.0, corners), atol=1e-5)
    spline = warp.spline(target, target - source)
    np.testing.assert_allclose(warp.evaluate(spline, target), target - source, atol=1e-5)
    np.testing.assert_allclose(jnp.sum(spline.weights, 1), 0, atol=1e-3)  # it is a plane far away


def test_a_spline_by_hand():
    """Values of a plane bend nothing; what lifts a square's centre by 1 above its corners has equal weights there."""
    square = np.array([[[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5]]], np.float32)
    plane = warp.spline(square, square @ np.array([[2.0], [-1.0]], np.float32) + 3)
    np.testing.assert_allclose(plane.weights, 0, atol=1e-5)
    np.testing.assert_allclose(plane.affine[0, :, 0], [2, -1, 3], atol=1e-5)
    # phi of a side is 0, of a diagonal log 2, of half a diagonal -log(2) / 4. With w at the corners and -4 w in the
    # centre a corner is at 2 w log 2 and the centre at -w log 2.
    weights = warp.spline(square, np.array([0, 0, 0, 0, 1], np.float32).reshape(1, 5, 1)).weights[0, :, 0]
    np.testing.assert_allclose(weights, np.array([-1, -1, -1, -1, 4]) / (3 * np.log(2)), rtol=1e-4)


def test_where_nothing_moves_the_picture_stays():
    picture, landmarks = faces(2)
    same = jax.jit(warp.warp)(picture, landmarks, landmarks)
    np.testing.assert_allclose(same, picture, atol=1e-5)


def test_the_picture_follows_its_landmarks():
    """A face moved onto another's landmarks has the colours of its own there."""
    picture, landmarks = faces(2)
    moved = jax.jit(lambda *a: warp.warp(*a, regularisation=1e-5))(picture, landmarks, landmarks[::-1])
    smooth = np.asarray(jax.image.resize(moved, (2, 56, 56, 3), "linear"))
    before = np.asarray(jax.image.resize(picture, (2, 56, 56, 3), "linear"))
    there, here = warp.sample(smooth, landmarks[::-1]), warp.sample(before, landmarks)
    wrong = warp.sample(before, landmarks[::-1])
    assert np.abs(there - here).mean() < 0.4 * np.abs(there - wrong).mean()


def test_sampling_by_hand():
    picture = jnp.arange(6.0).reshape(1, 2, 3, 1)  # 0 1 2 / 3 4 5
    at = jnp.array([[[0.5, 0.25], [0.5, 0.5], [1 / 3, 0.5], [-9.0, -9.0], [9.0, 0.25], [2 / 3, 0.25]]])
    np.testing.assert_allclose(warp.sample(picture, at)[0, :, 0], [1, 2.5, 2, 0, 2, 1.5], rtol=1e-6)


def test_gradients_in_picture_source_and_target(rng):
    with jax.enable_x64():
        source = jnp.asarray(rng.uniform(0.2, 0.8, (1, 4, 2)))
        target = source + jnp.asarray(rng.uniform(-0.05, 0.05, source.shape))
        picture = jnp.asarray(rng.uniform(size=(1, 5, 6, 2)))
        run = jax.jit(lambda *a: warp.warp(*a))
        check_grads(run, (picture, source, target), 1, ["rev"], eps=1e-6, atol=1e-5, rtol=1e-5)


def test_gradients_are_finite_where_points_agree():
    picture, landmarks = faces(1, 32)
    assert len(np.unique(landmarks[0].round(5), axis=0)) < 68  # the closed lips' edges lie on one another
    value, slopes = jax.jit(jax.value_and_grad(lambda *a: jnp.sum(warp.warp(*a) ** 2), (0, 1, 2)))(
        picture, landmarks, landmarks[:, ::-1]
    )
    assert np.isfinite(value)
    assert all(np.isfinite(slope).all() for slope in slopes)


def test_what_cannot_be_is_said():
    with pytest.raises(UserError, match="at least 3 points, not 2"):
        warp.spline(jnp.zeros((1, 2, 2)), jnp.zeros((1, 2, 1)))
    with pytest.raises(UserError, match="regularisation is -1"):
        warp.spline(jnp.zeros((1, 3, 2)), jnp.zeros((1, 3, 1)), -1)
    with pytest.raises(UserError, match="border is -1"):
        warp.border(-1)
    with pytest.raises(UserError, match="1 x 4"):
        warp.sample(jnp.zeros((1, 1, 4, 1)), jnp.zeros((1, 1, 2)))


def test_the_logarithm_of_a_cpu(rng):
    """As NumPy's to a unit in the last place or two, from the smallest square to the largest, and its gradient."""
    x = np.concatenate([np.exp(rng.uniform(np.log(warp.TINY), 10, 20_000)), 2.0 ** np.arange(-30, 10), [0.5**0.5]])
    x = x.astype(np.float32)
    exact = np.log(x.astype(np.float64))
    found = np.asarray(jax.jit(warp._log)(x), np.float64)
    assert np.abs(found - exact).max() < 2.5e-6  # 23 at most
    assert np.abs(found - exact)[np.abs(exact) < 0.3].max() < 1e-7
    np.testing.assert_allclose(jax.vmap(jax.grad(warp._log))(x), 1 / x, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(jax.grad(warp._log)))(x[:9]), -1 / np.square(x[:9]), rtol=1e-5)
