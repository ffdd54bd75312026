"""Which examples are shown."""

import numpy as np
import pytest

from mmjax.report.views import choice


def test_choice_alternates_and_spreads():
    right = np.array([True] * 8 + [False] * 8)
    np.testing.assert_array_equal(choice.choose(right, 4), [0, 8, 7, 15])
    np.testing.assert_array_equal(choice.choose(np.ones(5, bool), 4), [0, 1, 3, 4])
    np.testing.assert_array_equal(choice.choose(np.array([False, True, False, False]), 3), [1, 0, 3])
    assert sorted(choice.choose(right, 40)) == list(range(16))
    assert choice.choose(np.zeros(0, bool), 4).shape == (0,)


@pytest.mark.parametrize(("rights", "wrongs"), [(0, 30), (1, 30), (30, 1), (3, 4), (30, 30)])
def test_choice_takes_as_many_as_there_are(rights, wrongs):
    chosen = choice.choose(np.array([True] * rights + [False] * wrongs), 12)
    assert len(set(chosen.tolist())) == len(chosen) == min(12, rights + wrongs)
    assert (chosen < rights).sum() == min(rights, max(6, 12 - wrongs))
