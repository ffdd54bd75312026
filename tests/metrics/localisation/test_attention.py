"""Shares of attention inside boxes, worked by hand."""

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.metrics.localisation import attention
from mmjax.text import vocabulary

WORDS = ("<pad>", "<start>", "<end>", "<unk>", "a", "bell", "bird", "car")


def test_numbers_of_words_also_when_traced():
    spelled = vocabulary.spell(WORDS)
    names = ("car", "bell", "<start>led", "be")  # the third begins with a whole word as wide as the array
    assert attention.numbers_of(names, spelled).tolist() == [7, 5, -1, -1]
    assert jax.jit(lambda s: attention.numbers_of(names, s))(spelled).tolist() == [7, 5, -1, -1]


def test_the_box_of_the_object_that_a_word_names():
    words = jnp.asarray([5, 6, 7, -1])  # of classes 0 to 3; class 3 has no word
    tokens = jnp.asarray([[4, 6, 5, 7, 2]])
    objects = jnp.asarray([[1, 3, 0]])  # a bird, something without a word, a bell
    boxes = jnp.arange(12, dtype=jnp.float32).reshape(1, 3, 4)
    found, named = jax.jit(attention.named_boxes)(tokens, words, objects, boxes)
    assert named.tolist() == [[False, True, True, False, False]]  # the car is not in the picture
    np.testing.assert_array_equal(found[0, 1], boxes[0, 0])
    np.testing.assert_array_equal(found[0, 2], boxes[0, 2])
    _, named = attention.named_boxes(jnp.asarray([[0, -1]]), words, jnp.full((1, 3), -1), boxes)
    assert not np.any(named)


def test_overlap_counts_parts_of_cells():
    # Rows 0.25 to 1 of four, columns 0.375 to 0.5 of four: half of the second column's cells.
    shares = attention.overlap(jnp.asarray([0.25, 0.375, 1.0, 0.5]), (4, 4))
    wanted = np.zeros((4, 4))
    wanted[1:, 1] = 0.5
    np.testing.assert_allclose(shares, wanted, atol=1e-6)
    boxes = jnp.asarray([[0.1, 0.2, 0.7, 0.9], [0.0, 0.0, 1.0, 1.0]])
    areas = jnp.mean(attention.overlap(boxes, (14, 14)), (-2, -1))
    np.testing.assert_allclose(areas, [0.6 * 0.7, 1.0], rtol=1e-5)
    assert not np.any(attention.overlap(jnp.zeros(4), (3, 5)))


def test_centre_prior_is_a_gaussian():
    prior = attention.centre_prior((3, 5), 0.25)
    np.testing.assert_allclose(jnp.sum(prior), 1, rtol=1e-6)
    np.testing.assert_allclose(prior[0, 2] / prior[1, 2], np.exp(-0.5 * (1 / 3 / 0.25) ** 2), rtol=1e-5)
    np.testing.assert_allclose(prior, prior[::-1, ::-1], rtol=1e-5)
