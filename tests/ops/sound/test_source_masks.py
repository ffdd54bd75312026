"""Masks by hand, where phases cancel and where there is nothing."""

import numpy as np

from mmjax.ops.sound import source_masks

F = np.float32


def test_targets_and_weights_by_hand():
    source, mixture = np.array([0, 1, 2, 3, 8], F), np.array([0, 4, 4, 4, 1], F)
    np.testing.assert_array_equal(source_masks.binary(source, mixture), [0, 0, 0, 1, 1])  # half is not more than half
    np.testing.assert_allclose(source_masks.ratio(source, mixture), [0, 0.25, 0.5, 0.75, 5])
    np.testing.assert_allclose(source_masks.ratio(source, mixture, 1.0)[-1], 1)
    places = np.array([[0, np.e - 1, 1e9]], F)
    np.testing.assert_allclose(source_masks.weights(places, "log"), [[1e-3, 1, 10]], rtol=1e-6)
    np.testing.assert_allclose(source_masks.weights(places, "none"), 1)
    np.testing.assert_allclose(source_masks.weights(np.array([[1, 2, 9]], F), "magnitude"), [[0.25, 0.5, 2.25]])


def test_oracles_share_a_place_out(rng):
    magnitudes = rng.uniform(0.1, 1, (2, 3, 4, 5)).astype(F)
    np.testing.assert_allclose(source_masks.ideal_ratio(magnitudes).sum(1), 1, rtol=1e-5)
    binary = source_masks.ideal_binary(magnitudes)
    np.testing.assert_array_equal(binary.argmax(1), magnitudes.argmax(1))
    np.testing.assert_array_equal(binary.sum(1), 1)
    same = source_masks.ideal_binary(np.array([1, 2, 2], F)[:, None, None])  # the first of equals
    np.testing.assert_array_equal(same[:, 0, 0], [0, 1, 0])
    np.testing.assert_array_equal(source_masks.ideal_ratio(np.zeros((2, 1, 1), F)), 0)
