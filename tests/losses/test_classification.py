"""Cross-entropies: golden values by hand, a naive reference, gradients, and blindness to what is masked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from mmjax.losses import classification


def test_golden():
    # softmax(0, ln 3) = (1/4, 3/4): -(1/2 ln 1/4 + 1/2 ln 3/4) = ln 4 - ln(3) / 2 = 0.836988; label 1: ln 4/3.
    logits = jnp.asarray([[0.0, np.log(3.0)]], jnp.float32)
    soft = jax.jit(classification.soft_cross_entropy)(logits, jnp.full((1, 2), 0.5))
    np.testing.assert_allclose(soft, [0.836988], rtol=1e-6)
    np.testing.assert_allclose(jax.jit(classification.cross_entropy)(logits, jnp.asarray([1])), [0.287682], rtol=1e-5)


def test_naive_reference_and_one_hot(rng):
    logits = rng.normal(size=(6, 5)).astype(np.float32) * 3
    target = rng.dirichlet(np.ones(5), 6).astype(np.float32)
    log_probs = logits - np.log(np.exp(logits.astype(np.float64)).sum(-1, keepdims=True))
    np.testing.assert_allclose(
        classification.soft_cross_entropy(logits, target), -(target * log_probs).sum(-1), rtol=1e-5
    )
    label = rng.integers(0, 5, 6).astype(np.int32)
    hard = classification.cross_entropy(jnp.asarray(logits), jnp.asarray(label))
    np.testing.assert_allclose(hard, -log_probs[np.arange(6), label], rtol=1e-5)
    np.testing.assert_allclose(hard, classification.soft_cross_entropy(logits, jax.nn.one_hot(label, 5)), rtol=1e-5)


def test_half_precision_is_computed_in_full(rng):
    logits = jnp.asarray(rng.normal(size=(4, 3)), jnp.bfloat16)
    label = jnp.asarray([0, 1, 2, 0])
    value = classification.cross_entropy(logits, label)
    assert value.dtype == jnp.float32
    np.testing.assert_array_equal(value, classification.cross_entropy(logits.astype(jnp.float32), label))


@pytest.mark.parametrize("fill", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("form", ["soft", "hard"])
def test_masked_examples_count_nothing_whatever_they_hold(rng, fill, form):
    function = {"soft": classification.soft_cross_entropy, "hard": classification.cross_entropy}[form]
    truth = {"soft": rng.dirichlet(np.ones(3), 4).astype(np.float32), "hard": np.array([0, 1, 2, 1])}[form]
    logits = rng.normal(size=(4, 3)).astype(np.float32)
    where = np.array([True, False, True, False])
    dirty = jnp.where(where[:, None], logits, fill)
    value = function(dirty, jnp.asarray(truth), jnp.asarray(where))
    np.testing.assert_array_equal(value[~where], [0, 0])
    np.testing.assert_array_equal(value[where], function(jnp.asarray(logits[where]), jnp.asarray(truth[where])))
    gradient = jax.grad(lambda x: jnp.sum(function(x, jnp.asarray(truth), jnp.asarray(where))))(dirty)
    np.testing.assert_array_equal(gradient[~where], np.zeros((2, 3)))
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[where]).min() > 0


def test_a_negative_label_counts_nothing(rng):
    logits = jnp.asarray(rng.normal(size=(2, 3)), jnp.float32)
    assert classification.cross_entropy(logits, jnp.asarray([-1, 2]))[0] == 0


def test_gradients(rng):
    logits = rng.normal(size=(3, 4)).astype(np.float32)
    target = rng.dirichlet(np.ones(4), 3).astype(np.float32)
    check_grads(lambda x: classification.soft_cross_entropy(x, target), (logits,), order=1, modes=["rev"], atol=1e-2)
