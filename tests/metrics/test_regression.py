"""Linear maps, what they explain, running means and errors of landmarks: values by hand."""

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.metrics import landmarks, regression, running_mean


def test_a_map_that_is_linear_is_found(rng):
    x = rng.normal(size=(200, 3)) * [1, 10, 0.1] + [5, 0, 1]
    x = np.c_[x, np.ones(200), x[:, 0]]  # a constant, and a column twice
    y = x[:, :3] @ np.array([[1.0, 0], [0.5, -2], [3, 30]]) + [7, -1]
    fit = regression.ridge(x, y, 1e-9)
    np.testing.assert_allclose(x @ fit["weights"] + fit["offset"], y, atol=1e-3)
    loose = regression.ridge(x, y, 1e6)
    np.testing.assert_allclose(loose["weights"], 0, atol=1e-2)


def test_what_is_explained_by_hand():
    truth = np.array([[0.0, 1, 5], [2, 1, 6], [4, 1, 7]])
    guess = np.array([[0.0, 1, 6], [2, 1, 6], [2, 1, 6]])
    # 1 - 4 / 8; a column that does not vary; the mean explains nothing.
    np.testing.assert_allclose(regression.explained(truth, guess), [0.5, np.nan, 0])


def test_powers():
    assert regression.powers(2, 2) == ((0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0))
    assert len(regression.powers(4, 4)) == 70


def test_a_running_mean_is_the_mean(rng):
    batches = rng.normal(size=(5, 4, 3)).astype(np.float32)
    known = running_mean.fresh({"x": jax.ShapeDtypeStruct((3,), np.float32)})
    for batch in batches:
        known = jax.jit(running_mean.follow)(known, {"x": batch})
    np.testing.assert_allclose(known["mean"]["x"], batches.reshape(-1, 3).mean(0), atol=1e-6)
    where = rng.random((5, 4)) < 0.4
    where[2] = False
    some = running_mean.fresh(jax.ShapeDtypeStruct((3,), np.float32))
    for batch, counts in zip(batches, where, strict=True):
        some = jax.jit(running_mean.follow)(some, batch, counts)
    np.testing.assert_allclose(some["mean"], batches[where].mean(0), atol=1e-6)


def test_errors_of_landmarks_by_hand(rng):
    truth = rng.uniform(0.2, 0.8, (1, 68, 2)).astype(np.float32)
    truth[0, 36], truth[0, 45] = (0.3, 0.5), (0.7, 0.5)
    guess = truth + np.array([0.03, 0.04], np.float32)
    np.testing.assert_allclose(landmarks.error(truth, guess), [0.05 / 0.4], rtol=1e-4)
    turn = 1.7 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]], np.float32)
    placed = landmarks.aligned(jnp.asarray(truth), jnp.asarray(truth @ turn - 4))
    np.testing.assert_allclose(placed, truth, atol=1e-4)
    mirrored = landmarks.aligned(jnp.asarray(truth), jnp.asarray(truth * np.array([-1, 1], np.float32)))
    assert np.abs(mirrored - truth).mean() > 0.05  # a mirror is another shape
    box = np.array([[[0.0, 0.0], [3, 4], [1, 1]]], np.float32)
    np.testing.assert_allclose(landmarks.error(box, box + np.array([0, 1], np.float32)), [1 / 2.5], rtol=1e-5)
