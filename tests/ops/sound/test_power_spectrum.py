"""Log power spectra: those of scipy.signal.spectrogram as the official loaders of LVS and EZ-VSL call it."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.ops.sound import power_spectrum


def test_equals_scipy(rng):
    signal = pytest.importorskip("scipy.signal")
    np.testing.assert_allclose(power_spectrum.tukey(512), signal.get_window(("tukey", 0.25), 512), atol=1e-12)
    x = rng.normal(0.05, 0.1, (2, 5000)).astype(np.float32)
    for length, hop in ((512, 238), (64, 32)):
        _, _, density = signal.spectrogram(x, 22_050, nperseg=length, noverlap=length - hop)
        found = jax.jit(power_spectrum.log_density, static_argnums=(1, 2, 3))(x, 22_050, length, hop)
        np.testing.assert_allclose(found, np.log(density + 1e-7), atol=2e-5)


def test_silence_and_a_constant_are_the_floor():
    x = jnp.stack([jnp.zeros(1024), jnp.full(1024, 0.3)])
    np.testing.assert_allclose(power_spectrum.log_density(x, 22_050), np.log(1e-7), rtol=1e-5)
