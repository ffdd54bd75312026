"""Sequence losses: worked by hand, against NumPy, blind to the padding, and differentiable."""

import itertools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from mmjax.errors import UserError
from mmjax.losses import sequence

WHERE = jnp.asarray([[True, True, False], [True, False, False]])


@pytest.fixture
def logits(rng):
    return jnp.asarray(rng.normal(size=(2, 3, 4)), jnp.float32)


@pytest.fixture
def attention(rng):
    return jax.nn.softmax(jnp.asarray(rng.normal(size=(2, 3, 5)), jnp.float32))


def test_cross_entropy_by_hand():
    logits = jnp.log(jnp.asarray([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]]))
    found = jax.jit(sequence.cross_entropy)(logits, jnp.asarray([[1, 2]]), jnp.ones((1, 2), bool))
    np.testing.assert_allclose(found, [[np.log(4), -np.log(0.7)]], rtol=1e-6)


def test_cross_entropy_ignores_the_padding_and_its_nan(logits):
    tokens = jnp.asarray([[1, 3, 99], [0, -5, 2]])
    spoilt = jnp.where(WHERE[..., None], logits, jnp.nan)

    def total(x):
        return jnp.sum(sequence.cross_entropy(x, tokens, WHERE))

    value, gradient = jax.value_and_grad(total)(spoilt)
    p = np.exp(np.asarray(logits)) / np.exp(np.asarray(logits)).sum(-1, keepdims=True)
    np.testing.assert_allclose(value, -np.log(p[0, 0, 1] * p[0, 1, 3] * p[1, 0, 0]), rtol=1e-5)
    assert not np.any(gradient[~np.asarray(WHERE)])
    np.testing.assert_allclose(gradient[1, 0], p[1, 0] - np.eye(4)[0], atol=1e-6)
    assert sequence.cross_entropy(logits.astype(jnp.bfloat16), tokens, WHERE).dtype == jnp.float32


def test_doubly_stochastic_by_hand():
    attention = jnp.asarray([[[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]]])
    where = jnp.asarray([[True, True, False]])
    apply = jax.jit(sequence.doubly_stochastic, static_argnums=2)
    np.testing.assert_allclose(apply(attention, where, "sum"), [0.4**2 + 0.4**2], rtol=1e-6)
    np.testing.assert_allclose(apply(attention, where, "mean"), [0.4**2], rtol=1e-6)
    with pytest.raises(UserError, match=r"reduction is 'max': choose 'sum' or 'mean'"):
        sequence.doubly_stochastic(attention, where, "max")


def test_attention_terms_ignore_the_padding_and_its_nan(attention):
    spoilt = jnp.where(WHERE[..., None], attention, jnp.nan)
    for term in (sequence.doubly_stochastic, sequence.entropy):
        value, gradient = jax.value_and_grad(lambda x, f=term: jnp.sum(f(x, WHERE)))(spoilt)
        zeroed = jnp.where(WHERE[..., None], attention, 0.3)
        np.testing.assert_allclose(value, jnp.sum(term(zeroed, WHERE)), rtol=1e-6)
        assert np.all(np.isfinite(gradient))
        assert not np.any(gradient[~np.asarray(WHERE)])
        check_grads(lambda x, f=term: jnp.sum(f(x, WHERE)), (attention,), 1, modes=["rev"], rtol=2e-2)


def test_entropy_is_that_of_the_distribution():
    attention = jnp.asarray([[[0.25] * 4, [1.0, 0, 0, 0]]])
    np.testing.assert_allclose(sequence.entropy(attention, jnp.ones((1, 2), bool)), [[np.log(4), 0]], atol=1e-6)


def test_rewards_of_a_caption_as_a_sum_and_as_a_mean():
    log_probs = jnp.asarray([[-1.0, -2.0, 7.0], [-4.0, jnp.nan, jnp.nan]])
    each, mean = sequence.rewards(log_probs, WHERE)
    np.testing.assert_allclose(each, [[-3] * 3, [-4] * 3])
    np.testing.assert_allclose(mean, -3.5)
    each, mean = sequence.rewards(log_probs, WHERE, "mean")
    np.testing.assert_allclose(each, [[-1.5] * 3, [-4] * 3])
    np.testing.assert_allclose(mean, -2.75)
    with pytest.raises(UserError, match=r"reward is"):
        sequence.rewards(log_probs, WHERE, "bleu")


def test_reinforce_raises_what_is_rewarded_above_the_baseline():
    log_place = jnp.asarray([[-1.0, -2.0, -3.0], [-1.5, 0.0, 0.0]])
    reward = jnp.asarray([[-3.0] * 3, [-4.0] * 3])

    def total(log_place, reward):
        return jnp.sum(sequence.reinforce(log_place, reward, jnp.float32(-3.5), WHERE))

    value, (gradient, none) = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))(log_place, reward)
    np.testing.assert_allclose(value, -(0.5 * (-1 - 2) + (-0.5) * (-1.5)), rtol=1e-6)
    np.testing.assert_allclose(gradient, [[-0.5, -0.5, 0], [0.5, 0, 0]])
    assert not np.any(none)


def test_reinforce_is_an_unbiased_gradient(rng):
    """Averaged over all places by their probabilities, it is the gradient of the expected reward."""
    scores, worth = jnp.asarray(rng.normal(size=4), jnp.float32), jnp.asarray(rng.normal(size=4), jnp.float32)
    expected = jax.grad(lambda s: -jnp.sum(jax.nn.softmax(s) * worth))(scores)
    one = jnp.ones((1, 1), bool)

    def estimate(s, place):
        log_place = jax.nn.log_softmax(s)[place].reshape(1, 1)
        return jnp.sum(sequence.reinforce(log_place, worth[place].reshape(1, 1), jnp.float32(0.3), one))

    each = jnp.stack([jax.grad(estimate)(scores, place) for place in range(4)])
    np.testing.assert_allclose(jax.nn.softmax(scores) @ each, expected, atol=1e-6)


def test_ctc_is_the_sum_over_all_paths_and_nothing_in_the_padding_matters(rng):
    logits = rng.normal(size=(3, 4, 3)).astype(np.float32)
    steps, length = np.array([4, 3, 4], np.int32), np.array([2, 1, 0], np.int32)
    units = np.array([[1, 1], [0, 9], [9, 9]], np.int32)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)

    def by_paths(row):
        total = 0.0
        for path in itertools.product(range(3), repeat=int(steps[row])):
            said = tuple(unit for unit, _ in itertools.groupby(path) if unit != 2)
            if said == tuple(units[row, : length[row]]):
                total += np.prod(probabilities[row, range(steps[row]), path])
        return -np.log(total)

    found = jax.jit(sequence.ctc)(logits, steps, units, length)
    np.testing.assert_allclose(found, [by_paths(row) for row in range(3)], rtol=1e-5)
    spoiled = logits.copy()
    spoiled[1, 3] = np.nan
    np.testing.assert_allclose(sequence.ctc(spoiled, steps, units, length), found, rtol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(sequence.ctc(x, steps, units, length)))(spoiled)
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[1, 3] == 0).all()
