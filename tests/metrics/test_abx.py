"""ABX: triples and angles by hand."""

import jax
import numpy as np

from mmjax.metrics import abx


def frames(*rows):
    longest = max(map(len, rows))
    vectors = np.zeros((len(rows), longest, 2), np.float32)
    for row, angles in zip(vectors, rows):
        row[: len(angles)] = np.stack([np.cos(angles), np.sin(angles)], 1) * 3  # of any length
    return abx.Frames(vectors, np.array(list(map(len, rows)), np.int32))


def test_triples_by_hand():
    quarter = np.pi / 2
    x = frames([0, quarter], [0, 0], [0, 0])
    same = frames([0, 0, quarter], [quarter], [quarter])  # slower, but the same; 1/2 apart; 1/2 apart
    other = frames([quarter, quarter], [0, quarter], [quarter, quarter])
    found = jax.jit(abx.margin)(x, same, other)
    np.testing.assert_allclose(found, [1 / 4 - 0, 1 / 4 - 1 / 2, 0], atol=2e-4)
    np.testing.assert_array_equal(abx.error(np.array([0.1, -0.1, 0], np.float32)), [0, 1, 0.5])


def test_angles_are_arccos():
    x = np.linspace(-1.0001, 1.0001, 2001, dtype=np.float32)
    np.testing.assert_allclose(abx.angle(x), np.arccos(np.clip(x.astype(np.float64), -1, 1)) / np.pi, atol=1e-6)
