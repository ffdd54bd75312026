"""Resizing and rasterising as the published evaluators do: by hand, against PyTorch's and OpenCV's definitions."""

import jax
import localisation_reference as reference
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.metrics.localisation import grid

ROW = np.array([[[0.0, 1.0, 4.0]]], np.float32)  # b h w


def test_three_places_on_five_by_hand():
    def row(how):
        return np.asarray(grid.resized(jnp.asarray(ROW), 5, how))[0, 0]

    np.testing.assert_allclose(row("corners"), [0, 0.5, 1, 2.5, 4], atol=1e-6)
    # The middles of five pixels lie at -0.2, 0.4, 1, 1.6, 2.2 of the three; outside them the ends go on.
    np.testing.assert_allclose(row("centres"), [0, 0.4, 1, 2.8, 4], atol=1e-6)
    # Half-way, Keys' kernel with a = -0.75 weighs its four neighbours by -3/32, 19/32, 19/32, -3/32.
    np.testing.assert_allclose(row("cubic"), [0, (19 - 12) / 32, 1, (19 * 5 - 3 * 4) / 32, 4], atol=1e-6)
    np.testing.assert_array_equal(grid.resized(jnp.ones((2, 5, 5)), 5, "cubic"), np.ones((2, 5, 5)))
    with pytest.raises(ValueError, match="corners, centres, cubic"):
        grid.resized(jnp.asarray(ROW), 5, "nearest")


@pytest.mark.parametrize(("how", "mode"), [("corners", "bilinear"), ("cubic", "bicubic")])
def test_pytorch_resizes_alike(rng, how, mode):
    functional = pytest.importorskip("torch.nn.functional")
    import torch

    maps = rng.standard_normal((2, 7, 9)).astype(np.float32)
    wanted = functional.interpolate(torch.from_numpy(maps)[None], (224, 224), mode=mode, align_corners=True)[0]
    np.testing.assert_allclose(jax.jit(grid.resized, static_argnames="how")(maps, how=how), wanted, atol=1e-5)


def test_boxes_are_cut_off_where_published_code_does(rng):
    boxes = rng.random((5, 3, 4)).astype(np.float32) * 1.4 - 0.2  # some of them outside, some the wrong way round
    boxes[3] = np.sort(boxes[3].reshape(3, 2, 2), 1).reshape(3, 4)
    boxes[3, 1] = boxes[3, 0]
    boxes[0, 0] = [0.25, 0.5, 1.0, 1.0]
    boxes[1, 1] = 0
    where = np.ones((5, 3), bool)
    where[2, 1:] = False
    union, votes = jax.jit(grid.union)(boxes, where), jax.jit(grid.votes)(boxes, where)
    for i in range(5):
        own = boxes[i][where[i]]
        np.testing.assert_array_equal(union[i], reference.truth_of(own))
        np.testing.assert_array_equal(votes[i], reference.truth_of(own, votes=True))
    assert {0.0, 0.5, 1.0} == set(np.unique(votes))
    assert grid.inside(boxes[0, 0], 8)[2:, 4:].all()
    assert int(jnp.sum(grid.inside(boxes[0, 0], 8))) == 6 * 4


def test_pooling_cuts_through_pixels():
    maps = jnp.arange(1.0, 4.0)[None, None] * jnp.ones((1, 2, 1))
    np.testing.assert_allclose(grid.pooled(maps, (1, 2))[0], [[(1 + 2 / 2) / 1.5, (2 / 2 + 3) / 1.5]], rtol=1e-6)
