"""Complex masks: the source comes back with its signs, compressed or not; power-law spectra; gradients at silence."""

import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.ops.sound import complex_masks as masks


@pytest.fixture
def spectra(rng):
    """A source and a mixture in which two voices often nearly cancel: parts of the mask far below 0 and above 1."""
    s, other = (rng.standard_normal((2, 33, 40, 2)) @ [1, 1j]).astype(np.complex64)
    return s, s + other


def test_an_ideal_mask_gives_the_source_back(spectra):
    s, mixture = spectra
    mask = masks.ideal_complex(s, mixture)
    assert np.asarray(mask).real.min() < -1
    assert np.asarray(mask).imag.max() > 1
    np.testing.assert_allclose(mask, s / mixture, rtol=1e-4)
    again = masks.expanded(masks.compressed(mask, None), None)
    np.testing.assert_allclose(again * mixture, s, atol=1e-4)


@pytest.mark.parametrize(("bound", "steepness"), [(10.0, 0.1), (5.0, 0.4)])
def test_compression_and_its_own_inverse_where_the_mask_is_not_near_the_bound(spectra, bound, steepness):
    s, mixture = spectra
    mask = np.asarray(masks.ideal_complex(s, mixture))
    compressed = np.asarray(masks.compressed(mask, bound, steepness))
    by_hand = bound * (1 - np.exp(-steepness * mask.real)) / (1 + np.exp(-steepness * mask.real))
    np.testing.assert_allclose(compressed.real, by_hand, rtol=1e-4, atol=1e-6)
    assert np.abs(compressed.imag).max() <= bound
    inside = np.maximum(np.abs(compressed.real), np.abs(compressed.imag)) <= 0.9 * bound
    assert inside.mean() > 0.9
    assert (mask.real[inside] < -0.5).any()
    back = np.asarray(masks.expanded(compressed, bound, steepness)) * mixture
    np.testing.assert_allclose(back[inside], s[inside], atol=1e-4)
    with pytest.raises(UserError, match="must be above 0"):
        masks.compressed(mask, -1.0)


def test_power_law_keeps_the_phase_and_comes_back(spectra):
    s, _ = spectra
    s = s.copy()
    s[0, :2] = 0, 3 + 4j
    small = np.asarray(masks.power_law(s))
    np.testing.assert_allclose(small[0, :2], [0, (0.6 + 0.8j) * 5**0.3], rtol=1e-5)
    np.testing.assert_allclose(np.abs(small), np.abs(s) ** 0.3, rtol=1e-4)
    np.testing.assert_allclose(masks.from_power_law(small), s, atol=1e-4)
    np.testing.assert_array_equal(masks.joined(masks.parts(s)), s)


def test_nothing_is_nan_at_silence_and_neither_are_gradients(spectra):
    s, mixture = (x.copy() for x in spectra)
    s[3], mixture[:5] = 0, 0

    def total(channels):
        x = masks.power_law(masks.joined(channels))
        mask = masks.ideal_complex(x, masks.power_law(jax.numpy.asarray(mixture)))
        return jax.numpy.sum(masks.parts(masks.expanded(masks.compressed(mask))))

    value, slope = jax.jit(jax.value_and_grad(total))(np.asarray(masks.parts(s)))
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    assert not np.asarray(masks.ideal_complex(s, mixture))[:5].any()
