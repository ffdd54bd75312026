"""The three terms of Speech2Face by hand, per example, and that their balance does not change with the batch."""

import jax
import numpy as np
from jax import numpy as jnp
from jax.test_util import check_grads

from mmjax.losses import face_feature


def test_by_hand():
    seen, heard = jnp.array([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0]]), jnp.array([[0.5, 1.0, 3.0], [1.0, -1.0, 0.0]])
    np.testing.assert_allclose(face_feature.first_layer(seen, heard), [3.5, 2.0], rtol=1e-6)  # a sum, and no mean
    # At length 1 (3, 4) is (.6, .8) and (0, 2) is (0, 1): .36 + .04. The other's length counts for nothing.
    np.testing.assert_allclose(
        face_feature.direction(jnp.array([[3.0, 4.0], [3.0, 4.0]]), jnp.array([[0.0, 2.0], [-30.0, -40.0]])),
        [0.4, 4.0],
        rtol=1e-6,
    )
    # softmax of (2 log 3, 0) / 2 is (3/4, 1/4); of equals (1/2, 1/2): log 2 whatever p is. Then the entropy of p.
    logits = jnp.array([[2 * np.log(3.0), 0.0], [2 * np.log(3.0), 0.0]])
    guess = jnp.array([[5.0, 5.0], [2 * np.log(3.0), 0.0]])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    np.testing.assert_allclose(face_feature.distillation(logits, guess), [np.log(2), entropy], rtol=1e-6)
    half = face_feature.distillation(logits / 2, guess / 2, temperature=1.0)
    np.testing.assert_allclose(half, [np.log(2), entropy], rtol=1e-6)


def test_each_value_is_of_its_example_alone(rng):
    """Means over any batch weigh the three terms alike: of a batch twice over every mean is the same."""
    seen, heard = rng.normal(size=(2, 5, 7)).astype(np.float32)
    for term in (face_feature.first_layer, face_feature.direction, face_feature.distillation):
        whole = jax.jit(term)(seen, heard)
        assert whole.shape == (5,)
        np.testing.assert_allclose(whole[2:3], term(seen[2:3], heard[2:3]), rtol=1e-5)


def test_gradients(rng):
    with jax.enable_x64():
        seen, heard = jnp.asarray(rng.normal(size=(2, 3, 4)))
        for term in (face_feature.first_layer, face_feature.direction, face_feature.distillation):
            total = jax.jit(lambda x, term=term: jnp.sum(term(seen, x)))
            check_grads(total, (heard,), 1, ["rev"], eps=1e-4, atol=1e-3)
    slope = jax.grad(lambda x: jnp.sum(face_feature.direction(jnp.ones((1, 2)), x)))(jnp.zeros((1, 2)))
    assert np.isfinite(slope).all()  # of a feature of zeros
