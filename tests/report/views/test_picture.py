"""Pictures and what lies over them, by hand."""

import base64
import io

import numpy as np
from PIL import Image

from mmjax.report.views import picture


def test_overlay_is_bright_where_the_map_is():
    image = np.full((40, 40, 3), 128, np.uint8)
    values = np.zeros((4, 4))
    values[3, 0] = 5.0
    shown = picture.overlay(values, image).astype(int).sum(-1)
    assert shown.shape == (40, 40)
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert row >= 30
    assert column < 10
    np.testing.assert_array_equal(picture.overlay(values * 3 - 2, image), picture.overlay(values, image))
    assert picture.overlay(values, None).shape == (112, 112, 3)


def test_overlay_blends_by_hand():
    image = np.full((2, 2, 3), 200, np.uint8)
    shown = picture.overlay(np.array([[0.0, 0.0], [0.0, 0.0]]), image)
    black = np.array([0.001462, 0.000466, 0.013866]) * 255  # where inferno begins
    np.testing.assert_allclose(shown[0, 0], 0.25 * black + 0.75 * 200, atol=0.5)


def test_pixels_and_files():
    np.testing.assert_array_equal(picture.pixels(np.array([[0.0, 0.5, 2.0]]))[0, :, 0], [0, 128, 255])
    assert picture.pixels(np.zeros((2, 3, 4), np.uint8)).shape == (2, 3, 3)
    large = picture.image_uri(np.zeros((400, 800, 3), np.uint8))
    assert large.startswith("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(large.split(",")[1]))).size == (384, 192)
