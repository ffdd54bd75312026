"""Changing the rate: SciPy's and torchaudio's filters by their formulas, and what must survive a change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import sound_reference as reference
from jax.test_util import check_grads

from mmjax.errors import UserError
from mmjax.ops.sound.resample import resample

RATES = [(22050, 16000), (16000, 22050), (44100, 22050), (22050, 44100), (48000, 44100), (192000, 22050)]


@pytest.mark.parametrize(("down", "up"), RATES)
def test_equals_resample_poly_and_librosa(rng, down, up):
    x = rng.standard_normal((2, 1111)).astype(np.float32)
    found = jax.jit(resample, static_argnums=(1, 2))(x, down, up)
    assert reference.distance(found, scipy.signal.resample_poly(x.astype(np.float64), up, down, axis=-1)) < 1e-5
    librosa = pytest.importorskip("librosa")
    wanted = librosa.resample(x.astype(np.float64), orig_sr=down, target_sr=up, res_type="polyphase")
    assert reference.distance(found, wanted) < 1e-5


@pytest.mark.parametrize(("down", "up"), [(3, 2), (2, 5), (16000, 8000)])
def test_equals_torchaudio_by_formula(rng, down, up):
    x = rng.standard_normal(101)
    cutoff = min(down, up) * 0.99
    wanted = []
    for j in range(-(-101 * up // down)):
        t = np.clip((np.arange(101) / down - j / up) * cutoff, -6, 6)  # in zero crossings
        wanted.append(np.sum(x * np.sinc(t) * np.cos(np.pi * t / 12) ** 2) * cutoff / down)
    found = resample(x.astype(np.float32), down, up, convention="torchaudio")
    assert reference.distance(found, np.array(wanted)) < 1e-5


@pytest.mark.parametrize("convention", ["librosa", "torchaudio"])
def test_a_tone_stays_and_one_above_half_the_rate_goes(convention):
    def tone(hertz, rate):
        return np.sin(2 * np.pi * hertz * np.arange(6000) / rate).astype(np.float32)

    middle = slice(500, -500)  # away from the ends, where the signal starts from nothing
    kept = resample(tone(1000, 44100), 44100, 22050, convention=convention)
    np.testing.assert_allclose(kept[middle], tone(1000, 22050)[: kept.size][middle], atol=2e-2)
    gone = resample(tone(15000, 44100), 44100, 22050, convention=convention)
    assert np.max(np.abs(gone[middle])) < 0.02


def test_same_rate_batch_axes_and_gradient(rng):
    x = rng.standard_normal((2, 3, 40)).astype(np.float32)
    assert resample(x, 8000, 8000) is x
    both = resample(x, 3, 2)
    assert both.shape == (2, 3, 27)
    assert reference.distance(both[1, 2], resample(x[1, 2], 3, 2)) < 1e-6
    check_grads(jax.jit(lambda x: resample(x, 3, 2)), (jnp.asarray(x[0]),), 1, modes=["rev"], rtol=0.02, atol=0.02)
    np.testing.assert_array_equal(resample(jnp.zeros(10), 3, 2), 0)
    assert resample(jnp.ones(1), 2, 3).shape == (2,)


@pytest.mark.parametrize(
    ("shape", "wanted"), [((0,), (0,)), ((2, 0), (2, 0)), ((0, 9), (0, 5)), ((3, 0, 9), (3, 0, 5))]
)
def test_nothing_stays_nothing(shape, wanted):
    for rates, expected in [((16_000, 8_000), wanted), ((8_000, 8_000), shape)]:
        assert resample(jnp.zeros(shape), *rates).shape == expected
        assert jax.eval_shape(lambda x, r=rates: resample(x, *r), jnp.zeros(shape)).shape == expected


def test_refusals():
    for arguments, message in [
        ((22050.5, 16000), "whole numbers"),
        ((0, 16000), "whole numbers"),
        ((22051, 22050), "larger common divisor"),
    ]:
        with pytest.raises(UserError, match=message):
            resample(jnp.zeros(9), *arguments)
    with pytest.raises(UserError, match="int16"):
        resample(jnp.zeros(9, jnp.int16), 2, 1)
