"""The drawn speakers' voice, bit by bit: whatever changes it changes every example."""

import numpy as np
import pytest

from mmjax.data.scenes import voice


@pytest.mark.parametrize("samples", [1, 127, 128, 129, 5000])
def test_curves_are_drawn_out_as_numpy_interpolates(samples, rng):
    curve = rng.normal(size=samples // voice.CONTROL + 2)
    wanted = np.interp(np.arange(samples), np.arange(len(curve)) * voice.CONTROL, curve)
    np.testing.assert_array_equal(voice._drawn_out(curve, samples), wanted)
