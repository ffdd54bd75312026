"""Runs of equal numbers, against itertools."""

import itertools

import jax
import numpy as np

from mmjax.ops import run_lengths
from mmjax.ops.nearest import nearest


def test_runs_against_itertools(rng):
    codes, count = rng.integers(0, 3, (20, 12)).astype(np.int32), rng.integers(0, 13, 20).astype(np.int32)
    found, length = jax.jit(run_lengths.collapsed, static_argnums=2)(codes, count, 7)
    for row in range(20):
        runs = [code for code, _ in itertools.groupby(codes[row, : count[row]].tolist())]
        assert length[row] == len(runs)
        assert found[row].tolist() == (runs + [0] * 7)[:7]
    assert int(length.max()) > 7  # some were cut


def test_the_nearest_by_hand():
    book = np.array([[0, 0], [3, 0], [3, 0], [-1, 2]], np.float32)
    x = np.array([[[1, 0], [2, 0.1]], [[-1, 1.5], [1.5, 0]]], np.float32)
    assert nearest(x, book).tolist() == [[0, 1], [3, 0]]  # of equally near ones the first
