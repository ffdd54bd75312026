"""The logarithmic axis: places by hand, a naive reference, both ends, and back."""

import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.ops.sound import log_frequency


def naive(x, wanted, way):
    """Row by row from the paper's formula, in double precision."""
    out = np.zeros((wanted, x.shape[1]))
    for row in range(wanted):
        y = -1 + 2 * row / (wanted - 1)
        to = (21 ** ((y + 1) / 2) - 11) / 10 if way == "warp" else 2 * np.log(10 * y + 11) / np.log(21) - 1
        place = (to + 1) / 2 * (len(x) - 1)
        low = min(int(place), len(x) - 2)
        out[row] = x[low] * (1 - place + low) + x[low + 1] * (place - low)
    return out


@pytest.mark.parametrize(("way", "given", "wanted"), [("warp", 33, 16), ("unwarp", 16, 33), ("warp", 5, 40)])
def test_it_is_the_formula(rng, way, given, wanted):
    x = rng.uniform(size=(given, 3)).astype(np.float32)
    found = jax.jit(getattr(log_frequency, way), static_argnums=1)(x, wanted)
    np.testing.assert_allclose(found, naive(x, wanted, way), atol=1e-5)
    np.testing.assert_allclose(np.asarray(found)[[0, -1]], x[[0, -1]], atol=1e-5)  # both ends stay


def test_by_hand_and_back():
    ramp = np.arange(21, dtype=np.float32)[:, None]
    # The middle of three rows lies at 21^(1/2) on an axis from 1 to 21.
    np.testing.assert_allclose(log_frequency.warp(ramp, 3)[:, 0], [0, 21**0.5 - 1, 20], atol=1e-5)
    smooth = np.sin(np.linspace(0, 3, 257, dtype=np.float32))[None, :, None]
    back = log_frequency.unwarp(log_frequency.warp(smooth, 256), 257)
    np.testing.assert_allclose(back, smooth, atol=1e-3)


def test_its_gradient_gives_each_row_back_to_its_bins():
    weights = jax.grad(lambda x: log_frequency.warp(x, 16).sum())(np.ones((33, 2), np.float32))
    np.testing.assert_allclose(weights.sum(0), 16, rtol=1e-5)


def test_one_row_is_refused():
    with pytest.raises(UserError, match="at least 2"):
        log_frequency.warp(np.ones((33, 2), np.float32), 1)
