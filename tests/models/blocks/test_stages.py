"""Stages of a trunk are as many widths as depths."""

import pytest

from mmjax.errors import OptionError
from mmjax.models.blocks import stages


def test_as_many_of_the_one_as_of_the_other():
    assert stages.paired((8, 16), (1, 2)) == [(8, 1), (16, 2)]
    with pytest.raises(OptionError, match=r"depths has 1 stages, and widths 2: \(3,\)"):
        stages.paired((8, 16), (3,))
