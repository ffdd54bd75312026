"""The filters of the voices beside SciPy's, bit by bit: whatever changes them changes every example."""

import numpy as np
from scipy import signal

from mmjax.data.scenes import timbres


def test_sawtooth_and_resonance_are_scipys(rng):
    angle = np.cumsum(rng.random(3000))
    np.testing.assert_array_equal(timbres.sawtooth(angle), signal.sawtooth(angle))
    x = rng.standard_normal(3000)
    for a1, a2 in ((-1.7, 0.9), (0.3, 0.2), (-1.95, 0.96)):
        np.testing.assert_array_equal(timbres.resonance(x, a1, a2), signal.lfilter([1], [1, a1, a2], x))
