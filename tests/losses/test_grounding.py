"""Triplets of pictures and speech: by hand, against a plain loop, and that padding changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from mmjax.losses import grounding

KEY = jax.random.key(0)


def test_two_pairs_by_hand():
    image, speech = np.array([[1.0], [2.0]], np.float32), np.array([[3.0], [1.0]], np.float32)
    # s: 3 1 / 6 2. The only negative is the one drawn; it is semi-hard where it is less similar than the pair.
    # Pictures: [1 - 3 + 1] = 0, twice; [1 - 2 + 6] = 5, and 6 > 2 is not semi-hard. Speech: [1 - 3 + 6] = 4, not
    # semi-hard; [1 - 2 + 1] = 0, twice.
    found = jax.jit(grounding.triplets)(image, speech, KEY)
    np.testing.assert_allclose(found, [4, 5])
    found = grounding.triplets(image, speech, KEY, margin=2.0)
    np.testing.assert_allclose(found, [5 + 2 * 0, 6 + 2 * 1])


def test_against_a_plain_loop(rng):
    image, speech = rng.normal(size=(2, 6, 3)).astype(np.float32)
    where = np.array([True] * 5 + [False])
    scores = (image @ speech.T)[:5, :5]
    least, most = np.zeros(6), np.zeros(6)
    for s in (scores, scores.T):
        for i in range(5):
            others = [s[i, j] for j in range(5) if j != i]
            below = [x for x in others if x < s[i, i]]
            hard = max(0, 1 - s[i, i] + max(below)) if below else 0
            hinges = [max(0, 1 - s[i, i] + x) for x in others]
            least[i], most[i] = least[i] + hard + min(hinges), most[i] + hard + max(hinges)
    several = [grounding.triplets(image, speech, jax.random.key(n), where=where) for n in range(60)]
    np.testing.assert_allclose(np.min(several, 0), least, rtol=1e-4)
    np.testing.assert_allclose(np.max(several, 0), most, rtol=1e-4)


def test_gradients_and_padding(rng):
    image, speech = rng.normal(size=(2, 5, 3)).astype(np.float32)
    where = np.array([True] * 4 + [False])

    def total(image, speech):
        return jnp.sum(grounding.triplets(image, speech, KEY, where=where))

    check_grads(jax.jit(total), (image, speech), order=1, modes=["rev"], atol=2e-2, rtol=2e-2)
    image[4], speech[4] = np.nan, np.inf
    value, changes = jax.value_and_grad(total, (0, 1))(image, speech)
    assert np.isfinite(value)
    assert all(np.isfinite(change).all() and not change[4].any() for change in changes)
