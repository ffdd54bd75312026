"""Figures of units: by hand, and against plain loops."""

import numpy as np
import pytest

from mmjax.metrics import units


def test_purity_and_information_by_hand():
    codes, true = np.array([[0, 0, 0, 1], [1, 1, -1, 2]]), np.array([[5, 5, 6, 6], [6, 6, 5, -1]])
    counts = units.table(codes, true)
    assert counts.sum() == 6  # one has no code, one no unit
    assert units.purity(counts) == pytest.approx((2 + 3) / 6)
    # Code 0: 2 of unit 5, 1 of 6; code 1: 3 of 6. Both entropies and I, in nats.
    code, unit = np.log(2), -(2 / 6 * np.log(2 / 6) + 4 / 6 * np.log(4 / 6))
    shared = 2 / 6 * np.log(2 / 6 / (3 / 6 * 2 / 6)) + 1 / 6 * np.log(1 / 6 / (3 / 6 * 4 / 6))
    shared += 3 / 6 * np.log(3 / 6 / (3 / 6 * 4 / 6))
    assert units.mutual_information(counts) == pytest.approx(shared / ((code + unit) / 2))
    assert units.mutual_information(np.diag([3, 4])) == pytest.approx(1)
    assert units.mutual_information(np.outer([1, 2], [3, 4])) == pytest.approx(0, abs=1e-12)
    assert units.purity(units.table(np.full((1, 2), -1), np.zeros((1, 2), int))) == 0


def test_bits_by_hand():
    codes = np.array([[0, 0, 1, 1], [2, 2, 2, -1], [0, 1, 0, 1]])
    # Runs: 0 1 | 2 | 0 1 0 1: three of 0, three of 1, one of 2, in eleven frames of 20 ms.
    p = np.array([3, 3, 1]) / 7
    assert units.bits_per_second(codes, 0.02) == pytest.approx(-7 * np.sum(p * np.log2(p)) / 0.22)
    assert units.bits_per_second(np.full((2, 3), 4), 0.02) == 0
    assert units.bits_per_second(np.full((2, 3), -1), 0.02) == 0


def test_boundaries_by_hand():
    codes = np.array([[3, 3, 1, 1, 1, 2, -1, -1]])
    (found,) = units.boundaries(codes, 0.02)
    np.testing.assert_allclose(found, [0.04, 0.10])
    # 0.04 is near 0.05; 0.10 is near nothing; a true one is found once.
    assert units.boundary_f1([found], [np.array([0.05, 0.3, 0.4])]) == pytest.approx((1 / 2, 1 / 3, 0.4))
    assert units.boundary_f1([np.array([0.04, 0.06])], [np.array([0.05])]) == pytest.approx((1 / 2, 1, 2 / 3))
    assert units.boundary_f1([np.array([])], [np.array([0.05])]) == (0, 0, 0)
