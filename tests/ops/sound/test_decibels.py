"""Decibels by hand, against librosa, and their gradients where there is no sound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sound_reference as reference

from mmjax.errors import UserError
from mmjax.ops.sound import decibels


def test_by_hand():
    power = jnp.array([[1.0, 100.0, 1e-3, 0.0]])
    np.testing.assert_allclose(decibels.power_to_db(power, top_db=None), [[0, 20, -30, -100]], atol=1e-4)
    np.testing.assert_allclose(decibels.power_to_db(power), [[0, 20, -30, -60]], atol=1e-4)
    np.testing.assert_allclose(decibels.power_to_db(power, ref="max", top_db=40), [[-20, 0, -40, -40]], atol=1e-4)
    np.testing.assert_allclose(decibels.amplitude_to_db(power, top_db=None), [[0, 40, -60, -100]], atol=1e-4)
    torchaudio = decibels.amplitude_to_db(power, top_db=None, convention="torchaudio")
    np.testing.assert_allclose(torchaudio, [[0, 40, -60, -200]], atol=1e-4)
    np.testing.assert_allclose(decibels.power_to_db(power, ref=10.0, amin=1.0, top_db=None), [[-10, 10, -10, -10]])


def test_inverse(rng):
    power = rng.uniform(1e-3, 10, (4, 5)).astype(np.float32)
    np.testing.assert_allclose(decibels.db_to_power(decibels.power_to_db(power, ref=2.0), ref=2.0), power, rtol=1e-5)
    amplitude = decibels.db_to_amplitude(decibels.amplitude_to_db(power))
    np.testing.assert_allclose(amplitude, power, rtol=1e-5)


@pytest.mark.parametrize("top_db", [None, 80.0, 20.0])
@pytest.mark.parametrize("ref", [1.0, 0.25, "max"])
def test_equals_librosa(rng, top_db, ref):
    librosa = pytest.importorskip("librosa")
    power = (rng.standard_normal((7, 11)) ** 8).astype(np.float32)
    options = {"top_db": top_db, "ref": np.max if ref == "max" else ref}
    wanted = librosa.power_to_db(power.astype(np.float64), **options)
    assert reference.distance(decibels.power_to_db(power, ref=ref, top_db=top_db), wanted) < 1e-6
    wanted = librosa.amplitude_to_db(power.astype(np.float64), **options)
    assert reference.distance(decibels.amplitude_to_db(power, ref=ref, top_db=top_db), wanted) < 1e-6


def test_what_the_clipping_counts_from():
    power = np.array([1.0, 1e-6, 1e-12])[:, None] * np.array([1.0, 1e-3])  # three clips of two channels
    power = jnp.asarray(power.reshape(3, 2, 1, 1), jnp.float32)
    each = {over: decibels.power_to_db(power, top_db=10, top_db_over=over) for over in ("clip", "channels", "all")}
    clips = np.array([[0, -30], [-60, -90], [-100, -100]])[..., None, None]
    np.testing.assert_allclose(each["clip"], clips, atol=1e-4)
    np.testing.assert_allclose(each["channels"], np.maximum(clips, [[[[-10]]], [[[-70]]], [[[-110]]]]), atol=1e-4)
    np.testing.assert_allclose(each["all"], np.maximum(clips, -10), atol=1e-4)


def test_a_clip_does_not_depend_on_its_batch(rng):
    power = rng.standard_normal((3, 4, 5)).astype(np.float32) ** 8
    together = decibels.power_to_db(power * np.array([1, 1e4, 1e-4], np.float32)[:, None, None], top_db=20)
    np.testing.assert_allclose(together[0], decibels.power_to_db(power[0], top_db=20), atol=1e-4)


def test_htk_logarithm_by_hand():
    # magnitudes of 16-bit samples 1, e^2 and one below the floor
    mel = jnp.array([[1.0, np.e**2, 0.3]]) / 32768
    np.testing.assert_allclose(decibels.log_mel(mel, convention="htk"), [[0, 2, 0]], atol=1e-5)


@pytest.mark.parametrize("convention", ["librosa", "torchaudio", "htk"])
def test_gradient_at_silence(convention):
    def total(x):
        return jnp.sum(jnp.sin(decibels.log_mel(x, convention=convention)))

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(jnp.zeros((2, 3, 4))), 0)
    mixed = jnp.zeros((2, 3)).at[0, 0].set(2.0)
    gradient = jax.grad(lambda x: jnp.sum(decibels.power_to_db(x, ref="max")))(mixed)
    assert np.all(np.isfinite(gradient))
    value = jax.grad(lambda x: decibels.power_to_db(x, top_db=None)[0, 0])(mixed)
    np.testing.assert_allclose(value[0, 0], 10 / np.log(10) / 2, rtol=1e-5)


def test_refusals():
    for arguments, message in [
        ({"amin": 0.0}, "amin is 0.0"),
        ({"top_db": -1.0}, "top_db is -1.0"),
        ({"ref": "maximum"}, "ref is 'maximum'.*'max'"),
    ]:
        with pytest.raises(UserError, match=message):
            decibels.power_to_db(jnp.ones((2, 2)), **arguments)
