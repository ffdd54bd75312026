"""Principal components."""

import numpy as np

from mmjax.report.views import components


def test_projection_finds_the_axes_of_a_stretched_cloud(rng):
    flat = np.stack([10 * rng.standard_normal(500), 3 * rng.standard_normal(500), np.zeros(500)], -1)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    points, shares = components.project(flat @ turn + 7)
    centred = flat - flat.mean(0)
    assert abs(np.corrcoef(points[:, 0], centred[:, 0])[0, 1]) > 0.99
    np.testing.assert_allclose(shares.sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(shares[0], points[:, 0].var() / flat.var(axis=0).sum(), rtol=1e-6)
    assert (points[np.abs(points).argmax(0), [0, 1]] > 0).all()
    assert components.project(np.ones((1, 1)))[0].shape == (1, 2)
