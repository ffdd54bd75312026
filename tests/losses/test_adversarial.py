"""Adversarial losses: by hand, against numerical derivatives, and through batch statistics' eyes."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from mmjax.errors import UserError
from mmjax.losses import adversarial

REAL, WRONG, FAKE = np.float32([2.0, -1.0]), np.float32([0.5, -3.0]), np.float32([0.0, 1.5])


def softplus(x):
    return np.log1p(np.exp(np.float64(x)))


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_matching_aware_cross_entropy_by_hand(share):
    found = jax.jit(adversarial.discriminator, static_argnums=(3, 4))(REAL, FAKE, WRONG, "bce", share)
    # ln(1 + e^-2) + share ln(1 + e^.5) + (1 - share) ln 2, and so on
    want = softplus(-REAL) + share * softplus(WRONG) + (1 - share) * softplus(FAKE)
    np.testing.assert_allclose(found, want, rtol=1e-6)
    if share == 0.5:
        np.testing.assert_allclose(
            found, [0.126928 + 0.5 * 0.974077 + 0.5 * 0.693147, 1.313262 + 0.5 * 0.048587 + 0.5 * 1.701413], atol=1e-5
        )


def test_hinge_by_hand():
    found = jax.jit(adversarial.discriminator, static_argnums=3)(REAL, FAKE, WRONG, "hinge")
    # [1 - 2]+ + .5 [1 + .5]+ + .5 [1 + 0]+ = 1.25;  [1 + 1]+ + .5 [1 - 3]+ + .5 [1 + 1.5]+ = 3.25
    np.testing.assert_allclose(found, [1.25, 3.25])
    np.testing.assert_allclose(adversarial.discriminator(REAL, FAKE, None, "hinge"), [0 + 1, 2 + 2.5])


def test_at_the_start_nothing_is_known():
    zero = jnp.zeros(3)
    for kind, value in (("bce", 2 * np.log(2)), ("hinge", 2.0)):
        np.testing.assert_allclose(adversarial.discriminator(zero, zero, zero, kind), value, rtol=1e-6)
        np.testing.assert_allclose(adversarial.discriminator(zero, zero, None, kind), value, rtol=1e-6)


def test_the_generator_is_pushed_even_when_it_is_found_out():
    slope = jax.jit(jax.grad(lambda x: jnp.sum(adversarial.generator(x, "bce"))))(jnp.float32([-20.0, 0.0, 20.0]))
    np.testing.assert_allclose(slope, [-1, -0.5, 0], atol=1e-6)  # log(1 - sigmoid) would give 0 at -20
    np.testing.assert_allclose(adversarial.generator(FAKE, "bce"), softplus(-FAKE), rtol=1e-6)
    np.testing.assert_allclose(adversarial.generator(FAKE, "hinge"), -FAKE)


def test_midpoints_pair_the_halves_of_the_batch():
    text = jnp.float32([[0, 0], [2, 4], [4, 2], [0, -4]])
    np.testing.assert_allclose(adversarial.midpoints(text), [[2, 1], [1, 0]])
    assert adversarial.midpoints(text[:3]).shape == (1, 2)


def test_logits_in_half_precision_are_widened():
    found = adversarial.discriminator(jnp.bfloat16([2.0]), jnp.bfloat16([0.0]), jnp.bfloat16([0.5]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0.96054], atol=1e-4)


def test_r1_by_hand_and_its_gradient(rng):
    image = jnp.asarray(rng.normal(size=(3, 2, 2, 1)), jnp.float32)
    weight = jnp.asarray(rng.normal(size=(2, 2, 1)), jnp.float32)

    def penalty(weight):
        def score(x):
            return jnp.sum(jnp.square(x) * weight[None], (1, 2, 3))

        return adversarial.r1(score, image)

    np.testing.assert_allclose(
        jax.jit(penalty)(weight), 2 * np.sum(np.square(image * weight[None]), (1, 2, 3)), rtol=1e-5
    )
    check_grads(lambda w: jnp.sum(penalty(w)), (weight,), order=1, modes=["rev"], rtol=1e-2)


def test_the_matching_aware_penalty_joins_both_gradients():
    image, text = jnp.ones((2, 1, 1, 2)), jnp.ones((2, 3))

    def score(x, t):  # slopes: (a, a) in the picture, (b, b, b) in the text
        a, b = jnp.float32([1, 0]), jnp.float32([2, 0])
        return a * jnp.sum(x, (1, 2, 3)) + b * jnp.sum(t, 1)

    found = jax.jit(lambda x, t: adversarial.matching_aware_penalty(score, x, t))(image, text)
    np.testing.assert_allclose(found, [2 * (2 * 1 + 3 * 4) ** 3, 0])  # |g|^6 = 14^3
    slope = jax.grad(lambda x: jnp.sum(adversarial.matching_aware_penalty(score, x, text)))(image)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: adversarial.generator(FAKE, "wasserstein"), "'bce' or 'hinge'"),
        (lambda: adversarial.discriminator(REAL, FAKE, WRONG, "bce", 1.5), "0..1"),
    ],
)
def test_mistakes_have_one_line(call, word):
    with pytest.raises(UserError, match=word):
        call()
