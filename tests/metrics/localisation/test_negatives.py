"""Confidence, AP and F1 over negatives against a naive evaluator, and marks at an absolute score by hand."""

import jax
import localisation_reference as reference
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.metrics.localisation import grid, negatives


def test_confidence_is_the_mean_of_the_largest_quarter(rng):
    maps = rng.standard_normal((3, 6, 6)).astype(np.float32)
    maps[1] = np.round(maps[1])
    found = jax.jit(lambda maps: negatives.confidence(maps, 6))(maps)
    np.testing.assert_allclose(found, np.sort(maps.reshape(3, -1), -1)[:, -9:].mean(-1), rtol=1e-5)
    found = negatives.confidence(maps, 5, "corners")  # seven of 25 pixels: the quarter is rounded up
    pixels = np.asarray(grid.resized(jnp.asarray(maps), 5)).reshape(3, -1)
    np.testing.assert_allclose(found, np.sort(pixels, -1)[:, -7:].mean(-1), rtol=1e-5)


@pytest.mark.parametrize("n", [9, 250, 1000])
def test_a_naive_evaluator_finds_the_same(rng, n):
    sounding, ciou = rng.random(n) < 0.6, rng.random(n)
    confident = np.round(rng.random(n) + 0.3 * sounding + 0.2 * (ciou >= 0.5), 2)  # with ties
    found = negatives.detection(ciou, confident, sounding)
    np.testing.assert_allclose((found["ap"], found["max_f1"]), reference.detection_of(sounding, ciou, confident))
    right = np.mean(sounding & (ciou >= 0.5))
    np.testing.assert_allclose(found["ap/random_confidence"], right)
    alike = negatives.detection(ciou, np.zeros(n), sounding)
    np.testing.assert_allclose(alike["max_f1"], found["max_f1/all_found"])


def test_marks_at_an_absolute_score_by_hand():
    maps = jnp.asarray([[[0.9, 0.5], [0.2, 0.1]], [[0.6, 0.1], [0.1, 0.1]]])
    truth = jnp.zeros((2, 4, 4)).at[0, :2, :3].set(1)  # the upper left quarter and half of the upper right one
    thresholds = jnp.asarray([0.05, 0.4, 0.7])
    right, wrong, missed = jax.jit(negatives.counts)(maps, truth, thresholds)
    np.testing.assert_allclose(right, [[3 / 8, 3 / 8, 1 / 4], [0, 0, 0]])
    np.testing.assert_allclose(wrong, [[5 / 8, 1 / 8, 0], [1, 1 / 4, 0]])
    np.testing.assert_allclose(missed, [[0, 0, 1 / 8], [0, 0, 0]])
    best, f1 = negatives.best_threshold(right, wrong, missed, thresholds)
    assert best == pytest.approx(0.7)
    assert f1 == pytest.approx(2 * 2 / (2 * 2 + 0 + 1))
    np.testing.assert_allclose(negatives.marked_share(maps, jnp.float32(0.5)), [1 / 2, 1 / 4])
