"""Colours that are told by histograms."""

import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.data.scenes import names
from mmjax.metrics import colours as metric


def test_colours_are_learned_from_pictures_of_one_object():
    rng = np.random.default_rng(0)
    palette = np.array(list(names.PALETTE.values()))
    colours = np.full((80, 2), -1, np.int32)
    colours[:, 0] = np.arange(80) % 8
    colours[70:, 1] = 0  # several objects: they teach nothing, whatever they show
    image = rng.integers(90, 110, (80, 16, 16, 3))
    image[:70, 4:9, 4:9] = palette[colours[:70, 0]][:, None, None]
    image = image.astype(np.uint8)
    planes = metric.fit(metric.histogram(jnp.asarray(image)), colours, 8)
    found = np.argmax(metric.scores(planes, jnp.asarray(image)), -1)
    np.testing.assert_array_equal(found[:70], colours[:70, 0])


def test_a_histogram_by_hand():
    image = np.zeros((1, 2, 2, 3), np.uint8)
    image[0, 0, 0] = (255, 0, 43)  # cell (5, 0, 1)
    found = np.asarray(metric.histogram(jnp.asarray(image)))[0]
    assert found[5 * 36 + 1] == 0.5
    assert found[0] == pytest.approx(0.75**0.5)
    assert np.sum(found**2) == pytest.approx(1)
