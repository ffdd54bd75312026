"""Maps between hidden factors and features: monomials by hand, and what each map can and cannot say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.metrics import regression
from mmjax.systems.faces import factor_maps


def test_monomials_by_hand():
    wanted = [3, 2, 9, 6, 4, 27, 18, 12, 8, 81, 54, 36, 24, 16]  # of 2 and 3, degree by degree, without the constant
    found = factor_maps.monomials(np.asarray([[2.0, 3.0]]))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, [wanted])
    of_jax = jax.jit(factor_maps.monomials)(jnp.asarray([[2.0, 3.0]], jnp.float32))
    np.testing.assert_allclose(of_jax, [wanted], rtol=1e-6)


def test_each_map_says_what_it_was_given():
    """Features: a product of both factors, a cube of the first, and the second as it is."""
    rng = np.random.default_rng(0)
    speaker = rng.uniform(-1, 1, (500, 2))
    feature = np.stack([speaker[:, 0] * speaker[:, 1], speaker[:, 0] ** 3, speaker[:, 1]], -1)
    maps = factor_maps.fit(("pitch", "size"), feature, speaker)
    asked = jnp.asarray(speaker, jnp.float32)

    def explained(made):
        return regression.explained(feature, np.asarray(made))

    np.testing.assert_allclose(explained(factor_maps.features(maps["oracle"], asked)), 1, atol=0.01)
    of_pitch = explained(factor_maps.features(maps["alone"]["pitch"], asked[:, :1]))
    of_size = explained(factor_maps.features(maps["alone"]["size"], asked[:, 1:]))
    np.testing.assert_allclose(of_pitch, [0, 1, 0], atol=0.05)
    np.testing.assert_allclose(of_size, [0, 0, 1], atol=0.05)
    read = factor_maps.mapped(maps["probe"], jnp.asarray(feature, jnp.float32))  # of the cube a line says .84
    found = regression.explained(speaker, np.asarray(read))
    assert found[0] == pytest.approx(0.84, abs=0.03)
    assert found[1] == pytest.approx(1, abs=0.01)
