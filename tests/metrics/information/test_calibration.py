"""Calibration and usable bits, by hand and on planted predictors."""

import numpy as np
import pytest

from mmjax.metrics.information import calibration, usable


def test_reliability_by_hand():
    """Ten bins: two at .95, one of them right; two at .55, both right; on the edge of a bin, below it."""
    p = np.array([[0.95, 0.05], [0.05, 0.95], [0.55, 0.45], [0.45, 0.55], [0.6, 0.4]])
    found = calibration.reliability(p, np.array([0, 0, 0, 1, 1]), bins=10)
    assert found.share.tolist() == [0, 0, 0, 0, 0, 0.6, 0, 0, 0, 0.4]
    assert found.accuracy[5] == pytest.approx(2 / 3)
    assert found.confidence[5] == pytest.approx((0.55 + 0.55 + 0.6) / 3)
    assert found.error == pytest.approx(0.6 * abs(2 / 3 - 1.7 / 3) + 0.4 * 0.45)
    assert np.isnan(found.accuracy[0])


def sample(rng, logits):
    """A class of each row, drawn by its logits."""
    return np.argmax(logits + rng.gumbel(size=logits.shape), 1)


def test_a_network_that_is_three_times_too_sure_is_repaired(rng):
    logits = rng.normal(size=(4000, 5)) * 1.5
    label = sample(rng, logits)
    prior = calibration.log_prior(label, 5)
    fitted = calibration.fit(3 * logits, label, prior)
    assert fitted.slope == pytest.approx(1 / 3, abs=0.03)
    before = calibration.reliability(np.exp(calibration.log_softmax(3 * logits)), label).error
    after = calibration.reliability(np.exp(fitted(3 * logits)), label).error
    assert after < 0.03 < 0.1 < before
    np.testing.assert_allclose(np.exp(fitted(3 * logits)).sum(1), 1)


def test_noise_falls_back_on_the_prior_and_tells_nothing(rng):
    label = rng.choice(4, 6000, p=[0.6, 0.2, 0.1, 0.1])
    noise = 3 * rng.normal(size=(6000, 4))
    prior = calibration.log_prior(label[:3000], 4)
    fitted = calibration.fit(noise[:3000], label[:3000], prior)
    assert (fitted.slope, fitted.trust) == (0, 1)
    np.testing.assert_allclose(usable.bits(fitted(noise[3000:]), label[3000:], prior), 0, atol=1e-12)
    assert usable.bits(calibration.log_softmax(noise[3000:]), label[3000:], prior).mean() < -1  # as it is


def test_bits_by_hand():
    prior = np.log(np.array([0.25, 0.75]))
    told = np.log(np.array([[0.5, 0.5], [0.5, 0.5]]))
    np.testing.assert_allclose(usable.bits(told, np.array([0, 1]), prior), [1, np.log2(2 / 3)])
    np.testing.assert_allclose(np.exp(calibration.log_prior(np.array([0, 0, 1]), 3)), np.array([2.5, 1.5, 0.5]) / 4.5)


def test_bits_of_the_true_probabilities_are_the_mutual_information(rng):
    """A class told by a side that is right in nine of ten: 1 - H(.1) bits."""
    label = rng.integers(0, 2, 20_000)
    side = np.where(rng.random(20_000) < 0.9, label, 1 - label)
    logits = np.log(np.where(np.eye(2)[side] > 0, 0.9, 0.1))
    bits = usable.bits(calibration.log_softmax(logits), label, np.log([0.5, 0.5]))
    assert bits.mean() == pytest.approx(1 + 0.9 * np.log2(0.9) + 0.1 * np.log2(0.1), abs=0.02)
