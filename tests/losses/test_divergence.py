"""KL: a golden value by hand, SciPy, masks, zero probabilities, gradients, jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.special import log_softmax, rel_entr

from mmjax.losses.divergence import kl


def _case(rng, *shape):
    teacher = log_softmax(2 * rng.normal(size=shape), axis=-1).astype(np.float32)
    return jnp.asarray(teacher), jnp.asarray(rng.normal(size=shape), jnp.float32)


def test_golden():
    # p = (1/2, 1/2, 0), q = (1/4, 1/2, 1/4): 1/2 log 2 + 1/2 log 1 + 0
    teacher = jnp.log(jnp.array([[0.5, 0.5, 0.0]]))
    student = jnp.log(jnp.array([[0.25, 0.5, 0.25]])) + 7.0  # logits: a constant changes nothing
    np.testing.assert_allclose(kl(teacher, student), [0.5 * np.log(2)], rtol=1e-6)
    gradient = jax.grad(lambda s: kl(teacher, s)[0])(student)
    np.testing.assert_allclose(gradient, [[-0.25, 0.0, 0.25]], atol=1e-6)  # q - p


@pytest.mark.parametrize("shape", [(4, 7), (4, 3, 7)])
def test_against_scipy_and_jitted(rng, shape):
    teacher, student = _case(rng, *shape)
    p, q = np.exp(np.float64(teacher)), np.exp(log_softmax(np.float64(student), axis=-1))
    expected = rel_entr(p, q).sum(-1).reshape(4, -1).mean(1)
    np.testing.assert_allclose(kl(teacher, student), expected, rtol=1e-4)
    np.testing.assert_allclose(jax.jit(kl)(teacher, student), expected, rtol=1e-4)
    assert jax.jit(kl)(teacher.astype(jnp.bfloat16), student.astype(jnp.bfloat16)).dtype == jnp.float32


def test_masked_steps_do_not_count_whatever_they_hold(rng):
    teacher, student = _case(rng, 3, 4, 5)
    where = jnp.array([[True, True, False, False], [True, True, True, True], [False] * 4])
    expected = [kl(teacher[:1, :2], student[:1, :2])[0], kl(teacher[1:2], student[1:2])[0], 0.0]
    bad = jnp.where(where[..., None], student, jnp.nan)
    np.testing.assert_allclose(kl(jnp.where(where[..., None], teacher, jnp.nan), bad, where), expected, rtol=1e-5)
    gradient = jax.grad(lambda s: kl(teacher, s, where).sum())(bad)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[0, 2:], 0)
    np.testing.assert_allclose(gradient[1], jax.grad(lambda s: kl(teacher[1:2], s)[0])(student[1:2])[0], rtol=1e-5)


def test_masked_examples_without_steps(rng):
    teacher, student = _case(rng, 3, 5)
    values = kl(teacher, student, jnp.array([True, False, True]))
    np.testing.assert_allclose(values, kl(teacher, student) * jnp.array([1.0, 0.0, 1.0]), rtol=1e-6)


def test_a_teacher_of_one_step_holds_for_all(rng):
    teacher, student = _case(rng, 2, 3, 5)
    np.testing.assert_allclose(kl(teacher[:, :1], student), kl(jnp.repeat(teacher[:, :1], 3, 1), student), rtol=1e-6)


def test_gradients(rng):
    teacher, student = _case(rng, 2, 3, 5)
    where = jnp.array([[True, False, True], [True, True, False]])
    check_grads(jax.jit(lambda s: kl(teacher, s, where)), (student,), order=1, modes=["rev"], rtol=1e-2)


def test_equal_distributions_are_at_zero(rng):
    teacher, _ = _case(rng, 4, 6)
    np.testing.assert_allclose(kl(teacher, teacher), 0, atol=1e-6)
