"""The remedies' numbers, worked by hand from their papers."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.balance import formulas


def test_ratios_of_two_and_of_three():
    np.testing.assert_allclose(formulas.ratios(jnp.array([3.0, 2.0])), [1.5, 2 / 3], rtol=1e-6)
    three = [(3 / 2 + 3 / 1) / 2, (2 / 3 + 2 / 1) / 2, (1 / 3 + 1 / 2) / 2]
    np.testing.assert_allclose(formulas.ratios(jnp.array([3.0, 2.0, 1.0])), three, rtol=1e-6)


def test_the_surer_modality_is_slowed_and_no_other():
    """r = 1.5: 1 - tanh(.3 x 1.5) = 1 - .421899; the gradient of the less sure one is untouched."""
    found = jax.jit(formulas.modulation, static_argnums=1)(jnp.array([3.0, 2.0]), 0.3)
    np.testing.assert_allclose(found, [1 - 0.421899, 1], rtol=1e-5)
    np.testing.assert_array_equal(formulas.modulation(jnp.array([2.0, 2.0]), 0.3), [1, 1])  # r = 1: not yet


def test_rates_of_dropping():
    """r = 1.5: .4 (1 + .5 tanh .5) = .4 (1 + .5 x .462117)."""
    found = jax.jit(formulas.dropping, static_argnums=(1, 2))(jnp.array([3.0, 2.0]), 0.4, 0.5)
    np.testing.assert_allclose(found, [0.4 * (1 + 0.5 * 0.462117), 0], rtol=1e-5)
    assert float(formulas.dropping(jnp.array([9.0, 1.0]), 0.8, 1.0)[0]) == 1  # a rate


def test_blending_by_hand():
    """Held-out losses fall by .4 and .1, gaps grow by .2 and .1: 10 and 10; by .3 and .1: 4.44 and 10."""
    two = jnp.array([0.5, 0.5])
    training, held = ([1.0, 1.0], [0.4, 0.8]), ([1.0, 1.0], [0.6, 0.9])
    found = formulas.blending(*((jnp.array(a), jnp.array(b)) for a, b in (training, held)), two)
    np.testing.assert_allclose(found, [0.5, 0.5], atol=2e-4)
    training = ([1.0, 1.0], [0.3, 0.8])
    found = formulas.blending(*((jnp.array(a), jnp.array(b)) for a, b in (training, held)), two)
    np.testing.assert_allclose(found, np.array([0.4 / 0.09, 10]) / (0.4 / 0.09 + 10), atol=2e-4)


def test_a_loss_that_does_not_fall_has_no_weight():
    one = jnp.array([1.0, 1.0])
    found = formulas.blending((one, one - 0.5), (one, jnp.array([0.9, 1.2])), one / 2)
    np.testing.assert_allclose(found, [1, 0])
    kept = jnp.array([0.2, 0.8])
    np.testing.assert_allclose(formulas.blending((one, one - 0.5), (one, one + 0.1), kept), kept)


def test_prototypes_follow_and_begin_with_their_first_points():
    points = jnp.array([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0], [9.0, 9.0]])
    label = jnp.array([0, 0, 1, -1])
    centres, seen = formulas.prototypes(jnp.zeros((3, 2)), jnp.zeros(3), points, label, 0.75)
    np.testing.assert_allclose(centres, [[2, 0], [0, 5], [0, 0]])
    np.testing.assert_array_equal(seen, [1, 1, 0])
    centres, seen = formulas.prototypes(centres, seen, points[:1] + 5, label[:1], 0.75)
    np.testing.assert_allclose(centres, [[0.75 * 2 + 0.25 * 6, 0.25 * 5], [0, 5], [0, 0]])


def test_nearness_is_less_the_distance_and_no_class_that_was_never_seen():
    centres, seen = jnp.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]), jnp.array([1.0, 1.0, 0.0])
    near = formulas.nearness(jnp.zeros((1, 2)), centres, seen)
    np.testing.assert_allclose(near, [[0, -5, -1e4]], atol=2e-4)
    slope = jax.grad(lambda x: formulas.nearness(x, centres, seen)[0, 0])(jnp.zeros((1, 2)))
    assert np.isfinite(slope).all()


def test_certainty_is_a_sum_of_probabilities_of_the_right_class():
    logits = jnp.log(jnp.array([[0.7, 0.3], [0.1, 0.9], [0.5, 0.5]]))
    label = jnp.array([0, 0, -1])
    assert float(formulas.certainty(logits, label, label >= 0)) == pytest.approx(0.8, rel=1e-5)
