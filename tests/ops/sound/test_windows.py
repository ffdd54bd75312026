"""Windows against SciPy and by hand."""

import numpy as np
import pytest
import scipy.signal

from mmjax.errors import UserError
from mmjax.ops.sound import windows


def test_hamming_by_hand():
    # period 4: cos of 0, 90, 180, 270 degrees
    np.testing.assert_allclose(windows.window("hamming", 4), [0.08, 0.54, 1.0, 0.54], atol=1e-15)
    np.testing.assert_allclose(windows.window("hamming", 5, periodic=False), [0.08, 0.54, 1.0, 0.54, 0.08], atol=1e-15)


@pytest.mark.parametrize("name", windows.NAMES)
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("length", [1, 2, 7, 64])
def test_equals_scipy(name, periodic, length):
    spec = (name, 12.0) if name == "kaiser" else name
    wanted = scipy.signal.get_window(spec, length, fftbins=periodic)
    np.testing.assert_allclose(windows.window(name, length, periodic=periodic), wanted, atol=1e-12)


def test_laid_in_centre_and_start():
    centre = windows.laid_in("boxcar", 3, 6, periodic=True, align="centre")
    np.testing.assert_array_equal(centre, [0, 1, 1, 1, 0, 0])
    start = windows.laid_in([1.0, 2.0], 2, 4, periodic=True, align="start")
    np.testing.assert_array_equal(start, [1, 2, 0, 0])


def test_refusals():
    with pytest.raises(UserError, match=r"no window 'haning'.*hamming, hann"):
        windows.window("haning", 8)
    with pytest.raises(UserError, match="at least 1"):
        windows.window("hann", 0)
    with pytest.raises(UserError, match="win_length is 4"):
        windows.laid_in([1.0], 4, 8, periodic=True, align="start")
