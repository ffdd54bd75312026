"""Which pairs of a batch match: those that have any number in common, as all losses over pairs see it."""

import jax
import numpy as np

from mmjax.losses import cosine, joint, metric, pairs

# 0 and 1 are one picture; 1 and 2 have equal captions: what 0's captions say of 2 is not known.
GROUP = np.array([[0, 5], [0, 6], [1, 6], [2, 7]], np.int32)
MATCH = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)


def test_what_has_a_number_in_common_matches(rng):
    z = rng.normal(size=(4, 3)).astype(np.float32)
    one, two = pairs.sides(z, z, GROUP, np.arange(4) < 3)
    np.testing.assert_array_equal(pairs.same(one, two), MATCH & (np.arange(4) < 3))
    np.testing.assert_array_equal(pairs.apart(one, two), ~MATCH & (np.arange(4) < 3))
    drawn = [cosine.mismatch(jax.random.key(seed), GROUP, 1.0) for seed in range(4)]
    for partner, matched in drawn:
        np.testing.assert_array_equal(matched, MATCH[np.arange(4), partner])
    assert {bool(one) for _, matched in drawn for one in matched} == {True, False}


def test_the_other_caption_of_a_picture_is_no_hardest_negative():
    """By hand: the captions of a picture that stands twice lie on each other, and only the third is a negative."""
    image = np.array([[1, 0], [1, 0], [0.6, 0.8]], np.float32)
    text = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    group = np.array([[0, 0], [0, 1], [1, 2]], np.int32)
    # Image 0 and text 2: .2 - 1 + 0; text 0 and image 2: .2 - 1 + .6; text 1 and image 2: .2 - .8 + .96.
    # Image 2 (.8 with its own) has texts 0 (.6) and 1 (.96): .2 - .8 + .96.
    found = metric.triplet(image, text, 0.2, "hardest", group, block=2)
    np.testing.assert_allclose(found, [0, 0.36, 0.36], atol=1e-6)
    pair = joint.Pair(image, text, None, None, group, np.ones(3, bool), None, None)
    options = {"margin": 0.2, "negatives": "hardest", "warmup": 0, "block": 0}
    np.testing.assert_allclose(joint.triplet({}, 0, pair, None, **options)[0], 0.24, atol=1e-6)
