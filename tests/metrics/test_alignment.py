"""Alignments by hand: in order, from end to end, and what is neither."""

import jax
import numpy as np
import pytest

from mmjax.metrics import alignment


@pytest.mark.parametrize(
    ("peaks", "monotone", "whole"),
    [
        ([0, 0, 1, 2, 3, 4, 5], True, True),
        ([1, 2, 1, 2, 5, 4], True, True),  # back by one, ahead by three
        ([0, 1, 2, 0, 3, 5], False, False),  # back by two
        ([0, 2, 1, 0, 3, 5], False, False),  # back by two in two steps
        ([0, 0, 0, 0], True, False),  # it never moved
        ([0, 1, 2, 3], True, False),  # the last two are not read
        ([2, 3, 4, 5], True, False),  # nor the first
        ([0, 4, 5], True, False),  # a leap over three
    ],
)
def test_peaks_by_hand(peaks, monotone, whole):
    attention = np.full((1, 9, 7), 0.1, np.float32)
    attention[0, np.arange(len(peaks)), peaks] = 0.9
    attention[0, len(peaks) :, 0] = 0.9  # what lies beyond does not count
    steps, length = np.array([len(peaks)], np.int32), np.array([6], np.int32)
    assert bool(jax.jit(alignment.monotone)(attention, steps)[0]) == monotone
    assert bool(jax.jit(alignment.whole)(attention, steps, length)[0]) == whole


@pytest.mark.parametrize(
    ("peaks", "monotone", "whole"),
    [
        ([3, 2, 6, 4, 10, 8, 12], True, True),  # from the fourth to the last but three, back by two, ahead by six
        ([4, 4, 6, 8, 10, 12, 14], True, False),  # it begins at the fifth
        ([0, 2, 4, 6, 8, 9, 9], True, False),  # it ends before the last four
        ([0, 2, 4, 6, 3, 10, 12], False, False),  # back by three
        ([0, 2, 9, 10, 11, 12, 13], True, False),  # ahead by seven
    ],
)
def test_where_a_step_reads_two_symbols_twice_as_many_are_allowed(peaks, monotone, whole):
    attention = np.full((1, 8, 16), 0.05, np.float32)
    attention[0, np.arange(7), peaks] = 0.9
    steps, length = np.array([7], np.int32), np.array([14], np.int32)
    assert bool(jax.jit(alignment.monotone)(attention, steps, 2.0)[0]) == monotone
    assert bool(jax.jit(alignment.whole)(attention, steps, length, 2.0)[0]) == whole
